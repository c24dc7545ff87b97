"""Where a backup is proven: a private server that lives as long as the proof, and the way there."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nodes.backup.making import folder_bytes
from nodes.backup.programs import run
from nodes.sandbox.postgres import PrivatePostgres
from store.faults import Progress

INTO_SCRATCH = "--format=directory", "--exit-on-error", "--jobs=2", "--no-owner", "--no-acl"
SCRATCH = "scratch"


@asynccontextmanager
async def scratch_database(where: Path | None) -> AsyncIterator[str]:
    """Run a private server for one block; yield its owner's URL of an empty database.

    `where` is a folder with room for the whole database; None: where temporary files go.
    """
    with tempfile.TemporaryDirectory(
        prefix="bbaj-scratch-", dir=where, ignore_cleanup_errors=True
    ) as name:
        # The server may run as another user than we do.
        await asyncio.to_thread(Path(name).chmod, 0o711)
        server = PrivatePostgres(Path(name) / "postgres")
        try:
            await server.start()
            yield (await server.create_database(SCRATCH)).owner_url
        finally:
            await server.stop(at_once=True)  # its folder goes with it


async def restore_dump(
    dump: Path, url: str, arguments: tuple[str, ...], on_progress: Progress
) -> None:
    """Restore a dump into an empty database. Raises as `programs.run` does."""
    total = folder_bytes(dump)

    def tick() -> None:
        on_progress("restore", 0, total)

    await run("pg_restore", (*arguments, str(dump)), url, tick)
    on_progress("restore", total, total)
