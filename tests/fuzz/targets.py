"""Each target takes hostile bytes as a node would, and says what must hold of the answer.

Returning, and raising a `BbajError`, are both right. `BrokenError` is raised where something false
was believed (`forgery`), or where one text has two encodings (`ambiguous`); whatever else is raised
is a crash.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256

from exchange.asked import read_asked, read_revocation
from exchange.core.streams import Incoming
from exchange.gate import Gate, JudgedEntry, OpenedBundle
from exchange.issued_pages import cut_page
from exchange.rebuilt_pages import read_page
from exchange.sealing import CONTENT_BYTES_MAX
from exchange.testimony import read_claims
from exchange.vouching import read_card, read_keys, read_lines
from fuzz.forms import form_of
from fuzz.world import (
    LIMITS,
    der_signed_anew,
    entries_signed_anew,
    genuine,
    signed_anew,
    world,
)
from nodes.evidence.case import Terms
from nodes.evidence.manifest import SEAL
from nodes.evidence.reading import Folder
from nodes.evidence.verify import verify
from nodes.invitations import ReceivedInvitation, read_invitation
from schemas.answers import decode_closing, decode_receipt
from schemas.errors import BbajError, FormatError
from schemas.frame import cut, join_head, signed_bytes
from schemas.invitations import unpack_invitation
from schemas.issued import read_crl_entry
from schemas.leaves import read_leaf
from schemas.limits import SALT_BYTES
from schemas.moments import DAY
from schemas.objects import (
    AnyObject,
    Bundle,
    CardList,
    Certificate,
    Crl,
    CutObject,
    Issued,
    cut_object,
    join_object,
    object_signed_bytes,
    unpack_bundle_body,
    unpack_pieces,
)
from schemas.rebuilding import Rebuilt
from schemas.statements import Alarm, Card, Grant, Invitation, Join, Keys, Request, Tracked
from schemas.wire import encode
from schemas.witnessing import Checkpoint, Cosigned, Proven, Returned
from signing.algorithms import DEFAULT
from signing.authenticate import Accepted, check_object
from signing.authority import address_of_request, public_key_of_request, purpose_of_request
from signing.certificates import life_of, named_address, parse_certificate, purpose_of
from signing.chain import CrlLearned, Trusted
from signing.note_text import split_note
from signing.notes import checkpoint_of, open_note, read_checkpoint, read_origin, read_vkey
from signing.payload import open_payload
from signing.profiles import Purpose
from signing.proofs import proof_text, read_proof, read_request, request_body, text_of
from signing.timestamps import read_response, read_token
from vectors.fixed_keys import DISTRICT, NOW, OBLAST, SCHOOL, p256

LATER = NOW + DAY
UNSEALED = {SEAL}
"""Of the CMS around the seal no signature covers every byte; all else is in the sums."""


class BrokenError(AssertionError):
    """A property does not hold: `kind` is `forgery` or `ambiguous`."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(f"{kind}: {what}")
        self.kind = kind


def _hold(condition: object, kind: str, what: str) -> None:
    if not condition:
        raise BrokenError(kind, what)


def _as_any(raw: bytes, readers: Sequence[Callable[[bytes], object]]) -> None:
    """Read bytes as each of some things. Raises FormatError where they are none of them."""
    refused = [reader for reader in readers if _refuses(reader, raw)]
    if len(refused) == len(readers):
        refused[0](raw)


def _refuses(reader: Callable[[bytes], object], raw: bytes) -> bool:
    try:
        reader(raw)
    except FormatError:
        return True
    return False


# ---------------------------------------------------------------------------- frames


def frame(raw: bytes) -> None:
    """A frame on a link: read as it was written, or not at all; accepted only as it was signed."""
    entry = world().oblast.judge(raw, DISTRICT, NOW)
    is_accepted = isinstance(entry.verdict, Accepted)
    _hold(not is_accepted or raw in genuine("frame"), "forgery", "a changed frame is accepted")
    found = cut(raw)
    again = join_head(signed_bytes(found.header), found.signature) + found.payload
    _hold(again == raw, "ambiguous", "a frame has two encodings")


def frame_of_insider(raw: bytes) -> None:
    """A frame that a school has really signed: what it says of itself is judged, and no more."""
    here = world()
    _judge_insider(here.oblast.judge(signed_anew(raw, here.school), DISTRICT, NOW))


def _judge_insider(entry: JudgedEntry) -> None:
    if isinstance(entry.verdict, Accepted):
        sender = entry.verdict.frame.header.from_
        _hold(sender == SCHOOL, "forgery", f"the school's key sends as {sender}")


def payload(raw: bytes) -> None:
    """A payload: clear ones opened as deflated too, frames' with the keys of their reader."""
    if raw[:4] == b"BBAJ":
        found = cut(signed_anew(raw, world().school))
        world().oblast.open_content(found)
        return
    _as_any(raw, (_salted, _deflated))


def _salted(raw: bytes) -> None:
    content = open_payload(raw, "salt", CONTENT_BYTES_MAX)
    _hold(content == raw[SALT_BYTES:], "ambiguous", "a salted payload")


