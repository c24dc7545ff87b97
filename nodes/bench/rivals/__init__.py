"""Other people's programs that we are measured beside, each in an environment of its own."""
