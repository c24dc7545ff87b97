"""Evidence: a folder that proves one exchange to a stranger with stock tools and no code of ours.

    VERIFY.md SHA256SUMS root.pem inflate.awk    what to run, and what it needs
    frame.bin head.bin signed.bin header.json signature.der payload.bin content
    clear.bin                                    of an encrypted frame: 16 random bytes, content
    signer.pem authority.pem roots_and_crls.pem attime.txt packet.p7s
    leaves/INDEX-KIND.txt INDEX-KIND.proof       the packet's journal leaves (C2SP tlog-proof)
    receipt/ closing/ ...                        the same for each answer
    checkpoint.txt journal/                      the journal's signed head, and whose key signed it

Everything is cut from stored bytes; nothing is encoded or signed again. Nothing here reads the
record, the clock or a private key.
"""

import base64
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nodes.errors import NotFound
from nodes.evidence_text import PACKET_FOLDER, Answer, Parts, verify_text
from schemas.answers import CLOSING, RECEIPT, decode_closing, decode_receipt
from schemas.errors import FormatError
from schemas.frame import cut
from schemas.moments import SECOND, Instant, from_datetime
from schemas.records import PacketRow
from signing.certificates import is_authority, is_issued_by
from signing.cms import detached_cms
from signing.crl import Crl, parse_crl, read_crl
from signing.keys import sync_folder
from signing.notes import KeyType, VerifierKey, open_note

HEADER_AT = 8
"""The header begins behind magic, version, algorithm and length."""
PROOF_FIRST_LINE = "c2sp.org/tlog-proof@v1\n"


class ProvenLeaf(msgspec.Struct, frozen=True):
    """A leaf of a frame; `proof` is None where no checkpoint covers it yet."""

    index: int
    kind: str
    record: bytes
    proof: list[bytes] | None


class FrameEvidence(msgspec.Struct, frozen=True):
    """One stored frame: `.` for the packet, else the name of the answer's folder."""

    folder: str
    packet: PacketRow
    raw: bytes | None
    """None where the payload is not here any more."""
    content: bytes | None
    """None where it cannot be opened."""
    leaves: list[ProvenLeaf]
    clear: bytes | None = None
    """Of an encrypted frame that can be opened: salt and content."""


class JournalHead(msgspec.Struct, frozen=True):
    """The newest checkpoint, when it was signed, and the certificate of the key that did."""

    note: str
    origin: str
    at: Instant
    certificate: bytes


class Trust(msgspec.Struct, frozen=True):
    """Root, certificates by their SHA-256 in hex, and all revocation lists, in DER."""

    root: bytes
    certificates: Mapping[str, bytes]
    crls: list[bytes]


class Dossier(msgspec.Struct, frozen=True):
    """All that goes into one evidence folder; the packet's frame comes first."""

    frames: list[FrameEvidence]
    journal: JournalHead | None
    trust: Trust


class Written(msgspec.Struct, frozen=True):
    """What an export wrote, and what it could not."""

    files: list[str]
    notes: list[str]


class Chain(msgspec.Struct, frozen=True):
    """What a certificate is judged by: its authority, and the CRLs in force at `at_s`."""

    authority: bytes
    crls: list[bytes]
    at_s: int
    """Seconds since 1970."""


def write_evidence(dossier: Dossier, folder: Path) -> Written:
    """Write the folder in one step: it takes its name once everything in it is durable.

    Raises NotFound where a certificate is not in the record, FileExistsError, OSError.
    """
    if folder.exists():
        raise FileExistsError(17, "is there already", str(folder))
    export = _Export(dossier)
    export.collect()
    sums = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        for name, data in sorted(export.pieces.items())
    )
    export.pieces["SHA256SUMS"] = sums.encode()
    draft = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    for name, data in export.pieces.items():
        _write(draft / name, data)
    sync_folder(draft)
    draft.rename(folder)
    sync_folder(folder.parent)
    return Written(sorted(export.pieces), export.notes)


def find_journal_certificate(note: str, origin: str, ders: Iterable[bytes]) -> bytes | None:
    """Return the certificate whose Ed25519 key has signed a checkpoint under its origin."""
    for der in ders:
        public = x509.load_der_x509_certificate(der).public_key()
        raw = getattr(public, "public_bytes_raw", None)
        if raw is None:
            continue
        try:
            opened = open_note(note, [VerifierKey(origin, KeyType.ED25519, raw())])
        except FormatError:
            continue
        if opened.text.startswith(f"{origin}\n"):
            return der
    return None


