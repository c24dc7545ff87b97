"""Each reason to refuse, by a packet of its own through a real broker to a real daemon.

Looked at for each: the answer and who gets it, what quarantine holds, what went further, the
metric, and that a sound packet gets through afterwards. What a bad packet caused is found once and
kept, so that each test can make its one claim.

Not reachable yet, and why: `contract-expired` (agreements are not part of the rules a node decides
by) and `parts-mismatch` (parts are reserved by the format, not sent). `encryption-required` and
`decrypt-failed` are the addressee's word about what it opens: see test_secrecy.py. `busy` is no
verdict and leaves nothing in quarantine: see test_held.py and test_confirmation.py.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.network import ROOT_AGE_US
from harness.pki import Departures, issue_bad
from harness.rogue import Rogue, sha256, signer_of
from nodes import samples
from nodes.clock import now
from schemas.frame import cut, join_head, signed_bytes
from schemas.header import encode_header
from schemas.limits import PAYLOAD_BYTES_MAX
from schemas.moments import DAY, HOUR, Instant, format_instant
from schemas.objects import Refusal
from schemas.records import QuarantineRow
from signing.authority import Issuer, der_of, issue_authority, issue_node, make_root
from signing.keys import PacketSigner, load_packet_signer
from signing.profiles import Purpose

ROOT, RELAY, ABOVE, BELOW = "kz", "kz.zhambyl", "kz.abai", "kz.abai.semey"
MUTE, NARROW, OLD = "kz.zhambyl.mute", "kz.zhambyl.narrow", "kz.zhambyl.old"


@dataclass
class Bad:
    """A bad packet, who speaks it, and what is sound about it."""

    rogue: Rogue
    entry: bytes
    certificates: list[bytes] = field(default_factory=list)
    sound: bytes | None = None
    """What must be delivered afterwards; any packet of the rogue, unless given."""
    sound_certificates: list[bytes] = field(default_factory=list)


@dataclass
class Found:
    """What a bad packet caused."""

    bad: Bad
    answer: object
    rows: list[QuarantineRow]
    kept: bytes | None
    leaf: dict[str, str]
    went_further: bool
    metric_rose_by: float
    sound_verdict: str


Make = Callable[..., Awaitable[Bad]]


@dataclass(frozen=True)
class Case:
    name: str
    reason: str
    answer: str
    """`receipt` to the sender, who is proven, or `entry` to the neighbour, for who is not."""
    make: Make
    where: str = RELAY


CASES: list[Case] = []
_found: dict[str, Found | Exception] = {}


def case(reason: str, answer: str, *, where: str = RELAY) -> Callable[[Make], Make]:
    def keep(make: Make) -> Make:
        CASES.append(Case(make.__name__, reason, answer, make, where))
        return make

    return keep


# --- the bad packets ------------------------------------------------------------------------------


async def rogue_of(country, address="reasons") -> Rogue:
    """Return the one rogue that all of these packets come from, unless another one is named."""
    return await country.lasting_rogue(address)


@case("format-invalid", "entry")
async def no_frame_at_all(country):
    return Bad(await rogue_of(country), b"this is no frame at all")


@case("format-version", "entry")
async def frame_version_2(country):
    rogue = await rogue_of(country)
    header, payload = rogue.draft(ROOT)
    text = encode_header(header)
    sound = rogue.sign_text(text, payload)
    return Bad(rogue, rogue.sign_text(text, payload, version=2), sound=sound)


@case("too-large", "entry")
async def payload_one_byte_too_long(country):
    rogue = await rogue_of(country)
    header, _ = rogue.draft(ROOT)
    facts = msgspec.structs.replace(header.payload, size=PAYLOAD_BYTES_MAX + 1)
    text = encode_header(msgspec.structs.replace(header, payload=facts))
    return Bad(rogue, rogue.sign_text(text, bytes(PAYLOAD_BYTES_MAX + 1)))


@case("algorithm-not-allowed", "entry")
async def algorithm_2(country):
    rogue = await rogue_of(country)
    header, payload = rogue.draft(ROOT)
    text = encode_header(header)
    sound = rogue.sign_text(text, payload)
    return Bad(rogue, rogue.sign_text(text, payload, algorithm=2), sound=sound)


@case("route-forbidden", "entry")
async def in_a_siblings_name(country):
    rogue = await rogue_of(country)
    return Bad(rogue, rogue.packet(ROOT, from_="kz.zhambyl.taraz"))


@case("route-forbidden", "entry")
async def to_its_own_subtree(country):
    rogue = await rogue_of(country)
    return Bad(rogue, rogue.packet(f"{rogue.address}.a"))


@case("route-forbidden", "entry", where=BELOW)
async def from_our_subtree_by_the_parent(country):
    rogue = await rogue_of(country, ABOVE)
    return Bad(rogue, rogue.packet(BELOW, from_=f"{BELOW}.a"))


@case("route-forbidden", "entry", where=BELOW)
async def past_our_subtree_by_the_parent(country):
    rogue = await rogue_of(country, ABOVE)
    return Bad(rogue, rogue.packet("kz.abai.other"))


@case("certificate-untrusted", "entry")
async def another_nodes_certificate(country):
    rogue = await rogue_of(country)
    signer = signer_of(country.network, f"{rogue.address}.b")
    entry = rogue.packet(ROOT, from_=f"{rogue.address}.a", signer=signer)
    return Bad(rogue, entry, [signer.certificate])


@case("certificate-untrusted", "entry")
async def a_link_key_as_packet_key(country):
    rogue = await rogue_of(country)
    keys = country.network.keys_of(rogue.address)
    signer = load_packet_signer(keys / "link.key", keys / "link.pem", None)
    return Bad(rogue, rogue.packet(ROOT, signer=signer), [signer.certificate])


@case("certificate-untrusted", "entry")
async def another_networks_root(country):
    rogue = await rogue_of(country)
    root = make_root(ec.generate_private_key(ec.SECP384R1()), now())
    signer, certificates = signer_under(root, RELAY, f"{rogue.address}.foreign")
    entry = rogue.packet(ROOT, from_=f"{rogue.address}.foreign", signer=signer)
    return Bad(rogue, entry, certificates)


@case("key-expired", "entry")
async def sent_before_the_keys_life(country):
    rogue = await rogue_of(country)
    return Bad(rogue, rogue.packet(ROOT, sent=format_instant(now() - 10 * DAY)))


@case("key-expired", "entry")
async def by_a_key_that_ended_before_the_late_limit(country):
    rogue = await rogue_of(country)
    address = f"{rogue.address}.late"
    limit_us = country.at[RELAY].node.config().limits.late_limit_us
    too_late, late = now() - limit_us - DAY, now() - limit_us + DAY
    signer, certificates = signer_that_ended(country, address, too_late)
    entry = packet_before(rogue, address, signer, too_late)
    signer, sound_certificates = signer_that_ended(country, address, late)
    sound = packet_before(rogue, address, signer, late)
    return Bad(rogue, entry, certificates, sound, sound_certificates)


@case("key-revoked", "entry")
async def on_a_revocation_list(country):
    rogue = await rogue_of(country)
    address = f"{rogue.address}.revoked"
    signer = signer_of(country.network, address)
    country.network.authority.revoke(address, "keyCompromise", now())
    before = await crls_at(country, RELAY)
    country.network.authority.write_crls(now())

    async def has_come():
        return await crls_at(country, RELAY) > before

    await country.at[RELAY].until(has_come)
    return Bad(rogue, rogue.packet(ROOT, from_=address, signer=signer), [signer.certificate])


@case("sig-invalid", "entry")
async def a_signature_over_something_else(country):
    rogue = await rogue_of(country)
    header, payload = rogue.draft(ROOT)
    signed = signed_bytes(header)
    sound = join_head(signed, rogue.signer.sign(signed)) + payload
    return Bad(rogue, join_head(signed, rogue.signer.sign(b"other")) + payload, sound=sound)


@case("digest-mismatch", "receipt")
async def one_byte_of_the_payload_flipped(country):
    rogue = await rogue_of(country)
    sound = rogue.packet(ROOT)
    return Bad(rogue, sound[:-1] + bytes([sound[-1] ^ 1]), sound=sound)


@case("replay", "receipt")
async def another_packet_with_a_known_id(country):
    rogue = await rogue_of(country)
    first = rogue.packet(ROOT)
    await rogue.send(first)
    await rogue.receipt_on(first)
    return Bad(rogue, rogue.packet(ROOT, b"other", id=cut(first).header.id))


@case("replay", "receipt")
async def another_packet_with_a_known_number(country):
    rogue = await rogue_of(country)
    first = rogue.packet(ROOT)
    await rogue.send(first)
    await rogue.receipt_on(first)
    return Bad(rogue, rogue.packet(ROOT, b"other", seq=cut(first).header.seq))


@case("outside-time-window", "receipt")
async def an_hour_ahead(country):
    rogue = await rogue_of(country)
    return Bad(rogue, rogue.packet(ROOT, sent=format_instant(now() + HOUR)))


@case("sender-suspended", "receipt")
async def by_a_suspended_child(country):
    rogue = await rogue_of(country, MUTE)
    below = signer_of(country.network, f"{MUTE}.a")
    sound = rogue.packet(ROOT, from_=f"{MUTE}.a", signer=below)
    return Bad(rogue, rogue.packet(ROOT), sound=sound, sound_certificates=[below.certificate])


@case("recipient-unknown", "receipt")
async def to_nobody(country):
    rogue = await rogue_of(country)
    return Bad(rogue, rogue.packet("kz.zhambyl.nobody"))


@case("recipient-moved", "receipt")
async def to_one_that_has_moved(country):
    rogue = await rogue_of(country)
    return Bad(rogue, rogue.packet(OLD))


@case("type-not-allowed", "receipt")
async def a_type_that_is_not_permitted(country):
    rogue = await rogue_of(country, NARROW)
    sound = rogue.packet(
        ROOT, samples.order(1, 1), type="admin.order/1", section="S06", class_="R10", flow="admin"
    )
    return Bad(rogue, rogue.packet(ROOT), sound=sound)


@case("sender-unknown", "entry")
async def under_a_certificate_that_never_comes(country):
    rogue = await rogue_of(country)
    address = f"{rogue.address}.unknown"
    signer = signer_of(country.network, address)
    return Bad(rogue, rogue.packet(ROOT, from_=address, signer=signer))


@case("standing-unknown", "entry")
async def under_an_authority_without_a_revocation_list(country):
    rogue = await rogue_of(country)
    root = country.network.authority._issuer("root")
    address = f"{rogue.address}.lagging"
    signer, certificates = signer_under(root, address, address)
    return Bad(rogue, rogue.packet(ROOT, from_=address, signer=signer), certificates)


@case("expired", "receipt")
async def past_its_own_end(country):
    rogue = await rogue_of(country)
    return Bad(rogue, rogue.packet(ROOT, expires=format_instant(now() - HOUR)))


@case("class-mismatch", "receipt")
async def to_be_kept_for_ever(country):
    rogue = await rogue_of(country)
    return Bad(rogue, rogue.packet(RELAY, class_="PERM"))


def signer_under(root: Issuer, subtree: str, address: str) -> tuple[PacketSigner, list[bytes]]:
    """Return a packet signer under a new authority of a root, and both certificates."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority = issue_authority(root, subtree, authority_key.public_key(), now())
    issuer = Issuer(authority, authority_key)
    certificate = issue_node(issuer, address, Purpose.PACKET, key.public_key(), now())
    return PacketSigner(key, der_of(certificate)), [der_of(certificate), der_of(authority)]


