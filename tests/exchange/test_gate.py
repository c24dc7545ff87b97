"""The gate: what comes in is judged entry by entry, what goes out opens at the other end."""

import hashlib
import os

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.core.streams import CHAIN_START, chain_after
from exchange.gate import (
    Gate,
    OpenedBundle,
    OpenedObject,
    Unreadable,
    digest_in_chain,
    digest_of_head,
    sha256_of,
)
from harness.cards import card_of, registry_of
from harness.drafts import ANSWER_ID, DISTRICT, NOW, OBLAST, PACKET_ID, SCHOOL, draft
from harness.pki import make_network
from schemas import wire
from schemas.answers import RECEIPT, PacketName, Receipt
from schemas.cards import EpochFacts
from schemas.codes import RetentionClass
from schemas.errors import FormatError
from schemas.limits import PAYLOAD_BYTES_MAX, SALT_BYTES, Limits
from schemas.moments import format_instant
from schemas.objects import CustodyNote, CutObject, Refusal, StreamPosition, Void, cut_object
from schemas.reasons import Reason
from schemas.retention import DEFAULT, RetentionPolicy
from signing.at_rest import AtRest
from signing.authenticate import Accepted, Held, Refused
from signing.encryption import EncryptionKeyring, HybridKey, public_bytes
from signing.payload import payload_facts
from signing.profiles import NODE_LIFE_US, Purpose
from signing.seal import seal as seal_frame
from signing.wrapping import overhead_bytes

FITS = PAYLOAD_BYTES_MAX - SALT_BYTES
MOMENT = format_instant(NOW)
SIBLING = f"{DISTRICT}.school-8"
CLEAR = "admin.order/1"
PERSONAL = "attendance.daily/1"
RECEIPT_ON = Receipt(
    packet=PacketName(SCHOOL, 1, PACKET_ID),
    head_sha256="ab" * 32,
    frame_sha256="cd" * 32,
    verdict="accepted",
    received=MOMENT,
    epoch=1,
    index=0,
)


@pytest.fixture(scope="module")
def network():
    return make_network([OBLAST, DISTRICT, SCHOOL, SIBLING], NOW)


@pytest.fixture(scope="module")
def gates(network, tmp_path_factory):
    """Make gates that trust and know everybody."""

    def make(address, trust=None):
        return Gate(
            here=address,
            epoch=1,
            trust=trust or network.trust(),
            signer=network.nodes[address].packet,
            journal=network.nodes[address].journal,
            encryption=network.nodes[address].encryption,
            at_rest=AtRest(tmp_path_factory.mktemp("at-rest")),
            limits=Limits(),
            registry=registry_of(address, *network.nodes),
        )

    return make


@pytest.fixture(scope="module")
def school(gates):
    return gates(SCHOOL)


@pytest.fixture(scope="module")
def district(gates):
    return gates(DISTRICT)


def seal(gate, content=b'{"absent":3}', reader=None, **facts):
    given = {"from_": gate.here, "type": CLEAR, **facts}
    return gate.seal_packet(draft(**given), content, NOW, reader)


def bundle(gate, entries, to=DISTRICT, certificates=()):
    chain = CHAIN_START
    for number, raw in enumerate(entries, 1):
        chain = chain_after(chain, number, sha256_of(raw))
    return gate.make_bundle(to, "bulk", 1, chain, list(entries), list(certificates), NOW)


def open_at(gate, raw, neighbour=SCHOOL, now=NOW):
    gate.learn(raw)
    return gate.open_message(raw, neighbour, now)


# ------------------------------------------------------------------ sealing


@settings(max_examples=30)
@given(content=st.binary(max_size=2000))
def test_what_is_sealed_opens_at_its_recipient(school, district, content):
    """Content, header and digests come out as they went in, whatever the content."""
    sealed = seal(school, content, to=DISTRICT)
    entry = district.judge(sealed.frame.raw, SCHOOL, NOW)
    assert isinstance(entry.verdict, Accepted)
    assert entry.verdict.head_sha256 == sealed.head_sha256
    assert entry.sha256 == sealed.frame_sha256 == hashlib.sha256(sealed.frame.raw).digest()
    head = entry.verdict.frame.head
    assert district.content_of(head, entry.bucket, entry.sealed, entry.sha256) == content


