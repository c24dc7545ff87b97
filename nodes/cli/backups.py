"""`bbaj backup` and `bbaj restore`: made and proven, looked through and brought back."""

import base64
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import msgspec

from exchange.signed_size import SIZE_FILE, SignedSize, SizeFile
from nodes.backup.keys import AT_REST, Keys, put_back, read_keys
from nodes.backup.making import DATABASE, Counted, Order, make_backup
from nodes.backup.manifest import BackupManifest, check_files, read_manifest
from nodes.backup.proving import INTO_SCRATCH, restore_dump, scratch_database
from nodes.cli import stores
from nodes.cli.backup_shapes import BackupDone, KeysBack, RestoreDone
from nodes.cli.keys import bring_back
from nodes.cli.progress import progress
from nodes.clock import now
from nodes.config import Config, Database
from nodes.errors import BackupDamaged, ConfigurationFault, DatabaseOccupied
from nodes.passphrases import read_passphrase_file
from nodes.said import Said
from nodes.upkeep import prepare_database
from nodes.wiring import database_url, open_trust, owner_url
from schemas.records import BackupRun
from signing.at_rest import AtRest
from store.errors import StoreMisfit
from store.faults import Progress
from store.migrations import SCHEMA_VERSION
from store.snapshot import look
from store.upkeep import add_backup

AT_ONCE = "--format=directory", "--exit-on-error", "--single-transaction", "--no-owner", "--no-acl"
"""Whole or not at all."""

Scratch = Callable[[Path | None], AbstractAsyncContextManager[str]]


class Places(msgspec.Struct, frozen=True):
    """Where a backup lies, and its keys."""

    data: Path
    keys: Path
    passphrase_file: Path


async def back_up(
    config: Config,
    config_file: Path,
    places: Places,
    *,
    is_proven: bool,
    scratch: Scratch = scratch_database,
) -> BackupDone:
    """Make a backup; prove it, unless told otherwise, and only then let it count.

    Raises UsageFault, FileFault, ServiceDown, BackupDamaged, KeyFileError.
    """
    order = Order(
        config=config,
        config_file=config_file,
        owner=_owner_of(config),
        to=places.data,
        keys_to=places.keys,
        passphrase=read_passphrase_file(places.passphrase_file),
        now=now(),
    )
    with progress() as on_progress:
        prove = partial(_prove, config, scratch, on_progress) if is_proven else _believe
        made = await make_backup(order, prove, on_progress)
    manifest = made.manifest
    if is_proven:
        row = BackupRun(order.now, now(), made.folder.name, manifest.leaves, manifest.bytes)
        await add_backup(database_url(config), row)
        if config.backup.stamp is not None:
            config.backup.stamp.touch()
    return BackupDone(
        folder=str(made.folder),
        made=manifest.made,
        leaves=manifest.leaves,
        root=base64.b64encode(bytes.fromhex(manifest.root)).decode(),
        files=manifest.files,
        bytes=manifest.bytes,
        verified=is_proven,
        buckets=len(made.keys.buckets.keys.buckets),
        destroyed=len(made.keys.buckets.keys.destroyed),
        keys=str(places.keys),
    )


async def _believe(_draft: Path, _manifest: BackupManifest, _keys: Keys) -> None:
    """Prove nothing."""


async def _prove(
    config: Config,
    scratch: Scratch,
    on_progress: Progress,
    draft: Path,
    manifest: BackupManifest,
    keys: Keys,
) -> None:
    """Restore a draft into a scratch server, with the keys of the escrow, and verify it there."""
    async with scratch(config.backup.scratch) as url:
        await restore_dump(draft / DATABASE, url, INTO_SCRATCH, on_progress)
        with tempfile.TemporaryDirectory(prefix="bbaj-keys-") as nothing:
            ring = keys.ring(Path(nothing))  # no key but those of the escrow
            await _verify(config, url, manifest, ring, on_progress)


async def _verify(
    config: Config, url: str, manifest: BackupManifest, ring: AtRest, on_progress: Progress
) -> None:
    """Raise BackupDamaged where a restored record is not the one that was copied."""
    with tempfile.TemporaryDirectory(prefix="bbaj-proof-") as notes:
        there = msgspec.structs.replace(config, database=Database(url=url), data=Path(notes))
        found = await stores.verify_record(
            there,
            incremental=False,
            anew=True,
            ring=ring,
            on_progress=on_progress,
        )
    if not found.holds:
        shown = "; ".join(f"{each.table} {each.key}: {each.what}" for each in found.faults[:3])
        raise BackupDamaged(f"restored, the record does not hold ({shown}): take another backup")
    root = base64.b64decode(found.root).hex()
    if (found.leaves, root) != (manifest.leaves, manifest.root):
        raise BackupDamaged(
            f"restored, the journal has {found.leaves} leaves and another head than the "
            f"{manifest.leaves} that were copied: take another backup"
        )


