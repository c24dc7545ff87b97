"""Check `leaf`: leaves of the folder agree with the frames that they are about."""

import hashlib
import re

import msgspec

from nodes.evidence.case import at
from nodes.evidence.reading import Folder, PieceFault, inside
from nodes.evidence.verdict import Check, ExistedBy, judge
from schemas.errors import FormatError
from schemas.frame import Frame, cut
from schemas.leaves import read_leaf
from schemas.moments import Instant

RECORDS = "records"
POLICIES = "policies"
_LEAF_NAME = re.compile(r"(0|[1-9][0-9]{0,18})-([a-z-]+)\.txt")


class Existence(msgspec.Struct, frozen=True):
    """When something existed, and by whose word: that of its own sender, or signer, is a claim."""

    at: Instant
    by: ExistedBy

    @property
    def proven(self) -> bool:
        """Whether somebody else says so."""
        return self.by != "sender"


def frame_of(folder: Folder, where: str) -> Frame:
    """Return a frame's head, cut. Raises PieceFault."""
    name = inside(where, "head.bin")
    try:
        return cut(folder.read(name))
    except FormatError as fault:
        raise at(name, fault) from fault


def check_leaves(folder: Folder, where: str) -> list[Check]:
    """Return a check for each leaf of a frame."""
    names = _by_index(folder.below(inside(where, "leaves")))
    if not names:
        return [Check("leaf", where, "absent", "the journal has no leaf about it")]
    return [_leaf(folder, where, name) for name in names]


def check_records(folder: Folder) -> list[Check]:
    """Return a check for each other leaf, of the kind that its name says, and for each policy."""
    leaves = _by_index(folder.below(RECORDS))
    return [
        *(judge("leaf", name, _kind_of, folder, name) for name in leaves),
        *(judge("leaf", name, _check_policy, folder, name) for name in folder.below(POLICIES)),
    ]


def read_leaf_file(folder: Folder, name: str) -> dict[str, str]:
    """Return the lines of a leaf whose kind is that of its name. Raises PieceFault."""
    try:
        leaf = read_leaf(folder.read(name))
    except FormatError as fault:
        raise at(name, fault) from fault
    found = _LEAF_NAME.fullmatch(name.rpartition("/")[2])
    if found is None or found[2] != leaf.get("kind"):
        raise PieceFault(
            name, f"is a leaf of kind {leaf.get('kind', 'none')}, not as its name says"
        )
    return leaf


def index_of(name: str) -> int | None:
    """Return a leaf's index by its file's name, None where that is no leaf's."""
    found = _LEAF_NAME.fullmatch(name.rpartition("/")[2])
    return None if found is None else int(found[1])


def facts_of(folder: Folder, where: str) -> dict[str, str]:
    """Return what a leaf about a frame must agree with, by key. Raises PieceFault."""
    frame = frame_of(folder, where)
    header = frame.header
    facts = {
        "id": header.id,
        "type": header.type,
        "from": header.from_,
        "to": header.to,
        "epoch": str(header.epoch),
        "seq": str(header.seq),
        "sent": header.sent,
        "certificate": header.certificate,
        "head-sha256": hashlib.sha256(frame.raw).hexdigest(),
        "head-sha512": hashlib.sha512(frame.raw).hexdigest(),
    }
    whole = whole_frame(folder, where)
    if whole is not None:
        facts["size"] = str(len(whole))
        facts["frame-sha256"] = hashlib.sha256(whole).hexdigest()
        facts["frame-sha512"] = hashlib.sha512(whole).hexdigest()
    return facts


def whole_frame(folder: Folder, where: str) -> bytes | None:
    """Return a frame with its payload; None where they do not fit, or are not here any more."""
    head, payload = (folder.files.get(inside(where, n)) for n in ("head.bin", "payload.bin"))
    whole = folder.files.get(inside(where, "frame.bin"))
    fits = head is not None and payload is not None and whole == head + payload
    return whole if fits else None


def frame_digests(folder: Folder, where: str) -> set[str]:
    """Return the SHA-256 of the whole frame, in hex: its own, or as leaves that are tied to it say.

    Raises PieceFault where its head cannot be read.
    """
    facts = facts_of(folder, where)
    if "frame-sha256" in facts:
        return {facts["frame-sha256"]}
    found = set()
    for name in folder.below(inside(where, "leaves")):
        try:
            leaf = read_leaf_file(folder, name)
            if check_agrees(name, leaf, facts) and "frame-sha256" in leaf:
                found.add(leaf["frame-sha256"])
        except PieceFault:
            continue  # check `leaf` says so
    return found


def check_agrees(name: str, leaf: dict[str, str], facts: dict[str, str]) -> bool:
    """Say whether a leaf ties itself to a frame by a digest. Raises PieceFault where it differs."""
    for key in facts.keys() & leaf.keys():
        if leaf[key] != facts[key]:
            raise PieceFault(name, f"its {key} is not the frame's")
    return any(key in leaf for key in facts if key.endswith(("sha256", "sha512")))


def _leaf(folder: Folder, where: str, name: str) -> Check:
    try:
        leaf = read_leaf_file(folder, name)
        if check_agrees(name, leaf, facts_of(folder, where)):
            return Check("leaf", name, "holds", leaf["kind"])
    except PieceFault as fault:
        return Check("leaf", fault.where, "fails", fault.detail)
    if "frame-sha256" in leaf:
        return Check("leaf", name, "absent", "it names the whole frame, whose payload is gone")
    return Check("leaf", name, "fails", "it names no digest of the frame")


def _check_policy(folder: Folder, name: str) -> str:
    """Say that a version of a policy is the one that a leaf can name: its name is its digest."""
    if name != f"{POLICIES}/{folder.sha256(name)}.json":
        raise PieceFault(name, "is not the policy of that SHA-256")
    return "policy"


def _kind_of(folder: Folder, name: str) -> str:
    return read_leaf_file(folder, name)["kind"]


def _by_index(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: index_of(name) or 0)
