"""Opens what commands read: the configuration, and the record beside the running daemon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nodes.config import Config, config_path, load_config
from nodes.errors import NotFound
from nodes.wiring import database_url
from store.reading import Filters, ListedPacket, Reading


def load(path: Path | None) -> Config:
    """Return the configuration that the command names. Raises ConfigurationFault."""
    return load_config(config_path(path))


@asynccontextmanager
async def reading(config: Config) -> AsyncIterator[Reading]:
    """Read the record, and hand small things over, while the daemon commits.

    Raises StoreUnavailable, or StoreMisfit where the database is not prepared.
    """
    desk = Reading(database_url(config))
    try:
        await desk.start()
        yield desk
    finally:
        await desk.close()


async def find(
    desk: Reading, packet_id: str, *, sender: str | None = None, recipient: str | None = None
) -> ListedPacket:
    """Return the one packet under an id, sent or received by us as asked. Raises NotFound."""
    page = await desk.list_packets(
        Filters(id=packet_id, sender=sender, recipient=recipient), limit=1
    )
    if not page.packets:
        what = f"packet {packet_id}" + (" of ours" if sender else " to us" if recipient else "")
        raise NotFound(f"{what} is not in the record: `bbaj list` shows what is")
    return page.packets[0]
