"""Private services and whole networks on one machine: for the demo, benchmarks and tests."""
