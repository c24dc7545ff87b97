"""Writes an evidence folder, in one step: it takes its name once all of it is durable."""

import os
import shutil
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from nodes.evidence.chains import Chains, add_chain
from nodes.evidence.checkpoints import add_checkpoint, add_renewal, note_what_is_missing
from nodes.evidence.draft import Draft, pem
from nodes.evidence.frames import add_frame
from nodes.evidence.manifest import seal
from nodes.evidence.model import Dossier, Written
from nodes.evidence.statements import add_custody, add_tracked
from nodes.evidence.timeline import timelines
from nodes.evidence.verify_text import verify_text
from schemas.moments import format_instant
from signing.keys import sync_folder

INFLATE = "inflate.awk"
EXPORTER = "exporter"


def write_evidence(dossier: Dossier, folder: Path) -> Written:
    """Write the folder; durable on return, nothing there where it fails.

    Raises NotFound where a certificate is not in the record, FileExistsError, OSError.
    """
    if folder.exists():
        raise FileExistsError(17, "is there already", str(folder))
    made, notes = make_files(dossier)
    draft = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    for name, data in made.items():
        _write(draft / name, data)
    for each in sorted(path for path in draft.rglob("*") if path.is_dir()):
        sync_folder(each)
    sync_folder(draft)
    draft.rename(folder)
    sync_folder(folder.parent)
    return Written(sorted(made), notes)


def make_files(dossier: Dossier) -> tuple[dict[str, bytes], list[str]]:
    """Return the folder's files by name, and what is missing in it. Raises NotFound."""
    draft, chains = Draft(), Chains(dossier.trust)
    _add_all(draft, chains, dossier)
    signer = dossier.signer.certificate
    authority = add_chain(draft, chains, EXPORTER, signer, dossier.exported)
    draft.files |= timelines(draft.files, dossier.by, format_instant(dossier.exported))
    text = verify_text(dossier.packet.id, draft.files, draft.notes)
    draft.put(".", "VERIFY.md", text.encode())
    draft.files |= seal(dossier, draft.files, authority)
    return draft.files, draft.notes


def bound_by(dossier: Dossier) -> frozenset[str]:
    """Return the SHA-256 (hex) of all in a folder that leaves of the journal may bind (20.5)."""
    draft, chains = Draft(), Chains(dossier.trust)
    _add_all(draft, chains, dossier)
    add_chain(draft, chains, EXPORTER, dossier.signer.certificate, dossier.exported)
    return frozenset(draft.bound)


def _add_all(draft: Draft, chains: Chains, dossier: Dossier) -> None:
    draft.put(".", "root.pem", pem(dossier.trust.root))
    draft.put(".", INFLATE, files("nodes.evidence").joinpath(INFLATE).read_bytes())
    for frame in dossier.frames:
        add_frame(draft, chains, dossier, frame)
    for leaf in dossier.records:
        draft.put("records", leaf.name, leaf.record)
    for policy in dossier.policies:
        draft.bind(policy)
        draft.put("policies", f"{sha256(policy).hexdigest()}.json", policy)
    for found in dossier.checkpoints:
        add_checkpoint(draft, chains, found)
    for number, renewal in enumerate(dossier.renewals, 1):
        add_renewal(draft, chains, number, renewal)
    for number, note in enumerate(dossier.custody, 1):
        add_custody(draft, chains, number, note)
    for number, statement in enumerate(dossier.tracked, 1):
        add_tracked(draft, chains, number, statement)
    note_what_is_missing(draft, dossier)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
