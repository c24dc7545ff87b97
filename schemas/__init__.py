"""Formats, addresses, code lists and limits: what every other package agrees on. No I/O."""
