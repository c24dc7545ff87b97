"""What private services share: free loopback ports, an unprivileged user, ending by own pid."""

import asyncio
import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from nodes.errors import ServiceDown

UNPRIVILEGED = "nobody"
END_S = 30.0
LOWEST_PORT = 10240
WITH_US = shutil.which("setpriv")
"""Of util-linux, thus on every Debian: ends what it starts when we die without a word."""


def _candidate_ports() -> Iterator[int]:
    """Yield ports below those that the kernel lends to clients, none twice in a process.

    A port of the lent range could be taken by any client while the service that owns it restarts.
    """
    lent = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first_lent = int(lent.read_text(encoding="ascii").split()[0]) if lent.exists() else 32768
    ports = range(LOWEST_PORT, max(first_lent, LOWEST_PORT + 1000))
    start = secrets.randbelow(len(ports))
    yield from itertools.cycle((*ports[start:], *ports[:start]))


_candidates = _candidate_ports()


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody uses now."""
    ports: list[int] = []
    while len(ports) < count:
        port = next(_candidates)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
    return ports


def kept_ports(file: Path, count: int) -> list[int]:
    """Return the ports that a folder was used with before, or free ones."""
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=list[int])
    return free_ports(count)


def keep_ports(file: Path, ports: Sequence[int]) -> None:
    """Write down the ports of a folder, so that it comes up with them again."""
    file.write_bytes(msgspec.json.encode(list(ports)))


async def is_open(port: int) -> bool:
    """Return whether something listens on a loopback port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def wait_for_port(port: int, process: asyncio.subprocess.Process, timeout_s: float) -> bool:
    """Return whether a process takes connections within `timeout_s`; no, where it ends first."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not await is_open(port):
        if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def service_user() -> pwd.struct_passwd:
    """Return whom services run as: ourselves, or `nobody` where we are root."""
    return pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def give(path: Path) -> None:
    """Give a folder and all in it to the service user.

    Raises ServiceDown where that user could not reach it.
    """
    user = service_user()
    if os.geteuid() != 0:
        return
    for above in path.resolve().parents:
        if not above.stat().st_mode & stat.S_IXOTH:
            raise ServiceDown(f"{above} is closed to the user {user.pw_name}: set TMPDIR elsewhere")
    for each in (path, *path.rglob("*")):
        os.chown(each, user.pw_uid, user.pw_gid, follow_symlinks=False)


def copy_for_service(source: Path, target: Path) -> Path:
    """Copy a key or certificate where the service user can read it, and nobody else."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o600)
    give(target)
    return target


async def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    last: signal.Signals = signal.SIGTERM,
) -> asyncio.subprocess.Process:
    """Start a service as the service user, in a session of its own.

    It gets the signal `last` when we die, however we die, so that nothing is left behind.
    """
    user = service_user()
    as_root = os.geteuid() == 0
    if WITH_US:
        command = [WITH_US, "--pdeathsig", last.name, *command]
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *map(str, command),
            env=dict(environment),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=user.pw_uid if as_root else None,
            group=user.pw_gid if as_root else None,
            extra_groups=[] if as_root else None,
        )


async def call(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    folder: Path,
    timeout_s: float = 120.0,
) -> str:
    """Run a command as the service user and return its output. Raises ServiceDown."""
    user = service_user()
    as_root = os.geteuid() == 0
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env=dict(environment),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        user=user.pw_uid if as_root else None,
        group=user.pw_gid if as_root else None,
        extra_groups=[] if as_root else None,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError as error:
        raise ServiceDown(f"{command[0]} took longer than {timeout_s:.0f} s") from error
    finally:
        if process.returncode is None:  # its time is over, or we were cancelled
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    text = output.decode("utf-8", "replace")
    if process.returncode != 0:
        raise ServiceDown(f"{command[0]} ended with {process.returncode}: {text[-400:]}")
    return text


async def end(process: asyncio.subprocess.Process, first: signal.Signals) -> None:
    """End a service by its own pid; what stays of its session is killed."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(first)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that are its children still."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()))


async def kill_all(pids: Sequence[int]) -> None:
    """Kill processes whose parent is gone, and return once none of them runs."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(map(_runs, pids)):  # noqa: ASYNC110 - nobody tells of children of others
        await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    """Return whether a process runs: one that is dead may wait for whoever buries it."""
    try:
        stat_line = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return False
    return stat_line.rpartition(")")[2].split()[0] not in "ZX"


def programs_folder(candidates: Sequence[str], name: str) -> Path:
    """Return the folder that holds a program. Raises ServiceDown, saying what to install."""
    for pattern in candidates:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if (folder / name).exists():
                return folder
    raise ServiceDown(f"{name} is not installed: run `make setup`")
