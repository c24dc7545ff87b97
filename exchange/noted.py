"""Whose keys sign notes: the certified ones of a neighbour, and our own, found by the key's id."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ed25519

from exchange.state import NodeState
from schemas.addresses import dns_name
from schemas.errors import FormatError
from schemas.moments import Instant
from schemas.reasons import Reason
from signing.chain import Trusted
from signing.note_text import read_signature_line, split_note
from signing.notes import Checkpoint, KeyType, VerifierKey, open_note, read_checkpoint
from signing.profiles import Purpose

_TYPES = {Purpose.JOURNAL: KeyType.ED25519, Purpose.WITNESS: KeyType.COSIGNATURE_V1}


def certified_key(  # noqa: PLR0917 - one claim and what judges it
    state: NodeState, certificate: str, address: str, purpose: Purpose, name: str, now: Instant
) -> VerifierKey:
    """Return the journal or witness key of a certificate, to verify under `name`.

    Raises FormatError where the certificate (by its fingerprint) does not count for the address.
    """
    trust, limits = state.gate.trust, state.rules.limits
    standing = trust.judge_neighbour(certificate, address, purpose, now, limits)
    if not isinstance(standing, Trusted):
        raise FormatError(Reason.CERTIFICATE_UNTRUSTED, f"{purpose} key: {standing.detail}")
    assert isinstance(standing.public_key, ed25519.Ed25519PublicKey), "such keys are Ed25519"
    return VerifierKey(name, _TYPES[purpose], standing.public_key.public_bytes_raw())


def open_checkpoint(
    state: NodeState, note: str, certificate: str, address: str, now: Instant
) -> Checkpoint:
    """Return the checkpoint of a note that the journal key of an address has signed.

    The key signs under the origin that the note names. Raises FormatError where it has not.
    """
    name = read_checkpoint(split_note(note)[0]).origin
    key = certified_key(state, certificate, address, Purpose.JOURNAL, name, now)
    return read_checkpoint(open_note(note, [key]).text)


def own_journal_of(state: NodeState, note: str) -> str | None:
    """Return the fingerprint of our journal certificate whose key has signed a note; else None.

    One that has ended, or was revoked as another machine came, counts: what it signed stands.
    Raises FormatError where it is no note of a checkpoint, or the signature does not hold.
    """
    text, lines = split_note(note)
    name = read_checkpoint(text).origin
    ids = {read_signature_line(line)[:2] for line in lines}
    for certificate in _own_certificates(state):
        key = _key_of(state, certificate, state.rules.here, Purpose.JOURNAL, name)
        if key is not None and (name, key.id) in ids:
            open_note(note, [key])
            return certificate
    return None


def _own_certificates(state: NodeState) -> Iterator[str]:
    """Go through our own certificates, that of the journal key in use first."""
    gate = state.gate
    yield gate.key_facts().journal
    yield from gate.trust.certificates_of(gate.here)


def open_cosigned(state: NodeState, note: str, name: str, least: int) -> Checkpoint:
    """Return our checkpoint in a note that so many of our children have cosigned as well.

    Raises FormatError where it is of another log than `name`, or too few have.
    """
    if own_journal_of(state, note) is None:
        raise FormatError(Reason.SIG_INVALID, f"no journal key of {state.rules.here} has signed it")
    names = {dns_name(child) for child in state.registry.children}
    keys = [key for child in state.registry.children for key in _witness_keys(state, child)]
    found = open_note(note, keys)
    signed = {each.name for each in found.signatures} & names
    if len(signed) < least:
        detail = f"{len(signed)} of our children have cosigned it, {least} are needed"
        raise FormatError(Reason.SIG_INVALID, detail)
    head = read_checkpoint(found.text)
    if head.origin != name:
        raise FormatError(Reason.FORMAT_INVALID, f"it is of {head.origin}, not of {name}")
    return head


def _witness_keys(state: NodeState, address: str) -> Iterator[VerifierKey]:
    for each in state.gate.trust.certificates_of(address):
        key = _key_of(state, each, address, Purpose.WITNESS, dns_name(address))
        if key is not None:
            yield key


def _key_of(
    state: NodeState, certificate: str, address: str, purpose: Purpose, name: str
) -> VerifierKey | None:
    """Return a key that was certified for an address, whatever became of it since."""
    key = state.gate.trust.key_of(certificate, address, purpose)
    if not isinstance(key, ed25519.Ed25519PublicKey):
        return None
    return VerifierKey(name, _TYPES[purpose], key.public_bytes_raw())