def signer_that_ended(country, address: str, ended: Instant) -> tuple[PacketSigner, list[bytes]]:
    """Return a packet signer whose key has ended, and the certificates it needs.

    Its authority is the network's own, under an older certificate of the same key.
    """
    root, authority = (country.network.authority._issuer(name) for name in ("root", ROOT))
    public_key = authority.key.public_key()
    older = issue_authority(root, ROOT, public_key, now() - ROOT_AGE_US + DAY)
    life = Departures(since=ended - 10 * DAY, until=ended)
    certificate, key = issue_bad(Issuer(older, authority.key), address, now(), life)
    return PacketSigner(key, certificate), [certificate, der_of(older)]


def packet_before(rogue: Rogue, address: str, signer: PacketSigner, ended: Instant) -> bytes:
    """Return a packet sent while its key still lived."""
    sent = format_instant(ended - HOUR)
    return rogue.packet(ROOT, from_=address, signer=signer, sent=sent)


async def crls_at(country, address) -> int:
    return len(await (await country.at[address].reading()).crls(every=True))


# --- what each of them causes ---------------------------------------------------------------------


@pytest.fixture(params=CASES, ids=[f"{one.reason}:{one.name}" for one in CASES])
async def found(country, request) -> tuple[Case, Found]:
    """Send the case's packet, once, and look at everything that it caused."""
    return request.param, await what_it_caused(country, request.param)


