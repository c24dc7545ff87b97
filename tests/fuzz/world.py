"""What hostile bytes are tried on: a node of the vectors' network, and the corpus.

Keys, dates and serial numbers are those of `vectors.fixed_keys`, known to everybody: so an input
that was found once means the same in every process, and nobody's key lies in the repository.
"""

import hashlib
import re
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec

from exchange.gate import Gate
from fuzz.forms import form_of, pack, signed_form
from harness.cards import registry_of
from schemas.cards import enrolment_address
from schemas.limits import Limits
from signing.at_rest import AtRest
from signing.chain import TrustStore
from signing.encryption import EncryptionKeyring
from signing.keys import PacketSigner
from signing.profiles import Purpose
from vectors.encryption import hybrid_key
from vectors.fixed_keys import DISTRICT, NODES, NOW, OBLAST, SCHOOL, FixedNetwork, p256

CORPUS = Path(__file__).parent / "corpus"
FOUND = "found-"
"""So begin the names of inputs that a run has found; nothing of theirs is genuine."""
INVITATION = "one"
LIMITS = Limits()
SCRATCH_USES = 64

_FRAME_FACTS = re.compile(rb'"sha256":"[0-9a-f]{64}","sha512":"[0-9a-f]{128}","size":[0-9]+')
_BODY_FACTS = re.compile(rb'"body":\{"sha256":"[0-9a-f]{64}","size":[0-9]+\}')


class World:
    """One network, two of its nodes, and what they have genuinely signed."""

    def __init__(self) -> None:
        """Make what everybody knows."""
        self.network = FixedNetwork()
        self.enrolment = self._enrolment()
        self.trust = self.fresh_trust()
        self._folder = TemporaryDirectory(prefix="bbaj-fuzz-")
        self.oblast = self._gate(OBLAST)
        self.district = self._gate(DISTRICT)
        self.school = self.network.nodes[SCHOOL].packet
        self._scratch = (self.trust, SCRATCH_USES)

    def scratch_trust(self) -> TrustStore:
        """Return a trust store to fill with rubbish: the same one for some inputs, then afresh."""
        store, uses = self._scratch
        if uses >= SCRATCH_USES:
            store, uses = self.fresh_trust(), 0
        self._scratch = (store, uses + 1)
        return store

    def fresh_trust(self) -> TrustStore:
        """Return a trust store that has learned what the network has."""
        store = TrustStore(self.network.root.der)
        store.add_certificates([*self.network.certificates, self.enrolment.certificate])
        for crl in self.network.crls:
            store.add_crl(crl)
        return store

    def _enrolment(self) -> PacketSigner:
        key, address = p256("enrolment one"), enrolment_address(DISTRICT, INVITATION)
        return PacketSigner(key, self.network.issue(address, Purpose.ENROLMENT, key, NOW))

    def _gate(self, here: str) -> Gate:
        node = self.network.nodes[here]
        return Gate(
            here=here,
            epoch=1,
            trust=self.trust,
            signer=node.packet,
            journal=node.journal,
            encryption=EncryptionKeyring(hybrid_key(here)),
            at_rest=AtRest(Path(self._folder.name) / here),
            limits=LIMITS,
            registry=registry_of(here, "kz", *NODES),
        )

    @cached_property
    def vkeys(self) -> list[str]:
        """The keys that sign the notes of the corpus."""
        return (CORPUS / "note" / "vkeys").read_text(encoding="utf-8").splitlines()


@lru_cache
def world() -> World:
    """Return the one world of this process."""
    return World()


@lru_cache
def seeds(target: str) -> dict[str, bytes]:
    """Return the corpus of a target by file name: what is genuine, and what was found."""
    files = sorted((CORPUS / target).iterdir())
    return {file.name: file.read_bytes() for file in files if file.name != "vkeys"}


@lru_cache
def genuine(target: str) -> frozenset[bytes]:
    """Return what was genuinely signed."""
    return frozenset(raw for name, raw in seeds(target).items() if not name.startswith(FOUND))


def signed_anew(raw: bytes, signer: PacketSigner) -> bytes:
    """Return a frame or link object under a new signature, and with the digests that are right.

    So an insider's work gets past the first checks. What is cut to pieces stays as it is.
    """
    form = signed_form(raw)
    if form is None:
        return raw
    start, header, _, rest = form.parts
    header = _FRAME_FACTS.sub(_frame_facts(rest), header, count=1)
    header = _BODY_FACTS.sub(b'"body":' + _body_facts(rest), header, count=1)
    signature = signer.sign(start + len(header).to_bytes(2) + header)
    return form.join([start, header, signature, rest])


def entries_signed_anew(raw: bytes, signer: PacketSigner) -> bytes:
    """Return a bundle whose entries are signed anew, and then the whole."""
    form = signed_form(raw)
    body = None if form is None else form_of(form.parts[3])
    if form is None or body is None or body.is_list or len(body.parts) != 2:
        return signed_anew(raw, signer)
    entries = form_of(body.parts[1])
    pieces = [] if entries is None else [signed_anew(each, signer) for each in entries.parts]
    changed = [*form.parts[:3], body.parts[0] + pack(pieces)]
    return signed_anew(form.join(changed), signer)


def der_signed_anew(raw: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate, CRL or request whose last element is a signature by `key`."""
    form = form_of(raw)
    if form is None or len(form.parts) != 3:
        return raw
    signature = PacketSigner.sign(_Bare(key), form.parts[0])
    bits = b"\x03" + bytes([len(signature) + 1]) + b"\0" + signature
    return form.join([*form.parts[:2], bits])


class _Bare(PacketSigner):
    """A signing key without a certificate."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key


def _frame_facts(payload: bytes) -> bytes:
    sha256, sha512 = hashlib.sha256(payload).hexdigest(), hashlib.sha512(payload).hexdigest()
    return f'"sha256":"{sha256}","sha512":"{sha512}","size":{len(payload)}'.encode()


def _body_facts(body: bytes) -> bytes:
    return f'{{"sha256":"{hashlib.sha256(body).hexdigest()}","size":{len(body)}}}'.encode()
