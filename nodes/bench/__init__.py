"""Benchmarks that compare side by side in one run: on real brokers, databases and TLS."""
