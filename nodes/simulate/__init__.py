"""The whole country as a model: queues, bundles, lines and commits at the costs that were measured.

No daemon runs here and nothing is signed: `tests/simulation` does that, for few nodes. This package
asks how a network of 20,000 organisations is loaded. It takes routes, bundles, windows, groups,
resends and retention from the production code, costs from `measured.json`, and traffic and lines,
which are estimates, from `traffic.toml`.
"""