async def what_it_caused(country, one: Case) -> Found:
    if one.name not in _found:
        try:
            _found[one.name] = await send_and_look(country, one)
        except Exception as error:  # noqa: BLE001 - it fails each of the case's tests
            _found[one.name] = error
    found = _found[one.name]
    if isinstance(found, Exception):
        raise found
    return found


async def send_and_look(country, one: Case) -> Found:
    bad = await one.make(country)
    eyes = country.at[one.where]
    before = await eyes.metric("bbaj_refused_total", reason=one.reason)
    await bad.rogue.send(bad.entry, certificates=bad.certificates)
    if one.answer == "receipt":
        answer: object = (await bad.rogue.receipt_on(bad.entry, "refused"))[1]
    else:
        answer = await bad.rogue.refusal_of(bad.entry)
    rows = [row for row in await eyes.quarantine_of(bad.entry) if row.state == "refused"]
    to = ROOT if one.where == RELAY else one.where
    sound = bad.sound or bad.rogue.packet(to)
    await bad.rogue.send(sound, certificates=bad.sound_certificates)
    _, receipt = await bad.rogue.receipt_on(sound)
    return Found(
        bad=bad,
        answer=answer,
        rows=rows,
        kept=await eyes.quarantined_bytes(rows[0]) if rows else None,
        leaf=await eyes.refused_leaf(bad.entry),
        went_further=await is_known_at(country, ROOT, bad.entry),
        metric_rose_by=await eyes.metric("bbaj_refused_total", reason=one.reason) - before,
        sound_verdict=receipt.verdict,
    )