def _deflated(raw: bytes) -> None:
    content = open_payload(raw, "salt+deflate", CONTENT_BYTES_MAX)
    _hold(len(content) <= CONTENT_BYTES_MAX, "ambiguous", "content is over its limit")


def answer(raw: bytes) -> None:
    """The content of a receipt or closing has one encoding."""
    _as_any(raw, (_receipt, _closing))


def _receipt(raw: bytes) -> None:
    _hold(encode(decode_receipt(raw)) == raw, "ambiguous", "a receipt")


def _closing(raw: bytes) -> None:
    _hold(encode(decode_closing(raw)) == raw, "ambiguous", "a closing")


# ---------------------------------------------------------------------------- link objects


def link_object(raw: bytes) -> None:
    """A link object: one encoding; taken only as it was signed; its body harms nobody."""
    found = cut_object(raw)
    again = join_object(object_signed_bytes(found.header), found.signature, found.body)
    _hold(again == raw, "ambiguous", "an object has two encodings")
    if _is_taken(raw, found.header):
        _hold(raw in genuine("object"), "forgery", "a changed object is taken")
    read_body(found, raw, world().district)


def _is_taken(raw: bytes, header: AnyObject) -> bool:
    ends = {"here": header.to, "neighbour": header.from_}
    try:
        check_object(raw, trust=world().trust, now=NOW, limits=LIMITS, **ends)
    except FormatError:
        return False
    return True


def object_of_insider(raw: bytes) -> None:
    """An object that the neighbour has really signed, opened by the gate, its body read."""
    here = world()
    anew = signed_anew(raw, here.school)
    opened = here.district._open_message(anew, SCHOOL, NOW)  # the gate itself hides what it raised
    if not isinstance(opened, OpenedBundle):
        header = opened.header
        signer = header.certificate
        _hold(signer == here.school.fingerprint, "forgery", "taken under another certificate")
        read_body(cut_object(anew), anew, here.district)


def bundle_of_insider(raw: bytes) -> None:
    """A bundle with entries that the neighbour has really signed, each of them judged."""
    here = world()
    anew = entries_signed_anew(raw, here.school)
    here.district.learn(anew)
    opened = here.district._open_message(anew, SCHOOL, NOW)
    if isinstance(opened, OpenedBundle):
        for entry in opened.entries:
            _judge_insider(entry)


def read_body(found: CutObject, raw: bytes, gate: Gate) -> None:  # noqa: C901, PLR0912
    """Read the body of an object as its taker does, by its kind."""
    body = found.body
    match found.header:
        case Bundle() | Returned():
            unpack_bundle_body(body)
        case Certificate() | Grant() | Join():
            for each in unpack_pieces(body)[0]:
                request(each) if isinstance(found.header, Join) else _counts(each)
        case Crl():
            crl(body)
        case Card():
            read_card(raw)
        case Keys():
            read_keys(found, found.header.from_)
        case CardList():
            read_lines(body)
        case Request(what="revoke"):
            read_revocation(body)
        case Request():
            read_asked(found.header, body)
        case Issued():
            checkpoint_of(cut_page(found.header, body)[0])
        case Alarm():
            named_address(body)
        case Invitation():
            unpack_invitation(body)
        case Checkpoint():
            checkpoint_of(read_request(body).note)
        case Cosigned():
            for key in found.header.keys:
                read_vkey(key)
            text_of(body)
        case Proven():
            read_proof(text_of(body))
        case Tracked():
            read_claims(body)
        case Rebuilt():
            read_page(found.header, body, Incoming(), found.header.from_, gate)
        case _:
            pass


# ---------------------------------------------------------------------------- texts


def note(raw: bytes) -> None:
    """A signed note: what a key of ours holds for is what was signed."""
    text = text_of(raw)
    signed, _ = split_note(text)
    try:
        opened = open_note(text, world().vkeys)
    except FormatError:
        opened = None
    if opened is not None:
        known = {split_note(each.decode())[0] for each in genuine("note")}
        _hold(opened.text in known, "forgery", "a note of another text holds")
    head = read_checkpoint(signed)
    _hold(signed.startswith(head.text), "ambiguous", "a checkpoint has two encodings")
    read_origin(head.origin)


def text(raw: bytes) -> None:
    """Proofs, requests to cosign, verifier keys, leaves and entries of logs."""
    _as_any(raw, (_proof, _asked, _vkey, read_leaf, _crl_entry))


def _proof(raw: bytes) -> None:
    _hold(proof_text(read_proof(text_of(raw))).encode() == raw, "ambiguous", "a proof")


def _asked(raw: bytes) -> None:
    _hold(request_body(read_request(raw)) == raw, "ambiguous", "a request to cosign")


def _vkey(raw: bytes) -> None:
    _hold(read_vkey(text_of(raw)).text.encode() == raw, "ambiguous", "a verifier key")


def _crl_entry(raw: bytes) -> None:
    _hold(read_crl_entry(raw).text == raw, "ambiguous", "an entry of a log")


# ---------------------------------------------------------------------------- DER


