"""A warm process that runs each command in a fork of itself: the same code, its imports done once.

What a command gets is a process of its own: words, environment, streams, exit code. The server ends
with the process that has started it.
"""

import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parents[2]
CODE = "import sys; sys.path[:0] = [{!r}, {!r}]; from harness.fork_server import serve; serve({!r})"
REQUEST_BYTES_MAX = 1 << 20
READY_S = 60.0


class Ended(NamedTuple):
    """What a command left."""

    code: int
    out: bytes
    err: bytes


def run(words: list[str], environment: dict[str, str], login: str | None, given: bytes) -> Ended:
    """Run one command of `bbaj` to its end; blocks."""
    with (
        tempfile.TemporaryFile() as standard_in,
        tempfile.TemporaryFile() as standard_out,
        tempfile.TemporaryFile() as standard_error,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
    ):
        standard_in.write(given)
        standard_in.seek(0)
        streams: list[IO[bytes]] = [standard_in, standard_out, standard_error]
        connection.connect(_server().path)
        request = json.dumps([words, environment, login, str(Path.cwd())]).encode()
        socket.send_fds(connection, [len(request).to_bytes(4)], [each.fileno() for each in streams])
        connection.sendall(request)
        code = int(connection.makefile().read())
        outputs = []
        for stream in streams[1:]:
            stream.seek(0)
            outputs.append(stream.read())
        return Ended(code, *outputs)


class Server(NamedTuple):
    """Where it listens, and what it lives as long as."""

    path: str
    process: subprocess.Popen[bytes]


@cache
def _server() -> Server:
    """Start this process's server, once."""
    folder = tempfile.mkdtemp(prefix="bbaj-fork-")
    path = f"{folder}/socket"
    code = CODE.format(str(ROOT), str(ROOT / "tests"), path)
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    deadline = time.monotonic() + READY_S
    while not Path(path).exists():
        assert process.poll() is None, "the fork server has ended"
        assert time.monotonic() < deadline, "the fork server does not come up"
        time.sleep(0.01)
    return Server(path, process)


def serve(path: str) -> None:
    """Fork a command for each connection, until standard input ends."""
    import nodes.cli  # noqa: PLC0415 - the whole program is what is to be warm

    for found in pkgutil.walk_packages(nodes.cli.__path__, "nodes.cli."):
        importlib.import_module(found.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(f"{path}.new")
        listening.listen(64)
        Path(f"{path}.new").rename(path)
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _wait_for_one(connection)
            connection.close()


def _wait_for_one(connection: socket.socket) -> NoReturn:
    """Fork the command, and tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    request = b""
    while len(request) < int.from_bytes(size):
        request += connection.recv(REQUEST_BYTES_MAX)
    process = os.fork()
    if process == 0:
        connection.close()
        _become(streams, *json.loads(request))
    _, status = os.waitpid(process, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(
    streams: list[int], words: list[str], environment: dict[str, str], login: str | None, at: str
) -> NoReturn:
    """Be the command."""
    import nodes.rights  # noqa: PLC0415 - it is here already
    from nodes.cli.main import run as run_words  # noqa: PLC0415

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(at)
    if login is not None:  # all who ask for it ask that module
        nodes.rights.login_name = lambda: login
    code = 1
    try:
        code = run_words(words)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
