"""Who has signed our journal, and which of its roots witnesses vouch for: judged from the record.

A cosignature counts where its Ed25519 signature holds over the stored checkpoint, and its
certificate is the witness's own, issued under the network's root. What is only missing, such as a
fresh revocation list, harms nothing here: this is about the journal, not about the witness.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from nodes.evidence.cosigned import witness_keys
from schemas.addresses import dns_name
from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.moments import SECOND, Instant
from schemas.reasons import Reason
from schemas.records import CosignatureRow
from signing.algorithms import DEFAULT
from signing.certificates import is_authority, is_issued_by, parse_certificate
from signing.notes import KeyType, VerifierKey, open_note, read_checkpoint
from signing.past import Claim, Papers, judge_past
from signing.profiles import Purpose


class Papered(msgspec.Struct, frozen=True):
    """What cosignatures are judged by, in DER."""

    root: bytes
    certificates: Sequence[bytes]
    crls: Sequence[bytes]


class Held(msgspec.Struct, frozen=True):
    """A cosignature that counts: for which root, and by which key."""

    row: CosignatureRow
    root: bytes
    key: VerifierKey


class Vouched(msgspec.Struct, frozen=True):
    """What witnesses vouch for, and which cosignatures do not count and why."""

    held: list[Held]
    faults: list[tuple[CosignatureRow, str]]

    @property
    def roots(self) -> dict[int, bytes]:
        """The roots vouched for, by size of the journal."""
        return {each.row.size: each.root for each in self.held}

    @property
    def witnesses(self) -> list[str]:
        """Whose cosignatures count."""
        return sorted({each.row.witness for each in self.held})


def vouched_roots(
    rows: Iterable[CosignatureRow], notes: Mapping[int, str], papers: Papered, limits: Limits
) -> Vouched:
    """Judge cosignatures; `notes` are our checkpoints by size."""
    judge = _Judge(papers, limits)
    found = Vouched([], [])
    for row in rows:
        note = notes.get(row.size)
        if note is None:
            found.faults.append((row, "the checkpoint that it is of was deleted"))
            continue
        try:
            text, key = judge.open(row, note)
            checkpoint = read_checkpoint(text)
        except FormatError as error:
            found.faults.append((row, f"does not count: {error.detail}"))
            continue
        if checkpoint.size == row.size:
            found.held.append(Held(row, checkpoint.root, key))
        else:
            found.faults.append((row, f"is of a checkpoint over {checkpoint.size} leaves"))
    return found


def find_journal_certificate(note: str, origin: str, ders: Iterable[bytes]) -> bytes | None:
    """Return the certificate whose Ed25519 key has signed a checkpoint under its origin."""
    for der in ders:
        raw = ed25519_key(der)
        if raw is None:
            continue
        try:
            opened = open_note(note, [VerifierKey(origin, KeyType.ED25519, raw)])
        except FormatError:
            continue
        if opened.text.startswith(f"{origin}\n"):
            return der
    return None


def ed25519_key(der: bytes) -> bytes | None:
    """Return the raw Ed25519 key of a certificate, None where it has another."""
    public = x509.load_der_x509_certificate(der).public_key()
    return public.public_bytes_raw() if isinstance(public, ed25519.Ed25519PublicKey) else None


class _Judge:
    """The certificates that cosignatures are judged by, sorted once."""

    def __init__(self, papers: Papered, limits: Limits) -> None:
        self._papers = papers
        self._limits = limits
        self._witnesses = witness_keys(papers.certificates)
        parsed = map(parse_certificate, papers.certificates)
        self._authorities = [each for each in parsed if each is not None and is_authority(each)]

    def open(self, row: CosignatureRow, note: str) -> tuple[str, VerifierKey]:
        """Return the text that a witness has cosigned, and its key. Raises FormatError."""
        text, witness = note.partition("\n\n")[0], dns_name(row.witness)
        fault = f"no certificate of the witness key of {row.witness} is in the record"
        for (name, _), der in self._witnesses.items():
            raw = ed25519_key(der)
            if name != witness or raw is None:
                continue
            verifier = VerifierKey(name, KeyType.COSIGNATURE_V1, raw)
            try:
                opened = open_note(f"{text}\n\n{row.lines}", [verifier])
            except FormatError as error:
                fault = error.detail
                continue
            time_s = opened.signatures[0].time or 0
            fault = self._fault_of(der, row.witness, time_s * SECOND)
            if not fault:
                return opened.text, verifier
        raise FormatError(Reason.SIG_INVALID, fault)

    def _fault_of(self, der: bytes, witness: str, at: Instant) -> str:
        """Return why a certificate did not count for a witness at a moment; empty where it did."""
        certificate = x509.load_der_x509_certificate(der)
        claim = Claim(witness, Purpose.WITNESS, moment=at, signed=at, relied_at=at)
        fault = "its authority's certificate is not in the record"
        for authority in self._authorities:
            if not is_issued_by(certificate, authority):
                continue
            der_above = authority.public_bytes(Encoding.DER)
            papers = Papers(der, der_above, self._papers.root, self._papers.crls)
            answers = judge_past(claim, papers, DEFAULT, self._limits)
            faults = [each.detail for each in answers if not each.holds and each.question != "crl"]
            if not faults:
                return ""
            fault = faults[0]
        return fault
