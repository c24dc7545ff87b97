"""A private PostgreSQL that follows another, and takes its place when told to.

It begins as a base backup and streams from then on. `vouch` makes the primary wait for it with
`synchronous_commit = on`: a commit is answered once it is on both disks. (`remote_apply` would wait
until it can be read there as well, and nobody reads there.)
"""

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path

from nodes.errors import ServiceDown
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.processes import call, give, keep_ports

NAME = "standby"
FOLLOWING_S = 60.0
KEPT_WAL = "1GB"
"""What the primary keeps for a standby that is away; it then catches up without a new backup."""


class StandbyPostgres(PrivatePostgres):
    """Follows a primary that runs; `promote` ends that."""

    def __init__(
        self, folder: Path, primary: PrivatePostgres, settings: Mapping[str, str] | None = None
    ) -> None:
        """Stand by to follow `primary`: databases that it makes from now on name both servers."""
        super().__init__(folder, settings)
        self._primary = primary
        primary.ports.append(self.port)
        self.ports = primary.ports

    async def _init(self) -> None:
        """Copy the primary as it is."""
        role, password = f"standby_{self.port}", secrets.token_hex(12)
        await self._primary.psql(
            f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD '{password}'",
            f"ALTER SYSTEM SET wal_keep_size = '{KEPT_WAL}'",
            "SELECT pg_reload_conf()",
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        keep_ports(self.folder / "ports", [self.port])
        superuser = (self._primary.folder / "superuser").read_text(encoding="ascii")
        (self.folder / "superuser").write_text(superuser, encoding="ascii")
        (self.folder / "superuser").chmod(0o600)
        give(self.folder)
        primary = f"host=127.0.0.1 port={self._primary.port} user={role}"
        await call(
            [
                self._programs / "pg_basebackup",
                f"--pgdata={self.folder / 'data'}",
                f"--dbname={primary} password={password} application_name={NAME}",
                "--write-recovery-conf",
                "--checkpoint=fast",
            ],
            environment=self._environment,
            folder=self.folder,
        )

    async def vouch(self) -> None:
        """Have each commit at the primary wait for this disk too, once this one has caught up."""
        await self._primary.psql(
            f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'", "SELECT pg_reload_conf()"
        )
        await self._until_vouching(is_so=True)

    async def is_vouching(self) -> bool:
        """Return whether the primary waits for this one now, and it is there."""
        asked = "SELECT state || ' ' || sync_state FROM pg_stat_replication"
        return (await self._primary.psql(asked)).strip() == "streaming sync"

    async def release(self) -> None:
        """Have the primary wait for nobody; this one goes on following."""
        await self._primary.psql(
            "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"
        )
        await self._until_vouching(is_so=False)

    async def _until_vouching(self, *, is_so: bool) -> None:
        """Wait until the primary waits for this one, or no longer. Raises ServiceDown."""
        try:
            async with asyncio.timeout(FOLLOWING_S):
                while await self.is_vouching() is not is_so:  # noqa: ASYNC110 - servers act
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            what = "keeps up" if is_so else "is released"
            raise ServiceDown(f"no standby that {what} after {FOLLOWING_S:.0f} s") from error

    async def promote(self) -> None:
        """Take the primary's place, which must be down: two would part the record."""
        await self.psql("SELECT pg_promote()")
