"""Pieces of signed notes, cut as VERIFY.md cuts them."""

from signing.note_text import read_signature_line, split_note


def signed_text(note: str) -> bytes:
    """Return what the signatures of a note cover: all before the blank line, newline included."""
    return split_note(note)[0].encode()


def own_signature(note: str, name: str) -> bytes:
    """Return the signature in the first line of a note that bears a name, without the key's id."""
    lines = map(read_signature_line, split_note(note)[1])
    return next(signature for each, _, signature in lines if each == name)