def test_sealing_fills_in_certificate_and_payload(school):
    """The draft's certificate and payload facts are replaced, everything else stays."""
    header = seal(school, b"x" * 500).frame.header
    assert header.certificate == school.fingerprint
    assert (header.payload.coding, header.payload.media_type) == (
        "salt+deflate",
        "application/json",
    )
    kept = msgspec.structs.replace(header, payload=draft().payload, certificate="ab" * 32)
    assert kept == draft(type=CLEAR)


def test_equal_contents_do_not_show(school):
    """Each packet has a salt of its own: equal contents have different digests."""
    digests = {seal(school).frame.header.payload.sha256 for _ in range(20)}
    assert len(digests) == 20


def test_our_own_payload_is_kept_encrypted(school):
    """At rest the payload is under the key of class and school year, and bound to its frame."""
    sealed = seal(school)
    assert sealed.bucket == "R5-2027-08"
    assert b"absent" not in sealed.sealed
    assert (
        school.open_rest(sealed.bucket, sealed.frame_sha256, sealed.sealed) == sealed.frame.payload
    )


@pytest.mark.parametrize(("size", "fits"), [(FITS, True), (FITS + 1, False)])
def test_content_must_fit_one_packet(school, size, fits):
    """What does not deflate may have a mebibyte less its salt."""
    content = os.urandom(size)
    if fits:
        school.check_size(CLEAR, content)
        assert len(seal(school, content).frame.payload) == PAYLOAD_BYTES_MAX
    else:
        with pytest.raises(FormatError) as refused:
            school.check_size(CLEAR, content)
        assert refused.value.reason is Reason.TOO_LARGE


def test_what_deflates_may_be_larger(school):
    """The limit is about what travels."""
    school.check_size(CLEAR, b"absent " * 1_000_000)


# ------------------------------------------------------------------ encrypted


@pytest.fixture(scope="module")
def reader(network):
    """Return the district's public key."""
    return network.nodes[DISTRICT].encryption.newest.public


def test_a_personal_type_opens_at_both_ends_and_at_no_other(network, school, district, gates):
    """The recipient and the sender's own archive read it; a relay accepts it, and cannot."""
    reader = network.nodes[OBLAST].encryption.newest.public
    sealed = seal(school, reader=reader, type=PERSONAL)
    relayed = district.judge(sealed.frame.raw, SCHOOL, NOW)
    assert isinstance(relayed.verdict, Accepted)
    assert relayed.content is None
    with pytest.raises(FormatError) as refused:
        district.open_content(sealed.frame)
    assert refused.value.reason is Reason.DECRYPT_FAILED
    for gate in (school, gates(OBLAST)):
        assert gate.open_content(sealed.frame) == b'{"absent":3}'


def test_a_personal_type_is_padded_where_its_size_tells_something(school, reader):
    """Attendance is padded, a notice is not."""
    codings = [
        seal(school, reader=reader, to=DISTRICT, type=type_).frame.header.payload.coding
        for type_ in (PERSONAL, "notice.returned/1")
    ]
    assert codings == ["salt+pad+hpke", "salt+hpke"]


def test_a_personal_type_is_never_sealed_in_clear(school):
    """Whoever forgets the key has a fault of his own, and no packet."""
    with pytest.raises(AssertionError, match="in clear"):
        seal(school, type=PERSONAL)


def test_a_personal_type_in_clear_is_refused_at_its_recipient(school, district):
    """A relay passes it on, its recipient says `encryption-required`."""
    here, elsewhere = (
        msgspec.structs.replace(seal(school, to=to).frame.header, type=PERSONAL)
        for to in (DISTRICT, OBLAST)
    )
    payload = bytes(16) + b"{}"
    entries = [
        district.judge(seal_by_hand(header, payload, school), SCHOOL, NOW)
        for header in (here, elsewhere)
    ]
    assert [type(entry.verdict) for entry in entries] == [Accepted, Accepted]
    assert entries[0].content.reason is Reason.ENCRYPTION_REQUIRED
    assert entries[1].content is None


def seal_by_hand(header, payload, gate):
    facts = payload_facts(payload, "application/json", "salt")
    return seal_frame(msgspec.structs.replace(header, payload=facts), payload, gate._signer)


