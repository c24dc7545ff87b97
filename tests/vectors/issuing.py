"""The vectors of issuing and its public logs (docs/protocol.md clause 14)."""

import hashlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from schemas import wire
from schemas.issued import CrlEntry, log_origin
from schemas.moments import SECOND
from schemas.object_header import Body
from schemas.objects import AnyObject, Issued, pack_pieces
from schemas.statements import Alarm, Grant, Request, Revocation
from signing.authority import make_request
from signing.cosigner import Cosigner
from signing.genesis import make_genesis, sign_genesis
from signing.notes import checkpoint_of, sign_checkpoint
from signing.profiles import Purpose
from signing.seal import sign_object
from store.merkle import leaf_hash, root_of
from vectors.fixed_keys import DISTRICT, NOW, OBLAST, SCHOOL, FixedNetwork

Vector = dict[str, Any]


def issuing(network: FixedNetwork) -> dict[str, Any]:
    """Return statements, one object of a log, its entries and head, and a genesis file."""
    school, oblast = network.nodes[SCHOOL], network.nodes[OBLAST]
    crl = network.crls[1]
    revoked = len(x509.load_der_x509_crl(crl))
    number = x509.load_der_x509_crl(crl).extensions.get_extension_for_class(x509.CRLNumber)
    listed = CrlEntry(number.value.crl_number, hashlib.sha256(crl).digest(), revoked)
    entries = [school.packet.certificate, listed.text]
    root = root_of([leaf_hash(entry) for entry in entries])
    head = sign_checkpoint(log_origin(OBLAST), len(entries), root, oblast.journal)
    asked = pack_pieces([_request(school.packet_key), _request(school.journal_key)])
    renew = _signed(
        network, Request, asked, from_=SCHOOL, to=OBLAST, number=NOW + 40,
        subject=SCHOOL, what="renew",
    )  # fmt: skip
    text = wire.encode(Revocation(reason="keyCompromise", sha256=school.packet.fingerprint))
    revoke = _signed(
        network, Request, text, from_=DISTRICT, to=OBLAST, number=NOW + 41,
        subject=SCHOOL, what="revoke",
    )  # fmt: skip
    answer = {"subject": SCHOOL, "request": hashlib.sha256(renew).hexdigest()}
    issued = pack_pieces([head.encode(), *entries])
    # There is no node above the oblast here: the district's witness key stands for that of one.
    witness = network.nodes[DISTRICT].witness
    line = Cosigner(DISTRICT, witness).certified_line(checkpoint_of(head).text, NOW // SECOND)
    cosigned = pack_pieces([(head + line).encode()])
    good = {
        "request-renew": renew,
        "request-revoke": revoke,
        "grant": _signed(
            network, Grant, pack_pieces([school.packet.certificate, school.journal.certificate]),
            from_=OBLAST, to=SCHOOL, number=NOW + 42, **answer, outcome="granted",
        ),
        "grant-refused": _signed(
            network, Grant, pack_pieces([]), from_=OBLAST, to=SCHOOL, number=NOW + 43, **answer,
            outcome="refused", detail="packet was renewed before",
        ),
        "issued": _signed(
            network, Issued, issued, from_=OBLAST, to=DISTRICT, number=NOW + 44, authority=OBLAST,
            journal=oblast.journal.fingerprint, first=0, last=2, size=2,
        ),
        "issued-cosigned": _signed(
            network, Issued, cosigned, from_=OBLAST, to=DISTRICT, number=NOW + 46,
            authority=OBLAST, journal=oblast.journal.fingerprint, first=2, last=2, size=2,
            witnesses=(witness.fingerprint,),
        ),
        "alarm": _signed(
            network, Alarm, school.packet.certificate, from_=SCHOOL, to=OBLAST, number=NOW + 45,
            what="certificate-unasked", detail="for a key that is not ours",
        ),
    }  # fmt: skip
    genesis = make_genesis(
        network.root.der, [(OBLAST, network.authority.der)],
        [(OBLAST, "packet", oblast.packet.certificate)], 1,
    )  # fmt: skip
    return {
        "good": [described(name, raw) for name, raw in good.items()],
        "log": {
            "authority": OBLAST,
            "entries": [entry.hex() for entry in entries],
            "crl_entry": listed.text.decode(),
            "crl": crl.hex(),
            "root": root.hex(),
            "head": head,
        },
        "genesis": {
            "text": genesis.decode(),
            "signature": sign_genesis(genesis, network.root.key).hex(),
        },
    }


def _request(key: Any) -> bytes:
    purpose = Purpose.PACKET if hasattr(key, "curve") else Purpose.JOURNAL
    pem = make_request(key, SCHOOL, purpose)
    return x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)


def _signed(network: FixedNetwork, kind: type[AnyObject], body: bytes, **fields: Any) -> bytes:
    signer = network.nodes[fields["from_"]].packet
    named = {"epoch": 1, "certificate": signer.fingerprint, **fields}
    named["body"] = Body(hashlib.sha256(body).hexdigest(), len(body))
    return sign_object(kind(**named), signer, body)


def described(name: str, raw: bytes) -> Vector:
    """Return a signed object cut for its reader: header as text, body in hex."""
    size = 9 + int.from_bytes(raw[7:9])
    body = raw[size + 2 + int.from_bytes(raw[size : size + 2]) :]
    text = raw[9:size].decode("ascii")
    return {"name": name, "object": raw.hex(), "header": text, "body": body.hex()}
