"""A private PostgreSQL: own data folder, loopback port, unprivileged user, full durability."""

import asyncio
import os
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nodes.errors import ServiceDown
from nodes.sandbox.processes import (
    call,
    children_of,
    end,
    give,
    keep_ports,
    kept_ports,
    kill_all,
    programs_folder,
    service_user,
    spawn,
)

BINARIES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/usr/local/bin")
STARTUP_S = 60.0
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "listen_addresses": "127.0.0.1",
    "max_wal_size": "2GB",
}


class DatabaseUrls(msgspec.Struct, frozen=True):
    """How the owner and the daemon reach one database; passwords are in the URLs."""

    owner_url: str
    daemon_url: str


class PrivatePostgres:
    """One PostgreSQL in one folder; stopped and started again, it has its data."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """Stand by to run in `folder`; `settings` go before those that every one of us has."""
        self.folder = folder
        self._settings = {**SETTINGS, **(settings or {})}
        [self.port] = kept_ports(folder / "ports", 1)
        self.ports = [self.port]
        """Where clients look for the server that takes commits; a standby adds its own port."""
        self._programs = programs_folder(BINARIES, "initdb")
        self._process: asyncio.subprocess.Process | None = None
        self._environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(folder)}

    @property
    def pid(self) -> int:
        """The server's process id, once it is started."""
        assert self._process is not None
        return self._process.pid

    @property
    def admin_url(self) -> str:
        """The superuser's URL, for tests that do what no daemon may."""
        password = (self.folder / "superuser").read_text(encoding="ascii")
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/postgres"

    async def start(self) -> None:
        """Make the data folder at first use and wait until connections are taken."""
        if not (self.folder / "data" / "PG_VERSION").exists():
            await self._init()
        arguments = [f"-c{name}={value}" for name, value in self._settings.items()]
        socket_folder = f"-cunix_socket_directories={self.folder}"
        self._process = await spawn(
            [
                self._programs / "postgres",
                "-D",
                self.folder / "data",
                f"-p{self.port}",
                socket_folder,
                *arguments,
            ],
            environment=self._environment,
            folder=self.folder,
            log=self.folder / "postgres.log",
            last=signal.SIGINT,
        )
        await self._wait()

    async def _init(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        keep_ports(self.folder / "ports", [self.port])
        password = self.folder / "superuser"
        password.write_text(secrets.token_hex(16), encoding="ascii")
        password.chmod(0o600)
        give(self.folder)
        await call(
            [
                self._programs / "initdb",
                "--pgdata",
                self.folder / "data",
                "--username=postgres",
                "--auth=scram-sha-256",
                f"--pwfile={password}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-instructions",
            ],
            environment=self._environment,
            folder=self.folder,
        )

    async def _wait(self) -> None:
        assert self._process is not None
        ready: list[str | Path] = [self._programs / "pg_isready", "--quiet"]
        ready += [f"--host={self.folder}", f"--port={self.port}"]
        deadline = asyncio.get_running_loop().time() + STARTUP_S
        while True:
            try:
                await call(ready, environment=self._environment, folder=self.folder)
            except ServiceDown:
                ended = self._process.returncode is not None
                if ended or asyncio.get_running_loop().time() > deadline:
                    log = (self.folder / "postgres.log").read_text(encoding="utf-8")
                    raise ServiceDown(f"PostgreSQL does not start: {log[-400:]}") from None
                await asyncio.sleep(0.05)
                continue
            return

    async def psql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements as the superuser, each in a transaction of its own."""
        password = (self.folder / "superuser").read_text(encoding="ascii")
        return await call(
            [
                self._programs / "psql",
                f"--host={self.folder}",
                f"--port={self.port}",
                "--username=postgres",
                f"--dbname={database}",
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "--set=ON_ERROR_STOP=1",
                *(f"--command={statement}" for statement in statements),
            ],
            environment={**self._environment, "PGPASSWORD": password},
            folder=self.folder,
        )

    async def create_database(self, name: str) -> DatabaseUrls:
        """Make a database with an owner and a daemon role, each with a password of its own."""
        urls, statements = [], []
        for role in (f"{name}_owner", f"{name}_daemon"):
            password = secrets.token_hex(12)
            statements.append(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}'")
            urls.append(self._url(role, password, name))
        await self.psql(*statements, *_new_database(name))
        return DatabaseUrls(owner_url=urls[0], daemon_url=urls[1])

    def _url(self, role: str, password: str, database: str) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        only = "?target_session_attrs=read-write" if len(self.ports) > 1 else ""
        return f"postgresql://{role}:{password}@{hosts}/{database}{only}"

    async def lose_database(self, name: str) -> None:
        """Delete a database whoever uses it, and make it again, empty, for the same roles."""
        await self.psql(f'DROP DATABASE "{name}" WITH (FORCE)', *_new_database(name))

    async def settings(self, *names: str) -> dict[str, str]:
        """Return the server's settings as it runs by them."""
        return {name: (await self.psql(f"SHOW {name}")).strip() for name in names}

    async def stop(self, *, at_once: bool = False) -> None:
        """Shut down: connections end, what was committed stays; `at_once` makes no checkpoint."""
        if self._process is not None:
            await end(self._process, signal.SIGQUIT if at_once else signal.SIGINT)
            self._process = None

    async def kill(self) -> None:
        """End as a power cut would: the server and all its processes, before it is started again.

        Each process of a connection is in a session of its own, and writes on until it notices.
        """
        if self._process is not None:
            children = children_of(self._process.pid)
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            self._process = None
            await kill_all(children)
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    async def restart(self) -> None:
        """Stop and start again on the same port."""
        await self.stop()
        await self.start()

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def user(self) -> str:
        """The system user that it runs as."""
        return service_user().pw_name


def _new_database(name: str) -> list[str]:
    """Return the statements that make a database for an owner and a daemon that are there."""
    return [
        f'CREATE DATABASE "{name}" OWNER "{name}_owner"',
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
        f'GRANT CONNECT ON DATABASE "{name}" TO "{name}_daemon"',
    ]