async def is_known_at(country, address, entry) -> bool:
    """Say whether these very bytes are in a node's record, in whatever place."""
    query = (
        "SELECT 1 FROM packet WHERE frame_sha256 = $1 "
        "UNION ALL SELECT 1 FROM quarantine WHERE sha256 = $1"
    )
    return bool(await country.at[address].rows(query, sha256(entry)))


async def test_the_answer_names_the_reason(found):
    """The proven sender gets a refused receipt, else the neighbour an entry, with the reason."""
    one, caused = found
    kind = "entry" if isinstance(caused.answer, Refusal) else "receipt"
    assert (kind, caused.answer.reason) == (one.answer, one.reason)


async def test_quarantine_keeps_the_very_bytes(found):
    """Quarantine lists the packet once, under its reason, and holds exactly what was sent."""
    one, caused = found
    assert [row.reason for row in caused.rows] == [one.reason]
    assert caused.kept == caused.bad.entry


async def test_the_journal_has_the_verdict(found):
    """The journal's leaf names verdict, reason and the digest of the whole bytes."""
    one, caused = found
    facts = {name: caused.leaf[name] for name in ("verdict", "reason", "frame-sha256")}
    digest = sha256(caused.bad.entry).hex()
    assert facts == {"verdict": "refused", "reason": one.reason, "frame-sha256": digest}


async def test_it_goes_no_further(found):
    """The next node's record has nothing of it."""
    _, caused = found
    assert not caused.went_further


async def test_the_metric_rises(found):
    """The metric of the reason has risen by one."""
    _, caused = found
    assert caused.metric_rose_by == 1


async def test_a_sound_packet_gets_through_afterwards(found):
    """The intact packet, or else the next one on the same link, is accepted by its recipient."""
    _, caused = found
    assert caused.sound_verdict == "accepted"


async def test_the_detail_names_the_successor(country):
    """Who writes to a node that has moved is told where to."""
    one = next(each for each in CASES if each.name == "to_one_that_has_moved")
    caused = await what_it_caused(country, one)
    assert caused.answer.detail == "successor kz.zhambyl.shu"