def certificate(raw: bytes) -> None:
    """A certificate: it counts only where all that its issuer signed is unchanged."""
    found = parse_certificate(raw)
    if found is None:
        return
    named_address(raw)
    purpose_of(found)
    life_of(found)
    if _counts(raw):
        _hold(_signed_part(raw) in _signed_parts("certificate"), "forgery", "a certificate counts")


def certificate_of_insider(raw: bytes) -> None:
    """A certificate that the oblast's authority has really signed: it counts within the oblast."""
    anew = der_signed_anew(raw, world().network.authority.key)
    for purpose, address in _counts(anew):
        within = address == OBLAST or address.startswith(f"{OBLAST}.")
        _hold(within, "forgery", f"the oblast's authority vouches for {address} ({purpose})")


def _counts(raw: bytes) -> list[tuple[Purpose, str]]:
    """Return for which purposes and addresses a certificate counts."""
    store, address, name = world().scratch_trust(), named_address(raw), sha256(raw).hexdigest()
    store.add_certificates([raw])
    if address is None:
        return []
    store.ders_for(name)
    return [
        (purpose, address)
        for purpose in Purpose
        if isinstance(store.judge_neighbour(name, address, purpose, NOW, LIMITS), Trusted)
    ]


def _signed_part(raw: bytes) -> bytes:
    form = form_of(raw)
    return raw if form is None or not form.parts else form.parts[0]


@lru_cache
def _signed_parts(target: str) -> set[bytes]:
    return {_signed_part(each) for each in genuine(target)}


def crl(raw: bytes) -> None:
    """A revocation list: it counts only where all that its issuer signed is unchanged."""
    if isinstance(world().trust.add_crl(raw), CrlLearned):
        _hold(_signed_part(raw) in _signed_parts("crl"), "forgery", "a changed list counts")


def crl_of_insider(raw: bytes) -> None:
    """A list that the oblast's authority has really signed."""
    store = world().scratch_trust()
    store.add_crl(der_signed_anew(raw, world().network.authority.key))
    store.judge_neighbour(world().school.fingerprint, SCHOOL, Purpose.PACKET, NOW, LIMITS)


def request(raw: bytes) -> None:
    """A certificate request, signed anew by the key that it once was for."""
    for each in (raw, der_signed_anew(raw, p256("request packet"))):
        try:
            public_key_of_request(each)
        except BbajError:
            continue
        address_of_request(each)
        purpose_of_request(each)


def token(raw: bytes) -> None:
    """A time-stamp token, or the answer that brings one."""
    _as_any(raw, (read_token, read_response))


# ---------------------------------------------------------------------------- what people carry


def invitation(raw: bytes) -> None:
    """The text of an invitation: believed only as its parent signed it."""
    try:
        written = raw.decode()
    except UnicodeDecodeError:
        return
    found = read_invitation(written, NOW)
    first = _genuine_invitation()
    same = (found.header, found.facts, found.certificates, found.signer.fingerprint) == (
        first.header,
        first.facts,
        first.certificates,
        first.signer.fingerprint,
    )
    _hold(same, "forgery", "a changed invitation is believed")


@lru_cache
def _genuine_invitation() -> ReceivedInvitation:
    return read_invitation(next(iter(genuine("invitation"))).decode(), NOW)


def evidence(raw: bytes) -> None:
    """An evidence folder, as pieces: the root trusted, then names and bytes of its files."""
    files, good = _files(raw), _genuine_evidence()
    root = good[""]
    files[""] = root
    terms = Terms(root=root, policy=DEFAULT, now=LATER, limits=LIMITS)
    verdict = verify(Folder({name: data for name, data in files.items() if name}, {}), terms)
    changed = {name for name, data in good.items() if files.get(name) != data}
    _hold(not verdict.holds or changed <= UNSEALED, "forgery", f"holds with {sorted(changed)}")


@lru_cache
def _genuine_evidence() -> dict[str, bytes]:
    return _files(next(iter(genuine("evidence"))))


def _files(raw: bytes) -> dict[str, bytes]:
    pieces, _ = unpack_pieces(raw)
    names = (each.decode("utf-8", "replace") for each in pieces[::2])
    return dict(zip(names, pieces[1::2], strict=False))


TARGETS: dict[str, tuple[str, Callable[[bytes], None]]] = {
    "frame": ("frame", frame),
    "frame-insider": ("frame", frame_of_insider),
    "payload": ("payload", payload),
    "answer": ("answer", answer),
    "object": ("object", link_object),
    "object-insider": ("object", object_of_insider),
    "bundle-insider": ("object", bundle_of_insider),
    "note": ("note", note),
    "text": ("text", text),
    "certificate": ("certificate", certificate),
    "certificate-insider": ("certificate", certificate_of_insider),
    "crl": ("crl", crl),
    "crl-insider": ("crl", crl_of_insider),
    "request": ("request", request),
    "token": ("token", token),
    "invitation": ("invitation", invitation),
    "evidence": ("evidence", evidence),
}
"""By name: the corpus folder that it begins with, and what takes the bytes."""