class _Export:
    """Gathers the files of one folder, what VERIFY.md is to check, and what is missing."""

    def __init__(self, dossier: Dossier) -> None:
        self.dossier = dossier
        self.pieces: dict[str, bytes] = {}
        self.notes: list[str] = []
        self.parts = Parts(packet=dossier.frames[0].packet.id)

    def collect(self) -> None:
        """Gather everything."""
        self.pieces["root.pem"] = _pem(self.dossier.trust.root)
        self.pieces["inflate.awk"] = files("nodes").joinpath("cli/inflate.awk").read_bytes()
        for frame in self.dossier.frames:
            self._add_frame(frame)
            self._add_answer(frame)
        if self.dossier.journal is None:
            self.notes.append("no checkpoint is signed yet: export again in a minute")
        else:
            self._add_journal(self.dossier.journal)
        self.pieces["VERIFY.md"] = verify_text(self.parts, self.notes).encode()

    def _add_frame(self, frame: FrameEvidence) -> None:
        """Add a frame's own bytes, cut as VERIFY.md cuts them."""
        at = _prefix(frame.folder)
        head = frame.packet.head
        pieces = cut(head)
        self.parts.frames.append(frame.folder)
        self.pieces[f"{at}head.bin"] = head
        self.pieces[f"{at}signed.bin"] = pieces.signed
        self.pieces[f"{at}header.json"] = pieces.signed[HEADER_AT:]
        self.pieces[f"{at}signature.der"] = pieces.signature
        self._add_payload(frame, at)
        signer = self._certificate(pieces.header.certificate)
        self.pieces[f"{at}signer.pem"] = _pem(signer)
        self._add_chain(frame.folder, signer, frame.packet.sent, self.parts.chained)
        if frame.folder in self.parts.chained:
            authority = x509.load_pem_x509_certificate(self.pieces[f"{at}authority.pem"])
            others = authority.public_bytes(Encoding.DER)
            self.pieces[f"{at}packet.p7s"] = detached_cms(pieces.signature, signer, others)
        self._add_leaves(frame, at)

    def _add_payload(self, frame: FrameEvidence, at: str) -> None:
        if frame.raw is None:
            self._note(frame.folder, "the payload is not here any more: head and leaves remain")
            return
        self.parts.whole.append(frame.folder)
        self.pieces[f"{at}frame.bin"] = frame.raw
        self.pieces[f"{at}payload.bin"] = frame.raw[len(frame.packet.head) :]
        if frame.content is None:
            self._note(frame.folder, "the content cannot be opened with what this node holds")
            return
        self.pieces[f"{at}content"] = frame.content
        if frame.clear is None:
            self.parts.contents.append(frame.folder)
        else:
            self.parts.decrypted.append(frame.folder)
            self.pieces[f"{at}clear.bin"] = frame.clear

    def _add_chain(
        self, folder: str, certificate: bytes, moment: Instant, chained: list[str]
    ) -> None:
        """Add what a certificate is judged by at a moment."""
        at = _prefix(folder)
        chain = find_chain(self.dossier.trust, certificate, moment)
        if isinstance(chain, str):
            self._note(folder, chain)
            return
        if chain.at_s != moment // SECOND:
            self._note(folder, f"judged at second {chain.at_s}: its CRLs were not in force before")
        crls = [_crl_pem(crl) for crl in chain.crls]
        self.pieces[f"{at}authority.pem"] = _pem(chain.authority)
        self.pieces[f"{at}roots_and_crls.pem"] = _pem(self.dossier.trust.root) + b"".join(crls)
        self.pieces[f"{at}attime.txt"] = f"{chain.at_s}\n".encode()
        chained.append(folder)

    def _add_leaves(self, frame: FrameEvidence, at: str) -> None:
        uncovered = 0
        for leaf in frame.leaves:
            name = f"{at}leaves/{leaf.index}-{leaf.kind}"
            self.pieces[f"{name}.txt"] = leaf.record
            if leaf.proof is None or self.dossier.journal is None:
                uncovered += 1
                continue
            self.pieces[f"{name}.proof"] = proof_text(leaf, self.dossier.journal.note)
            if frame.folder not in self.parts.proven:
                self.parts.proven.append(frame.folder)
        if uncovered:
            self._note(frame.folder, f"{uncovered} leaves are not under a checkpoint yet")

    def _add_answer(self, frame: FrameEvidence) -> None:
        """Tell VERIFY.md what an answer says about the packet, or about the receipt."""
        if frame.content is None or frame.folder == PACKET_FOLDER:
            return
        try:
            if frame.packet.type == RECEIPT:
                self._add_receipt(frame, frame.content)
            elif frame.packet.type == CLOSING:
                closing = decode_closing(frame.content)
                self.parts.closings.append(
                    Answer(frame.folder, about=self._folder_of(closing.receipt.id))
                )
        except FormatError as error:
            self._note(frame.folder, f"cannot be read: {error.detail}")

    def _add_receipt(self, frame: FrameEvidence, content: bytes) -> None:
        receipt = decode_receipt(content)
        packet = self.dossier.frames[0].packet
        if bytes.fromhex(receipt.frame_sha256) != packet.frame_sha256:
            self._note(frame.folder, "answers another copy, which was damaged on the way")
            return
        accepted = receipt.verdict == "accepted"
        self.parts.receipts.append(Answer(frame.folder, about=PACKET_FOLDER, accepted=accepted))

    def _folder_of(self, packet_id: str) -> str:
        folders = {frame.packet.id: frame.folder for frame in self.dossier.frames}
        if packet_id not in folders:
            raise NotFound(f"receipt {packet_id} is not in the record: see `bbaj show`")
        return folders[packet_id]

    def _add_journal(self, journal: JournalHead) -> None:
        """Add the checkpoint, the piece of it that is signed, and whose key signed it."""
        self.parts.has_journal = True
        text = journal.note.partition("\n\n")[0] + "\n"
        self.pieces["checkpoint.txt"] = journal.note.encode()
        self.pieces["journal/signed.txt"] = text.encode()
        self.pieces["journal/signature.bin"] = _note_signature(journal)
        self.pieces["journal/signer.pem"] = _pem(journal.certificate)
        self._add_chain("journal", journal.certificate, journal.at, self.parts.journal)

    def _certificate(self, fingerprint: str) -> bytes:
        der = self.dossier.trust.certificates.get(fingerprint)
        if der is None:
            raise NotFound(
                f"certificate {fingerprint} is not in the record: ask a neighbour for it"
            )
        return der

    def _note(self, folder: str, text: str) -> None:
        name = "packet" if folder == PACKET_FOLDER else folder
        self.notes.append(f"{name}: {text}")


