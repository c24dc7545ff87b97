"""The node's database: brought up to date, verified, rebuilt."""

import base64
from collections.abc import Callable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from nodes.cli.opening import reading
from nodes.cli.output import console_to
from nodes.cli.shapes import Rebuilding, Steps, StoreCheck, StoreFaultLine
from nodes.cli.shelf import Shelf
from nodes.clock import now
from nodes.config import Config
from nodes.errors import ConfigurationFault, JudgementFailed
from nodes.evidence import find_journal_certificate
from nodes.upkeep import prepare_database
from nodes.wiring import database_url, owner_url
from schemas.codes import RetentionClass
from schemas.errors import Fatal
from schemas.moments import format_instant
from signing.keys import load_certificate
from signing.notes import origin
from store.migrate import ensure_partitions
from store.reading import Reading
from store.rebuild import rebuild
from store.verify import Verification, verify


async def migrate(config: Config) -> Steps:
    """Migrate the schema and make partitions, as the owner. Raises ConfigurationFault."""
    _owner_of(config)
    return Steps(done=await prepare_database(config))


async def make_partitions(config: Config, months: int) -> Steps:
    """Make the payload partitions of `months` months from this one on."""
    classes = [retention.value for retention in RetentionClass]
    month = format_instant(now())[:7]
    return Steps(done=await ensure_partitions(_owner_of(config), classes, month, months))


async def rebuild_derived(config: Config) -> Rebuilding:
    """Make the derived tables again. Raises LockHeld while the daemon runs."""
    done = await rebuild(_owner_of(config), now(), config.limits)
    return Rebuilding(
        documents=done.documents,
        receipts=done.receipts,
        held=done.held,
        drops_removed=done.drops_removed,
    )


async def verify_record(config: Config) -> StoreCheck:
    """Hash everything again, show how far it is, and check who signed the newest checkpoint."""
    shelf = Shelf(config)
    async with reading(config) as desk:
        size, faults = await _check_checkpoint(config, desk)
    with _bar() as on_progress:
        found = await verify(database_url(config), _opener(shelf), on_progress)
    faults += _missing_leaves(config, found)
    lines = [
        StoreFaultLine(table=fault.table, key=fault.key, what=fault.what) for fault in found.faults
    ]
    return StoreCheck(
        holds=found.holds and not faults,
        faults_found=found.faults_found + len(faults),
        faults=[*faults, *lines],
        counts=found.counts,
        leaves=found.counts.get("leaf", 0),
        root=base64.b64encode(found.root).decode(),
        checkpoint=size,
    )


def judge(found: StoreCheck) -> None:
    """Raise JudgementFailed where the record does not hold."""
    if not found.holds:
        raise JudgementFailed(
            f"the record has {found.faults_found} faults: restore what they name from the backup"
        )


def _owner_of(config: Config) -> str:
    url = owner_url(config)
    if url is None:
        raise ConfigurationFault(["database.owner_url: missing; only the owner changes the schema"])
    return url


async def _check_checkpoint(
    config: Config, desk: Reading
) -> tuple[int | None, list[StoreFaultLine]]:
    """Return the size of the newest checkpoint, and what is wrong with its signature."""
    last = await desk.last_checkpoint()
    if last is None:
        return None, []
    size, _, note = last
    name = origin(config.address, desk.epoch)
    own = load_certificate(config.keys.folder / "journal.pem")
    if find_journal_certificate(note, name, [own]) is None:
        known = [row.der for row in await desk.certificates()]
        if find_journal_certificate(note, name, known) is None:
            what = f"no journal key of {config.address} has signed it"
            return size, [StoreFaultLine(table="checkpoint", key=f"size {size}", what=what)]
    return size, []


def _missing_leaves(config: Config, found: Verification) -> list[StoreFaultLine]:
    """Compare the journal with the last signed size, kept beside the database."""
    path = config.data / "journal.size"
    signed = int(path.read_text(encoding="ascii")) if path.exists() else 0
    leaves = found.counts.get("leaf", 0)
    if signed <= leaves:
        return []
    what = f"{signed} were signed, {leaves} are here: an older database was restored"
    return [StoreFaultLine(table="leaf", key=f"index {leaves}", what=what)]


def _opener(shelf: Shelf) -> Callable[[str, bytes, bytes], bytes]:
    def open_payload(bucket: str, digest: bytes, sealed: bytes) -> bytes:
        try:
            return shelf.open_payload(bucket, digest, sealed)
        except Fatal as error:
            raise ValueError(str(error)) from error

    return open_payload


class _bar:  # noqa: N801 - a context manager, used like a function
    """A progress bar on standard error; nothing where nobody looks."""

    def __init__(self) -> None:
        console = console_to(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> Callable[[str, int, int], None]:
        self._progress.start()
        return self._advance

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _advance(self, stage: str, done: int, total: int) -> None:
        if stage not in self._stages:
            self._stages[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._stages[stage], completed=done, total=total)