def test_a_payload_moved_under_another_header_is_refused(school, district, reader):
    """Sealed anew by its own sender, it does not open: the header is bound to it."""
    sealed = seal(school, reader=reader, to=DISTRICT, type=PERSONAL)
    moved = msgspec.structs.replace(sealed.frame.header, id=ANSWER_ID)
    raw = seal_frame(moved, sealed.frame.payload, school._signer)
    assert district.judge(raw, SCHOOL, NOW).content.reason is Reason.DECRYPT_FAILED


def test_an_encrypted_receipt_is_read(school, district, reader):
    """Any type may be encrypted; what its recipient does with it is the same."""
    sealed = seal(school, wire.encode(RECEIPT_ON), reader, to=DISTRICT, type=RECEIPT)
    assert district.judge(sealed.frame.raw, SCHOOL, NOW).content == RECEIPT_ON


@pytest.mark.parametrize("padded_to", [1, 0, -1])
def test_encrypted_content_must_fit_one_packet(school, reader, padded_to):
    """What the wrapped keys take is counted."""
    content = os.urandom(PAYLOAD_BYTES_MAX - overhead_bytes(2) - 16 - 1 + padded_to)
    if padded_to <= 0:
        school.check_size(PERSONAL, content)
        sealed = seal(school, content, reader, to=DISTRICT, type=PERSONAL)
        assert len(sealed.frame.payload) == PAYLOAD_BYTES_MAX
    else:
        with pytest.raises(FormatError, match="limit 1048576"):
            school.check_size(PERSONAL, content)


def test_what_a_node_says_of_its_keys(network, school):
    """Both certificates' digests, and the newest encryption key first."""
    facts, own = school.key_facts(), network.nodes[SCHOOL]
    assert facts.packet == own.packet.fingerprint
    assert facts.journal == own.journal.fingerprint
    assert public_bytes(facts.encryption[0]) == own.encryption.newest.public


# ------------------------------------------------------------------ bundles


def test_one_bad_frame_spoils_no_other(school, district):
    """Each entry of a bundle gets its own verdict, in the bundle's order."""
    good = seal(school, id=PACKET_ID).frame.raw
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    other = seal(school, id=ANSWER_ID, seq=2).frame.raw
    opened = open_at(district, bundle(school, [good, flipped, b"BBAJ", b"", other]))
    assert isinstance(opened, OpenedBundle)
    verdicts = [entry.verdict for entry in opened.entries]
    assert [type(verdict) for verdict in verdicts] == [
        Accepted,
        Refused,
        Refused,
        Refused,
        Accepted,
    ]
    assert [verdict.reason for verdict in verdicts[1:4]] == [
        Reason.DIGEST_MISMATCH,
        Reason.FORMAT_INVALID,
        Reason.FORMAT_INVALID,
    ]
    assert [entry.sha256 for entry in opened.entries] == [
        sha256_of(raw) for raw in (good, flipped, b"BBAJ", b"", other)
    ]


def test_a_bundle_brings_the_certificates_it_needs(network, gates, school):
    """A neighbour and a sender met for the first time are known by what their bundle brings."""
    trust = network.trust(certificates=False)
    stranger = gates(DISTRICT, trust)
    ders = school.trust.ders_for(school.fingerprint)
    raw = bundle(school, [seal(school).frame.raw], certificates=ders)
    opened = open_at(stranger, raw)
    assert isinstance(opened, OpenedBundle)
    assert isinstance(opened.entries[0].verdict, Accepted)


def test_certificates_are_new_once(network, gates, school):
    """What a message brings is new the first time only."""
    stranger = gates(DISTRICT, network.trust(certificates=False))
    ders = school.trust.ders_for(school.fingerprint)
    raw = bundle(school, [seal(school).frame.raw], certificates=ders)
    brought = [stranger.learn(raw), stranger.learn(raw)]
    assert brought == [[network.nodes[SCHOOL].packet.certificate], []]


def test_without_its_certificate_a_neighbour_is_not_heard(network, gates, school):
    """A bundle that nobody can vouch for proves nothing; its bytes are kept."""
    stranger = gates(DISTRICT, network.trust(certificates=False))
    raw = bundle(school, [seal(school).frame.raw])
    assert open_at(stranger, raw) == Unreadable("sender-unknown", _detail(stranger, raw), raw)


def _detail(gate, raw):
    found = open_at(gate, raw)
    assert isinstance(found, Unreadable)
    return found.detail


