"""The node's database: brought up to date, verified, rebuilt."""

import base64
from contextlib import nullcontext

from exchange.signed_size import SIZE_FILE, SignedSize, SizeFile
from nodes.cli.cosignatures import judged_cosignatures
from nodes.cli.opening import reading
from nodes.cli.progress import progress
from nodes.cli.scrubs import Scrub
from nodes.cli.shapes import Rebuilding, Steps, StoreCheck, StoreFaultLine
from nodes.clock import now
from nodes.config import Config
from nodes.cosigned import find_journal_certificate
from nodes.errors import ConfigurationFault, JudgementFailed
from nodes.policies import open_retention
from nodes.upkeep import prepare_database
from nodes.wiring import database_url, owner_url
from schemas.errors import Fatal
from schemas.moments import format_instant
from schemas.records import CosignatureRow
from schemas.retention import buckets_ahead
from signing.at_rest import AtRest
from signing.keys import load_certificate
from signing.notes import origin
from store.faults import Kind, OpenPayload, Progress
from store.migrate import ensure_partitions
from store.reading import Reading
from store.rebuild import rebuild
from store.verify import verify


async def migrate(config: Config) -> Steps:
    """Migrate the schema and make partitions, as the owner. Raises ConfigurationFault."""
    _owner_of(config)
    return Steps(done=await prepare_database(config))


async def make_partitions(config: Config, months: int) -> Steps:
    """Make the payload partitions of `months` months from this one on."""
    ahead = buckets_ahead(open_retention(config), now(), months - 1)
    return Steps(done=await ensure_partitions(_owner_of(config), ahead))


async def rebuild_derived(config: Config) -> Rebuilding:
    """Make the derived tables again. Raises LockHeld while the daemon runs."""
    done = await rebuild(_owner_of(config), now(), config.limits)
    return Rebuilding(
        documents=done.documents,
        receipts=done.receipts,
        held=done.held,
        drops_removed=done.drops_removed,
    )


async def verify_record(
    config: Config,
    *,
    incremental: bool,
    anew: bool,
    ring: AtRest | None = None,
    on_progress: Progress | None = None,
) -> StoreCheck:
    """Hash the record again, show how far it is, and check who has signed and cosigned it.

    Payloads open by the node's own keys, unless `ring` has others.
    """
    own = ring or AtRest(config.data / "at-rest")
    signed = SizeFile(config.data / SIZE_FILE).read()
    async with reading(config) as desk:
        scrub = Scrub(config.data, desk.epoch, now(), incremental=incremental, anew=anew)
        size, faults = await _check_checkpoint(config, desk)
        witnessed = await judged_cosignatures(config, desk, scrub.sound_leaves)
        leaves = await desk.leaf_count()
    order = scrub.order(max((at for at in witnessed.roots if at <= scrub.sound_leaves), default=0))
    with nullcontext(on_progress) if on_progress else progress() as advance:
        found = await verify(
            database_url(config),
            _opener(own.open),
            advance,
            witnessed.roots,
            order=order,
            keep=scrub.keeper(leaves),
            listed=own.destroyed(),
        )
    faults += [
        *_missing_leaves(signed, SignedSize(desk.epoch, found.leaves)),
        *map(_cosignature_line, witnessed.faults),
    ]
    lines = [
        StoreFaultLine(table=fault.table, key=fault.key, kind=fault.kind, what=fault.what)
        for fault in found.faults
    ]
    holds = found.holds and not faults
    scrub.end(found.leaves, holds=holds)
    return StoreCheck(
        holds=holds,
        faults_found=found.faults_found + len(faults),
        faults=[*faults, *lines],
        counts=found.counts,
        leaves=found.leaves,
        root=base64.b64encode(found.root).decode(),
        checkpoint=size,
        cosigned=max(witnessed.roots, default=None),
        witnesses=witnessed.witnesses,
        begun_at=order.size,
        resumed=None if scrub.resumes is None else format_instant(scrub.resumes),
    )


def _cosignature_line(fault: tuple[CosignatureRow, str]) -> StoreFaultLine:
    row, what = fault
    key = f"epoch {row.epoch} size {row.size} witness {row.witness}"
    return StoreFaultLine(table="cosignature", key=key, kind=Kind.UNPROVEN, what=what)


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
    # Of the running epoch, or of one before: none may have been signed in it yet.
    names = [origin(config.address, epoch) for epoch in range(desk.epoch, 0, -1)]
    own = load_certificate(config.keys.folder / "journal.pem")
    if not any(find_journal_certificate(note, name, [own]) for name in names):
        known = [row.der for row in await desk.certificates()]
        if not any(find_journal_certificate(note, name, known) for name in names):
            what = f"no journal key of {config.address} has signed it"
            key, kind = f"size {size}", Kind.UNPROVEN
            return size, [StoreFaultLine(table="checkpoint", key=key, kind=kind, what=what)]
    return size, []


def _missing_leaves(signed: SignedSize | None, here: SignedSize) -> list[StoreFaultLine]:
    """Compare the journal with the last signed size, kept beside the database.

    `signed` was read before the journal was: a daemon that runs meanwhile signs more.
    """
    if signed is None or signed <= here:
        return []
    what = f"{signed.size} were signed, {here.size} are here: an older database was restored"
    key = f"index {here.size}"
    return [StoreFaultLine(table="leaf", key=key, kind=Kind.CUT, what=what)]


def _opener(open_payload: OpenPayload) -> OpenPayload:
    def opening(bucket: str, digest: bytes, sealed: bytes) -> bytes:
        try:
            return open_payload(bucket, digest, sealed)
        except Fatal as error:
            raise ValueError(str(error)) from error

    return opening