# ------------------------------------------------------------------ back again


def restore_keys(config: Config, keys_from: Path, passphrase_file: Path) -> KeysBack:
    """Bring back the keys that are not there. Raises KeyFileError, BackupDamaged."""
    return _keys_back(config, _read_keys(config, keys_from, passphrase_file))


async def restore(config: Config, places: Places) -> RestoreDone:
    """Bring a record back into an empty database, and the keys that open it.

    Nothing is changed before backup, keys and database have been looked at; keys come first, then
    the whole record in one transaction: what is cut off can be begun again. Raises BackupDamaged,
    DatabaseOccupied, KeyFileError, ConfigurationFault, ServiceDown.
    """
    owner = _owner_of(config)
    manifest = read_manifest(places.data, open_trust(config), config.address)
    _require_known(manifest)
    keys = _read_keys(config, places.keys, places.passphrase_file)
    signed = SizeFile(config.data / SIZE_FILE).read()
    await _require_empty(owner, manifest)
    with progress() as on_progress:
        check_files(places.data, Counted(on_progress, manifest.bytes).add)
        back = _keys_back(config, keys)
        await restore_dump(places.data / DATABASE, owner, AT_ONCE, on_progress)
        await prepare_database(config)
        await _verify(config, owner, manifest, AtRest(config.data / AT_REST), on_progress)
    has = SignedSize(manifest.epoch, manifest.leaves)
    return RestoreDone(
        backup=str(places.data),
        made=manifest.made,
        epoch=manifest.epoch,
        leaves=manifest.leaves,
        keys=back,
        signed=None if signed is None else signed.size,
        stands_still=signed is not None and signed > has,
        next_step=_next_step(signed, has),
    )


def _next_step(signed: SignedSize | None, has: SignedSize) -> Said:
    """Return what happens once the daemon starts."""
    if signed is None:
        return Said("backup.next-unknown")
    if signed > has:
        facts = {"signed": signed.size, "epoch": signed.epoch, "leaves": has.size}
        return Said("backup.next-lost", facts)
    return Said("backup.next-whole")


def _owner_of(config: Config) -> str:
    url = owner_url(config)
    if url is None:
        what = "missing; the owner alone may copy the whole database, and fill an empty one"
        raise ConfigurationFault([f"database.owner_url: {what}"])
    return url


def _read_keys(config: Config, folder: Path, passphrase_file: Path) -> Keys:
    return read_keys(config.address, folder, read_passphrase_file(passphrase_file))


def _keys_back(config: Config, keys: Keys) -> KeysBack:
    buckets = put_back(config, keys.buckets.keys)
    encryption = bring_back(config, keys.encryption)
    return KeysBack(
        buckets=buckets,
        encryption=encryption.restored,
        destroyed=sorted(keys.buckets.keys.destroyed),
    )


def _require_known(manifest: BackupManifest) -> None:
    """Raise StoreMisfit where a newer program has made the backup."""
    if manifest.schema > SCHEMA_VERSION:
        raise StoreMisfit(
            f"the backup has schema version {manifest.schema}, this program knows up to "
            f"{SCHEMA_VERSION}: install the program that made it, or a newer one"
        )


async def _require_empty(owner: str, manifest: BackupManifest) -> None:
    """Raise DatabaseOccupied where anything is in the database."""
    found = await look(owner)
    if not found.tables:
        return
    if found.address is None:
        shown = ", ".join(found.tables[:5])
        raise DatabaseOccupied(f"the database has tables ({shown}): name an empty one")
    held = f"a record of {found.address} with {found.leaves} leaves of epoch {found.epoch}"
    backed = f"the backup has {manifest.leaves} of epoch {manifest.epoch}"
    if (found.epoch, found.leaves) == (manifest.epoch, manifest.leaves):
        raise DatabaseOccupied(
            f"the database has {held}, as the backup has: if it was just restored, run "
            "`bbaj store migrate` and `bbaj store verify`, then start the daemon"
        )
    if (found.epoch, found.leaves) > (manifest.epoch, manifest.leaves):
        raise DatabaseOccupied(
            f"the database has {held}, {backed}: an older copy never replaces a newer record; "
            "keep it, or make an empty database beside it"
        )
    raise DatabaseOccupied(
        f"the database has {held}, {backed}: stop the daemon, rename that database, and make an "
        "empty one for the same owner"
    )
