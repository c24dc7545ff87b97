"""Who has cosigned the head of a public log, as far as a folder has their keys (clause 14.4)."""

import re

from nodes.evidence.case import Case, at, seconds
from schemas.addresses import dns_name
from schemas.errors import FormatError
from schemas.moments import format_instant
from signing.note_text import read_signature_line, split_note
from signing.notes import KeyType, VerifierKey, checkpoint_of, open_note

_COSIGNED = re.compile(r"(checkpoints/[1-9][0-9]*/witnesses/[1-9][0-9]*)/cosigned\.txt")


def said_by_witnesses(case: Case, name: str, note: str) -> str:
    """Return what there is to say of the lines of witnesses in a head, of file `name`.

    Those are checked whose key has cosigned a checkpoint of the folder, where the key itself is
    judged. Raises PieceFault where one of them does not hold.
    """
    try:
        origin = checkpoint_of(note).origin
        lines = [read_signature_line(line)[:2] for line in split_note(note)[1]]
        others = {line for line in lines if line[0] != origin}
        keys = [key for key in _witness_keys(case) if (key.name, key.id) in others]
        held = open_note(note, keys).signatures if keys else []
    except FormatError as fault:
        raise at(name, fault) from fault
    said = [f"cosigned by {each.name} at {_moment(each.time, name)}" for each in held]
    unknown = len(others) - len(keys)
    if unknown:
        said.append(f"lines not checked, as their keys are not here: {unknown}")
    return "; ".join(said)


def _moment(time_s: int | None, name: str) -> str:
    return format_instant(seconds(time_s or 0, name))


def _witness_keys(case: Case) -> list[VerifierKey]:
    """Return the keys that have cosigned checkpoints of the folder, as they are certified."""
    found: dict[tuple[str, bytes], VerifierKey] = {}
    for folder in filter(None, map(_COSIGNED.fullmatch, case.folder.files)):
        try:
            public = case.log_key(folder[1])
            name = dns_name(case.address(folder[1]))
        except FormatError:
            continue  # check `witness` says so
        key = VerifierKey(name, KeyType.COSIGNATURE_V1, public)
        found[key.name, key.id] = key
    return list(found.values())
