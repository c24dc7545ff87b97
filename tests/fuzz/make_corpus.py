"""Writes the genuine part of the corpus, from the golden vectors and their known keys.

Run `PYTHONPATH=tests python -m fuzz.make_corpus` after a change of format that is meant. What runs
have found stays; the evidence folder is made with keys of its own, which are thrown away.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_csr

from fuzz.forms import pack
from fuzz.world import CORPUS, FOUND, INVITATION, World, _body_facts
from harness.evidence import make_exchange, rich_dossier
from nodes.evidence.write import make_files
from nodes.invitations import make_text
from schemas.codes import Tier
from schemas.frame import cut
from schemas.invitations import InvitationFacts, pack_invitation
from schemas.moments import DAY, format_instant
from schemas.object_header import Body
from schemas.statements import Invitation
from signing.authority import make_request
from signing.payload import open_payload
from signing.profiles import Purpose
from signing.seal import sign_object
from vectors.fixed_keys import DISTRICT, NOW, SCHOOL, ed25519_key, p256

VECTORS = Path(__file__).parents[1] / "vectors"
OBJECT_FILES = (
    "cards", "witnessing", "issuing", "tracking", "rebuilding", "recovery", "reconciling",
    "parts",
)  # fmt: skip
PURPOSES = (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK)


def main() -> None:
    """Write the files anew."""
    world = World()
    for target, files in corpus(world).items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.name.startswith(FOUND):
                old.unlink()
        for name, data in files.items():
            (folder / name).write_bytes(data)


def corpus(world: World) -> dict[str, dict[str, bytes]]:
    """Return the files of each target by name."""
    frames, objects = _frames(), _objects()
    certificates = _certificates(world)
    return {
        "frame": frames,
        "object": objects,
        "answer": _answers(frames),
        "payload": _payloads(frames),
        "note": _notes(),
        "text": _texts(),
        "certificate": certificates,
        "crl": {f"crl-{n}": der for n, der in enumerate(world.network.crls)},
        "request": _requests(),
        "invitation": {"school": _invitation(world)},
        "token": _tokens(evidence := _evidence()),
        "evidence": {"whole": _packed(evidence)},
    }


def _load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def _frames() -> dict[str, bytes]:
    judged = [(each["name"], each["frame"]) for each in _load("judged-frames")]
    made = [(each["name"], each["frame"]) for each in _load("frames")]
    return {name: bytes.fromhex(raw) for name, raw in {**dict(judged), **dict(made)}.items()}


def _objects() -> dict[str, bytes]:
    found = _load("objects") + [each for name in OBJECT_FILES for each in _load(name)["good"]]
    return {each["name"]: bytes.fromhex(each["object"]) for each in found}


def _answers(frames: dict[str, bytes]) -> dict[str, bytes]:
    cuts = {name: cut(raw) for name, raw in frames.items()}
    return {
        name: open_payload(frame.payload, frame.header.payload.coding, 1 << 20)
        for name, frame in cuts.items()
        if frame.header.type in {"receipt/1", "closing/1", "ping/1"}
    }


def _payloads(frames: dict[str, bytes]) -> dict[str, bytes]:
    """Return frames to a reader of the vectors, encrypted ones, and payloads behind `salt`."""
    encrypted = {n: raw for n, raw in frames.items() if cut(raw).header.payload.is_encrypted}
    clear = _load("payloads")["opened"]
    return encrypted | {f"clear-{each['name']}": bytes.fromhex(each["payload"]) for each in clear}


def _notes() -> dict[str, bytes]:
    vectors = _load("notes")
    vkeys = f"{vectors['vkey']}\n{vectors['witness_vkey']}\n"
    return {
        "plain": vectors["note"].encode(),
        "cosigned": vectors["cosigned"].encode(),
        "vkeys": vkeys.encode(),
    }


def _texts() -> dict[str, bytes]:
    """Return proofs, requests to cosign, keys, leaves and entries of logs."""
    log, notes = _load("issuing")["log"], _load("notes")
    leaves = {f"leaf-{each['name']}": each["record"].encode() for each in _load("leaves")["good"]}
    asked = _load("witnessing")["requests"][0]["body"].encode()
    return leaves | {
        "proof": _load("tracking")["proof"].encode(),
        "add-checkpoint": asked,
        "vkey": notes["vkey"].encode(),
        "crl-entry": log["crl_entry"].encode(),
    }


def _certificates(world: World) -> dict[str, bytes]:
    node = world.network.nodes[SCHOOL]
    return {
        "root": world.network.root.der,
        "authority": world.network.authority.der,
        "packet": node.packet.certificate,
        "journal": node.journal.certificate,
        "witness": node.witness.certificate,
        "enrolment": world.enrolment.certificate,
    }


def _requests() -> dict[str, bytes]:
    keys = (p256("request packet"), ed25519_key("request journal"), p256("request link"))
    asked = zip(keys, PURPOSES, strict=True)
    return {
        purpose: load_pem_x509_csr(make_request(key, SCHOOL, purpose)).public_bytes(Encoding.DER)
        for key, purpose in asked
    }


def _invitation(world: World) -> bytes:
    district = world.network.nodes[DISTRICT].packet
    facts = InvitationFacts(urls=("amqps://d.example:5671",), vhost="bbaj", tier=Tier.SCHOOL)
    ders = [
        world.enrolment.certificate,
        world.network.authority.der,
        district.certificate,
        world.network.root.der,
    ]
    body = pack_invitation(facts, ders)
    header = Invitation(
        from_=DISTRICT,
        to=SCHOOL,
        epoch=1,
        number=1,
        certificate=district.fingerprint,
        invitation=INVITATION,
        ends=format_instant(NOW + DAY),
        body=Body(**json.loads(_body_facts(body))),
    )
    return make_text(sign_object(header, district, body), p256("enrolment one")).encode()


def _evidence() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        exchange = make_exchange(Path(folder))
        files = make_files(rich_dossier(exchange))[0]
    return {"": exchange.network.root.der, **files}


def _packed(files: dict[str, bytes]) -> bytes:
    return pack([piece for name, data in files.items() for piece in (name.encode(), data)])


def _tokens(files: dict[str, bytes]) -> dict[str, bytes]:
    tokens = [data for name, data in sorted(files.items()) if name.endswith("token.der")]
    return {f"token-{n}": data for n, data in enumerate(tokens[:2])}


if __name__ == "__main__":
    main()