def test_a_frame_whose_certificate_has_not_come_is_held(network, gates):
    """A relayed frame of an unknown sender waits; the neighbour's bundle is sound all the same."""
    trust = network.trust(certificates=False)
    trust.add_certificates([network.nodes[DISTRICT].packet.certificate])
    oblast, sender, relay = gates(OBLAST, trust), gates(SIBLING), gates(DISTRICT)
    raw = bundle(relay, [seal(sender, to=OBLAST).frame.raw], to=OBLAST)
    opened = open_at(oblast, raw, neighbour=DISTRICT)
    assert isinstance(opened.entries[0].verdict, Held)
    assert opened.entries[0].verdict.missing == "certificate"


def test_a_class_from_a_newer_list_is_held(gates, district):
    """A retention class that we cannot name has no partition yet: its frame waits."""
    assert "Z9" not in {retention.value for retention in RetentionClass}
    newer = gates(SCHOOL)
    newer.retention = RetentionPolicy(2, {**DEFAULT.classes, "Z9": DEFAULT.classes["R1"]})
    entry = district.judge(seal(newer, class_="Z9").frame.raw, SCHOOL, NOW)
    assert isinstance(entry.verdict, Held)
    assert entry.verdict.missing == "class"


def test_an_epoch_that_no_card_shows_is_held(school, gates):
    """A frame of an epoch that its sender's card does not show waits for that card."""
    district = gates(DISTRICT)
    raw = seal(school, epoch=2).frame.raw
    entry = district.judge(raw, SCHOOL, NOW)
    assert isinstance(entry.verdict, Held)
    assert (entry.verdict.missing, entry.verdict.certificate) == ("epoch", SCHOOL)
    opened = EpochFacts(epoch=2, since=MOMENT, size=0, root="00" * 32)
    district.registry.take(card_of(SCHOOL, 2, epochs=(opened,)))
    assert isinstance(district.judge(raw, SCHOOL, NOW).verdict, Accepted)


def test_our_own_frame_counts_when_it_comes_back(network, school, district):
    """Whoever brings it, and whatever became of the key; nobody else's frame does."""
    sealed = seal(school)
    entry = school.judge_own(sealed.frame.raw, NOW + 10 * NODE_LIFE_US[Purpose.PACKET])
    assert entry.verdict.head_sha256 == sealed.head_sha256
    with pytest.raises(FormatError, match="not of"):
        district.judge_own(sealed.frame.raw, NOW)
    damaged = sealed.frame.raw[:-1] + bytes([sealed.frame.raw[-1] ^ 1])
    with pytest.raises(FormatError, match="payload differs"):
        school.judge_own(damaged, NOW)


@settings(max_examples=40)
@given(at=st.integers(0, 4000), bit=st.integers(0, 7))
def test_every_flipped_bit_of_a_bundle_is_noticed(school, district, at, bit):
    """A bundle damaged anywhere is unreadable as a whole."""
    raw = bytearray(bundle(school, [seal(school).frame.raw]))
    raw[at % len(raw)] ^= 1 << bit
    assert isinstance(open_at(district, bytes(raw)), Unreadable)


@settings(max_examples=40)
@given(raw=st.binary(max_size=200))
def test_noise_is_unreadable(district, raw):
    """Whatever a neighbour sends, the gate answers and never raises."""
    for each in (raw, b"BBAL" + raw, b"BBAL\x01\x01\x01" + raw):
        assert isinstance(open_at(district, each), Unreadable)


def test_another_neighbours_bundle_is_unreadable(school, district):
    """A bundle counts on the link of its sender alone."""
    found = open_at(district, bundle(school, [seal(school).frame.raw]), neighbour=SIBLING)
    assert isinstance(found, Unreadable)
    assert found.reason == Reason.ROUTE_FORBIDDEN


# ------------------------------------------------------------------ objects


def test_refusals_and_voids_are_entries(school, district):
    """Of link objects these two stand in streams; a void has the digest of what it stands for."""
    stamp = school.stamp(DISTRICT, NOW)
    facts = {"lane": "bulk", "entry": 3, "detail": ""}
    refusal = Refusal(
        **stamp, **facts, of_epoch=1, frame_sha256="cd" * 32, reason=Reason.SIG_INVALID
    )
    void = Void(**stamp, **facts, entry_sha256="cd" * 32)
    entries = [district.judge(school.sign(each), SCHOOL, NOW) for each in (refusal, void)]
    assert [type(entry.verdict) for entry in entries] == [CutObject, CutObject]
    assert digest_in_chain(entries[0]) == entries[0].sha256
    assert digest_in_chain(entries[1]).hex() == "cd" * 32


