"""Backups as people read of them, in the language spoken here."""

from collections.abc import Iterator

from rich.console import RenderableType

from nodes.cli.backup_shapes import BackupDone, KeysBack, RestoreDone
from nodes.cli.drawing import facts_table
from nodes.cli.moments import utc_and_local
from nodes.config import spoken_language
from nodes.said import spoken
from nodes.texts import text

MEGABYTE = 1_000_000


def _say(key: str, **facts: object) -> str:
    return text(f"backup.{key}", spoken_language(), **facts)


def backup(done: BackupDone) -> Iterator[RenderableType]:
    """Draw `backup`."""
    keys = {"folder": done.keys, "buckets": done.buckets, "destroyed": done.destroyed}
    yield facts_table(
        [
            (_say("folder"), done.folder),
            (_say("of"), utc_and_local(done.made)),
            (_say("journal"), _say("journal-at", leaves=done.leaves, root=done.root)),
            (_say("size"), _say("size-is", size=f"{done.bytes / MEGABYTE:.1f}", files=done.files)),
            (_say("keys"), _say("keys-are", **keys)),
        ]
    )
    yield _say("proven" if done.verified else "not-proven")


def keys_back(done: KeysBack) -> Iterator[RenderableType]:
    """Draw `restore --keys-only`."""
    yield _say("keys-back", buckets=len(done.buckets), encryption=len(done.encryption))
    if done.destroyed:
        yield _say("destroyed", buckets=", ".join(done.destroyed))


def restored(done: RestoreDone) -> Iterator[RenderableType]:
    """Draw `restore`."""
    signed = _say("nobody-says") if done.signed is None else str(done.signed)
    journal = _say("journal-back", leaves=done.leaves, epoch=done.epoch, signed=signed)
    yield facts_table(
        [
            (_say("folder"), done.backup),
            (_say("of"), utc_and_local(done.made)),
            (_say("journal"), journal),
        ]
    )
    yield from keys_back(done.keys)
    yield spoken(done.next_step)
