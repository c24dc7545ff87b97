"""Checks `files` and `manifest`: nothing was damaged, added or left out since the export (20.2)."""

import re
from collections.abc import Mapping

from nodes.evidence.case import Case, at
from nodes.evidence.manifest import MANIFEST, SEAL, SUMS, Manifest, decode_manifest
from nodes.evidence.names import is_known
from nodes.evidence.reading import Folder, PieceFault, inside
from nodes.evidence.verdict import Check, Finding, joined, judge
from nodes.evidence.write import EXPORTER
from schemas.errors import FormatError
from schemas.frame import cut
from schemas.moments import parse_instant
from signing.cms import raw_signature
from signing.past import Claim
from signing.profiles import Purpose

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._/-]*)\n")
ROOT = "root.pem"
_UNLISTED = frozenset({SUMS, MANIFEST, SEAL})


def check_files(folder: Folder) -> list[Check]:
    """Return a check for each file at fault, else one for all."""
    try:
        sums = read_sums(folder)
    except PieceFault as fault:
        return [Check("files", fault.where, "fails", fault.detail)]
    faults = dict(folder.strange)
    for name in folder.files.keys() - sums.keys() - _UNLISTED:
        faults[name] = f"is not listed in {SUMS}"
    for name, digest in sums.items():
        if name in folder.files and folder.sha256(name) != digest:
            faults[name] = f"has another SHA-256 than {SUMS} says"
        elif name not in folder.files:
            faults.setdefault(name, "is listed, and is not there")
    if not faults:
        return [Check("files", SUMS, "holds", f"{len(sums)} files")]
    return [Check("files", name, "fails", why) for name, why in sorted(faults.items())]


def check_names(folder: Folder) -> list[Check]:
    """Return a warning for each file that the format does not know: nothing of it is judged."""
    detail = "is no file of this format: its exporter has sealed it, and nothing in it is checked"
    strange = [name for name in sorted(folder.files) if not is_known(name, folder.files)]
    return [Check("unknown", name, "warns", detail) for name in strange] or [
        Check("unknown", ".", "absent", "every file is one of this format")
    ]


def read_sums(folder: Folder) -> dict[str, str]:
    """Return the digest in hex of each file listed, by name. Raises PieceFault."""
    text = folder.text(SUMS)
    found = _LINE.findall(text)
    names = [name for _, name in found]
    if "".join(f"{digest}  {name}\n" for digest, name in found) != text:
        raise PieceFault(SUMS, "has a line that is none of sha256sum, or a strange name")
    if names != sorted(set(names)) or _UNLISTED & set(names):
        raise PieceFault(SUMS, "is not sorted by name, or lists a file twice or itself")
    return {name: digest for digest, name in found}


def check_manifest(case: Case, frames: list[str], checkpoints: list[str]) -> list[Check]:
    """Judge the exporter's seal, and what it says is in the folder."""
    seal = judge("manifest", SEAL, _check_seal, case)
    contents = judge("manifest", MANIFEST, _check_contents, case, frames, checkpoints)
    checks = [seal, judge("manifest", EXPORTER, _check_exporter, case), contents]
    if seal.result == "fails" and ("fails", MANIFEST) not in {(c.result, c.where) for c in checks}:
        # Which of the two was changed nobody can tell: both are named.
        checks.append(Check("manifest", MANIFEST, "fails", "no seal that holds is over it"))
    return checks


def manifest_of(folder: Folder) -> Manifest:
    """Return what the manifest says. Raises PieceFault."""
    try:
        return decode_manifest(folder.read(MANIFEST))
    except FormatError as fault:
        raise at(MANIFEST, fault) from fault


def _check_seal(case: Case) -> str:
    """Judge the CMS: it must be the one form of what its certificates and signature make."""
    folder, manifest = case.folder, manifest_of(case.folder)
    signer = case.certificate(EXPORTER)
    case.packet_key(EXPORTER)
    others = [folder.certificate(inside(EXPORTER, "authority.pem"))]
    signature = raw_signature(folder.read(SEAL), signer, *others)
    if signature is None:
        raise PieceFault(SEAL, "is not the one detached CMS of the exporter's certificates")
    case.check_signed(EXPORTER, SEAL, signature, folder.read(MANIFEST), case.now)
    return f"by {manifest.by}"


def _check_exporter(case: Case) -> Finding:
    manifest = manifest_of(case.folder)
    exported = parse_instant(manifest.exported)
    claim = Claim(manifest.by, Purpose.PACKET, exported, exported, case.now)
    said = case.judge_chain(EXPORTER, claim, proven=False)
    return joined(f"{manifest.by} at {manifest.exported}", said)


def _check_contents(case: Case, frames: list[str], checkpoints: list[str]) -> str:
    folder, manifest = case.folder, manifest_of(case.folder)
    if folder.certificate(ROOT) != case.root:
        raise PieceFault(ROOT, "is another root than the one that is trusted")
    if folder.sha256(SUMS) != manifest.sums:
        raise PieceFault(SUMS, f"is not the one that {MANIFEST} names")
    packet = _packet_of(folder)
    named = {
        "from": manifest.packet.from_,
        "epoch": manifest.packet.epoch,
        "id": manifest.packet.id,
    }
    if packet != named:
        raise PieceFault(MANIFEST, "names another packet than the folder has")
    if list(manifest.frames) != frames:
        raise PieceFault(MANIFEST, f"names frames {list(manifest.frames)}, there are {frames}")
    if [f"checkpoints/{size}" for size in manifest.checkpoints] != checkpoints:
        raise PieceFault(MANIFEST, "names other checkpoints than the folder has")
    return f"{len(frames)} frames, {len(checkpoints)} checkpoints"


def _packet_of(folder: Folder) -> Mapping[str, str | int]:
    try:
        header = cut(folder.read("head.bin")).header
    except FormatError as fault:
        raise at("head.bin", fault) from fault
    return {"from": header.from_, "epoch": header.epoch, "id": header.id}
