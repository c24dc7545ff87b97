"""Takes turns in an environment of its own: so many cycles of a rival for each number read.

Run by a rival's interpreter, hence the standard library alone: turns.py FILE CONTENT_BYTES, where
FILE defines `make_cycle`, which returns one whole cycle as a function. A cycle raises where
anything in it does not verify. Each answer is a line: seconds, and processor seconds.
"""

import runpy
import sys
import time


def main() -> None:
    """Answer each line of standard input until it ends."""
    file, content_bytes = sys.argv[1:]
    cycle = runpy.run_path(file)["make_cycle"](int(content_bytes))
    for line in sys.stdin:
        began, spent = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            cycle()
        took_s, cpu_s = time.perf_counter() - began, time.process_time() - spent
        sys.stdout.write(f"{took_s} {cpu_s}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
