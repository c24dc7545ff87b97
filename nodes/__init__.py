"""The daemon: configuration, wiring, command line, metrics. The one package that knows them all."""