def test_other_objects_are_no_entries(school, district):
    """A note in the place of a frame is refused like a bad frame."""
    position = StreamPosition("bulk", 1, 0, "0" * 64, 0)
    note = CustodyNote(**school.stamp(DISTRICT, NOW), position=position)
    verdict = district.judge(school.sign(note), SCHOOL, NOW).verdict
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.FORMAT_INVALID


def test_certificates_come_with_their_authoritys(network, school, district):
    """An object with our certificate lets a neighbour judge it."""
    opened = open_at(district, school.make_certificates(DISTRICT, None, NOW))
    assert isinstance(opened, OpenedObject)
    authority = network.authorities[OBLAST].der
    assert opened.body.endswith(authority)
    assert network.nodes[SCHOOL].packet.certificate in opened.body


def test_an_unknown_certificate_is_none_such(school, district):
    """Asked for what we do not have, we say so in a signed object without pieces."""
    opened = open_at(district, school.make_certificates(DISTRICT, "cd" * 32, NOW))
    assert isinstance(opened, OpenedObject)
    assert (opened.header.answers, opened.body) == ("cd" * 32, b"\x00\x00")


def test_crls_travel_whole(network, school, district):
    """A CRL object's body is the list's DER."""
    [der, *_] = network.crls()
    opened = open_at(district, school.make_crl(DISTRICT, der, NOW))
    assert isinstance(opened, OpenedObject)
    assert opened.body == der


def test_numbers_of_objects_always_rise(school):
    """Whatever the clock does, no two objects of ours have one number."""
    clocks = (NOW, NOW, NOW - 10**9, NOW + 5)
    numbers = [school.stamp(DISTRICT, now)["number"] for now in clocks]
    assert numbers == sorted(set(numbers))


# ------------------------------------------------------------------ answers


def receipt_frame(gate, content):
    return seal(gate, content, to=SCHOOL, type=RECEIPT, re=PACKET_ID, id=ANSWER_ID).frame.raw


def test_a_receipt_to_us_is_read(school, district):
    """What a receipt says comes with its verdict; a relay does not look into it."""
    raw = receipt_frame(district, wire.encode(RECEIPT_ON))
    assert school.judge(raw, DISTRICT, NOW).content == RECEIPT_ON
    passing = seal(school, wire.encode(RECEIPT_ON), to=OBLAST, type=RECEIPT).frame.raw
    assert district.judge(passing, SCHOOL, NOW).content is None


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"verdict":"accepted"}'])
def test_a_receipt_that_cannot_be_read_says_why(school, district, content):
    """A receipt that is sealed well and says nothing is a format error for the core to judge."""
    found = school.judge(receipt_frame(district, content), DISTRICT, NOW).content
    assert isinstance(found, FormatError)
    assert found.reason is Reason.FORMAT_INVALID


def test_the_head_digest_is_that_of_accepted_and_refused_alike(school, district):
    """A receipt names the head of the frame it is about, also where the payload was bad."""
    raw = seal(school).frame.raw
    accepted = district.judge(raw, SCHOOL, NOW)
    refused = district.judge(raw[:-1] + b"!", SCHOOL, NOW)
    assert isinstance(refused.verdict, Refused)
    assert digest_of_head(accepted) == digest_of_head(refused)


def test_objects_are_of_the_neighbour_and_the_epoch(school):
    """Every object of ours bears both ends, epoch and certificate."""
    raw = school.make_certificates(DISTRICT, None, NOW)
    header = cut_object(raw).header
    assert (header.from_, header.to, header.epoch) == (SCHOOL, DISTRICT, 1)
    assert header.certificate == school.fingerprint


def test_a_card_states_few_keys(network, gates):
    """However often a node renews, its card stays small: the newest key first, three of before."""
    gate, own = gates(SCHOOL), network.nodes[SCHOOL]
    keyring = EncryptionKeyring(HybridKey.generate(), [HybridKey.generate() for _ in range(9)])
    gate.use_packet_key(own.packet, keyring)
    stated = gate.key_facts().encryption
    assert (len(stated), stated[0]) == (4, keyring.newest.facts)
