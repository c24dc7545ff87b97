"""What a relay spends on a packet, held against the figure in `recorded.json`.

One node relays from a child to its parent: bundles opened and authenticated, judged, numbered,
journaled, committed to a real PostgreSQL, noted and passed on. Everything of the node runs on one
thread, with links in memory, so that the same work is done each time.

Three figures, for no single one sees all: instructions and calls of our own Python are counted,
which no other program on the machine can disturb; the processor time is a ratio to a fixed loop of
the same kinds of work, measured in turns with it. It moves with what else the machine does, and is
there for what counts cannot see: a library that does far more within one call.
"""
