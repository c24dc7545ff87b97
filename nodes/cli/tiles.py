"""Exports the journal under its newest checkpoint that others vouch for."""

from pathlib import Path

from nodes.cli.cosignatures import judged_cosignatures
from nodes.cli.opening import reading
from nodes.cli.progress import progress
from nodes.cli.shapes import TilesExport
from nodes.config import Config
from nodes.cosigned import Held, ed25519_key, find_journal_certificate
from nodes.errors import JudgementFailed, NotFound
from nodes.tile_export import Head, export_tiles
from schemas.addresses import dns_name
from signing.keys import load_certificate
from signing.note_text import split_note
from signing.notes import read_checkpoint, vkey
from store.reading import Reading


async def export(config: Config, folder: Path) -> TilesExport:
    """Bring a folder of tiles up to the newest cosigned checkpoint, or to the newest signed one.

    Raises NotFound where nothing is signed yet, JudgementFailed, OSError.
    """
    async with reading(config) as desk:
        vouched = await judged_cosignatures(config, desk)
        last = await desk.last_checkpoint()
        if last is None:
            raise NotFound("the journal has no checkpoint yet: one follows on the first leaves")
        running = [each for each in vouched.held if each.row.epoch == desk.epoch]
        size = max((each.row.size for each in running), default=last[0])
        held = [each for each in running if each.row.size == size]
        note = (await desk.checkpoint_notes([size]))[size]
        head = await _head(config, desk, note, held)
        with progress() as on_progress:
            done = await export_tiles(desk, folder, head, on_progress)
    return TilesExport(
        folder=str(folder),
        origin=head.checkpoint.origin,
        leaves=done.leaves,
        leaves_kept=done.leaves_kept,
        files_written=done.files_written,
        cosigned_by=sorted({each.row.witness for each in held}),
    )


async def _head(config: Config, desk: Reading, note: str, held: list[Held]) -> Head:
    """Return a checkpoint with its cosignatures and the policy that asks for all of them."""
    origin = read_checkpoint(split_note(note)[0]).origin
    known = [row.der for row in await desk.certificates()]
    own = load_certificate(config.keys.folder / "journal.pem")
    certificate = find_journal_certificate(note, origin, [own, *known])
    key = None if certificate is None else ed25519_key(certificate)
    if key is None:
        raise JudgementFailed(
            f"no journal key of {config.address} has signed the checkpoint of {origin}: "
            "run `bbaj store verify`"
        )
    lines = [f"log {vkey(origin, key)}\n"]
    names = [dns_name(each.row.witness) for each in held]
    lines += [f"witness {name} {each.key.text}\n" for name, each in zip(names, held, strict=True)]
    if names:
        lines.append(f"group witnesses all {' '.join(names)}\n")
    lines.append(f"quorum {'witnesses' if names else 'none'}\n")
    return Head(note + "".join(each.row.lines for each in held), "".join(lines))