def find_chain(trust: Trust, certificate: bytes, moment: Instant) -> Chain | str:
    """Return authority and CRLs for a certificate at a moment, or what is missing for it.

    Where no CRL of that moment is at hand, the nearest one counts, and `at_s` is when it did.
    """
    signer = x509.load_der_x509_certificate(certificate)
    root = x509.load_der_x509_certificate(trust.root)
    authority = _authority_of(signer, trust.certificates.values())
    if authority is None:
        return "the authority's certificate is not in the record"
    crls = [_crl_at(trust.crls, issuer, moment) for issuer in (root, authority)]
    own, above = crls[1], crls[0]
    if own is None or above is None:
        whose = "the authority" if own is None else "the root"
        return f"no revocation list of {whose} is in the record"
    lives = (signer, authority, root)
    since = max(
        own.this_update, above.this_update, *(from_datetime(c.not_valid_before_utc) for c in lives)
    )
    until = min(
        own.next_update, above.next_update, *(from_datetime(c.not_valid_after_utc) for c in lives)
    )
    if since >= until:
        return "its revocation lists were never in force together"
    at = min(max(moment, since), until - SECOND)
    return Chain(authority.public_bytes(Encoding.DER), [above.der, own.der], at // SECOND)


def proof_text(leaf: ProvenLeaf, note: str) -> bytes:
    """Return an inclusion proof as C2SP tlog-proof writes it, checkpoint included."""
    assert leaf.proof is not None, "the checkpoint covers the leaf"
    hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in leaf.proof)
    return f"{PROOF_FIRST_LINE}index {leaf.index}\n{hashes}\n{note}".encode()


def _authority_of(signer: x509.Certificate, ders: Iterable[bytes]) -> x509.Certificate | None:
    """Return the authority that issued a certificate; the one that lives longest, of several."""
    parsed = (x509.load_der_x509_certificate(der) for der in ders)
    issued = [
        each
        for each in parsed
        if each.subject == signer.issuer and is_authority(each) and is_issued_by(signer, each)
    ]
    return max(issued, key=lambda each: each.not_valid_after_utc, default=None)


def _crl_at(ders: Iterable[bytes], issuer: x509.Certificate, moment: Instant) -> Crl | None:
    """Return the issuer's newest CRL of a moment, else its first one after that."""
    found: list[Crl] = []
    for der in ders:
        try:
            parsed = parse_crl(der)
            if parsed.issuer == issuer.subject:
                found.append(read_crl(parsed, issuer))
        except FormatError:
            continue
    before = [crl for crl in found if crl.this_update <= moment]
    if before:
        return max(before, key=lambda crl: crl.number)
    return min(found, key=lambda crl: crl.number, default=None)


def _note_signature(journal: JournalHead) -> bytes:
    """Return the journal key's own signature in a note, without the key's id."""
    lines = journal.note.partition("\n\n")[2].splitlines()
    encoded = next(line.split(" ")[2] for line in lines if line.split(" ")[1] == journal.origin)
    return base64.b64decode(encoded)[4:]


def _prefix(folder: str) -> str:
    return "" if folder == PACKET_FOLDER else f"{folder}/"


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _crl_pem(der: bytes) -> bytes:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
