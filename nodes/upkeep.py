"""Keeps the database ready for the daemon: migrations, and partitions made ahead."""

from urllib.parse import urlsplit

from nodes.clock import now
from nodes.config import Config
from nodes.wiring import owner_url
from schemas.codes import RetentionClass
from schemas.moments import format_instant
from store.migrate import ensure_partitions, migrate

MONTHS_AHEAD = 4
"""Partitions stand ready for this month and so many more."""


async def prepare_database(config: Config) -> list[str]:
    """Migrate and make partitions as the owner; return what was done.

    Does nothing where the configuration names no owner: then `bbaj store migrate` is run by hand.
    Raises StoreMisfit and StoreUnavailable.
    """
    owner = owner_url(config)
    if owner is None:
        return []
    daemon_role = urlsplit(config.database.url).username or ""
    done = await migrate(owner, daemon_role, config.address)
    month = format_instant(now())[:7]
    classes = [retention.value for retention in RetentionClass]
    return done + await ensure_partitions(owner, classes, month, 1 + MONTHS_AHEAD)
