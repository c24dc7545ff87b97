"""Receipts, closings and refusal entries: what each proves, and what it changes (R-28 to R-31)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.core.confirmation import (
    RefusedEntry,
    is_closed,
    take_closing,
    take_receipt,
    take_refusal_entry,
    verdict_of,
)
from exchange.core.registry import Registry
from exchange.core.rules import Finding, Rules
from exchange.core.steps import (
    Finish,
    Keep,
    Mark,
    PlaceAgain,
    PlaceLater,
    Quarantine,
    Raise,
    ReportStatus,
    SendClosing,
    SendReceipt,
    SendRefusedReceipt,
)
from harness.drafts import (
    ANSWER_ID,
    DISTRICT,
    NOW,
    OBLAST,
    OTHER_ID,
    PACKET_ID,
    SCHOOL,
    draft,
    packet_of,
    trail_of,
)
from schemas.answers import CLOSING, RECEIPT, Closing, PacketName, Receipt
from schemas.leaves import LeafKind
from schemas.limits import Limits
from schemas.moments import MINUTE, format_instant
from schemas.reasons import Reason
from schemas.records import LeafMark

SIBLING = f"{DISTRICT}.school-8"
MOMENT = format_instant(NOW)


def rules(here):
    fields = {"types": frozenset[str](), "systems": {}, "limits": Limits()}
    return Rules(here=here, registry=Registry(here), **fields)


PACKET = packet_of(draft(), frame=3)
SENT = (LeafKind.SENT, {"id": PACKET_ID})
ACCEPTED = (LeafKind.CONFIRMED, {"verdict": "accepted"})
REFUSED = (LeafKind.CONFIRMED, {"verdict": "refused", "reason": "expired"})
OVERDUE = (LeafKind.OVERDUE, {"id": PACKET_ID})
GOOD = Receipt(
    packet=PacketName(SCHOOL, 1, PACKET_ID),
    head_sha256=PACKET.head_sha256.hex(),
    frame_sha256=PACKET.frame_sha256.hex(),
    verdict="accepted",
    received=MOMENT,
    epoch=1,
    index=9,
)
BAD = msgspec.structs.replace(
    GOOD, verdict="refused", reason=Reason.TYPE_NOT_ALLOWED, detail="ask your parent"
)
OTHER_DIGEST = "00" * 32


def receive(receipt=GOOD, *leaves, by=OBLAST, re=PACKET_ID, packet=PACKET, here=SCHOOL):
    """Return what a receipt causes at the packet's sender."""
    header = draft(id=ANSWER_ID, type=RECEIPT, from_=by, to=here, re=re)
    about = None if packet is None else trail_of(packet, SENT, *leaves)
    return take_receipt(header, receipt, about, rules(here))


def changed(receipt=GOOD, **facts):
    return msgspec.structs.replace(receipt, **facts)


def proves_nothing(step):
    """Say whether an answer was quarantined and told to the operator, and nothing else."""
    kinds = [type(effect) for effect in step]
    return kinds == [Quarantine, Mark, Raise] and step[0].reason is Reason.DIGEST_MISMATCH


# ------------------------------------------------------------------ receipts


@pytest.mark.parametrize("before", [(), (OVERDUE,)], ids=["sent", "overdue"])
def test_the_recipients_acceptance_delivers(before):
    """Delivered, and only now: confirmed in the journal, closed, and told to the local system."""
    assert receive(GOOD, *before) == (
        Keep(LeafKind.RECEIVED),
        Mark(LeafKind.CONFIRMED, PACKET, verdict="accepted", by=OBLAST, receipt=ANSWER_ID),
        Finish(PACKET),
        SendClosing(PACKET),
        ReportStatus(PACKET, "delivered"),
    )


@pytest.mark.parametrize("by", [DISTRICT, "kz", SIBLING, f"{OBLAST}.other"])
def test_nobody_else_can_accept(by):
    """An acceptance by any other node, on the way or not, proves nothing (R-31b)."""
    assert proves_nothing(receive(by=by))


@pytest.mark.parametrize("field", ["head_sha256", "frame_sha256"])
def test_an_acceptance_of_other_bytes_proves_nothing(field):
    """An acceptance binds the very bytes that were sent."""
    assert proves_nothing(receive(changed(**{field: OTHER_DIGEST})))


def test_a_second_acceptance_only_closes_again():
    """Another receipt on a delivered packet is kept and closed, and changes no state."""
    assert receive(GOOD, ACCEPTED) == (Keep(LeafKind.RECEIVED), SendClosing(PACKET))


def test_an_acceptance_overrides_a_refusal():
    """The recipient's own word counts, even after a relay's refusal; somebody must look."""
    step = receive(GOOD, REFUSED)
    assert step[1].verdict == "accepted"
    assert SendClosing(PACKET) in step
    assert step[-1] == Raise("accepted_after_refusal", PACKET_ID)


@pytest.mark.parametrize("by", [OBLAST, DISTRICT])
def test_a_refusal_by_a_node_on_the_way_binds(by):
    """Refused by the recipient or a relay: the packet is refused, for that reason."""
    assert receive(BAD, by=by) == (
        Keep(LeafKind.RECEIVED),
        Mark(
            LeafKind.CONFIRMED,
            PACKET,
            verdict="refused",
            reason="type-not-allowed",
            detail="ask your parent",
            by=by,
            receipt=ANSWER_ID,
        ),
        Finish(PACKET),
        ReportStatus(PACKET, "refused", "type-not-allowed", "ask your parent"),
    )


def test_the_refuser_that_a_relay_speaks_for_is_named():
    """A relay passes on its neighbour's refusal; the journal names the neighbour."""
    step = receive(changed(BAD, refused_by="kz.akmola"), by=DISTRICT)
    assert step[1].by == "kz.akmola"


@pytest.mark.parametrize("by", [SIBLING, "kz", "kz.abai"])
def test_a_refusal_from_beside_the_way_proves_nothing(by):
    """Who is not on the tree path has no say."""
    assert proves_nothing(receive(BAD, by=by))


@pytest.mark.parametrize("by", [OBLAST, DISTRICT])
def test_a_refusal_of_other_bytes_does_not_bind(by):
    """A copy was damaged on the way: an incident, and the sender goes on (R-31b)."""
    step = receive(changed(BAD, frame_sha256=OTHER_DIGEST), by=by)
    assert [type(effect) for effect in step] == [Keep, Raise]
    assert step[1].kind == "damaged_on_the_way"


def test_a_refusal_of_another_head_does_not_bind():
    """A copy whose head was damaged is no other fault than one whose payload was."""
    step = receive(changed(BAD, head_sha256=OTHER_DIGEST, frame_sha256=OTHER_DIGEST))
    assert [type(effect) for effect in step] == [Keep, Raise]


@pytest.mark.parametrize("by", [OBLAST, SIBLING])
def test_a_receipt_that_contradicts_itself_proves_nothing(by):
    """Our frame under another head cannot be: the way round the tree path is closed."""
    assert proves_nothing(receive(changed(BAD, head_sha256=OTHER_DIGEST), by=by))


@pytest.mark.parametrize("leaf", [ACCEPTED, REFUSED], ids=["delivered", "refused"])
def test_a_refusal_after_the_end_changes_nothing(leaf):
    """Weaker evidence never undoes stronger, and a second refusal adds nothing."""
    assert receive(BAD, leaf) == (Keep(LeafKind.RECEIVED),)


def test_busy_leaves_the_packet_as_it_was():
    """`busy` is not final: the receipt is kept and the sender goes on."""
    assert receive(changed(BAD, reason=Reason.BUSY)) == (Keep(LeafKind.RECEIVED),)


def test_a_receipt_on_nothing_of_ours_proves_nothing():
    """A receipt needs a packet that we sent."""
    assert proves_nothing(receive(packet=None))
    assert proves_nothing(receive(packet=packet_of(draft(from_=SIBLING))))


def test_a_receipt_that_names_two_packets_proves_nothing():
    """`re` in the header and the packet in the content must be one."""
    assert proves_nothing(receive(re=OTHER_ID))


@pytest.mark.parametrize("type_", [RECEIPT, CLOSING])
@pytest.mark.parametrize("verdict", ["accepted", "refused"])
def test_a_receipt_on_an_answer_proves_nothing(type_, verdict):
    """Nothing answers a receipt or a closing: two nodes could go on for ever (R-29e)."""
    answer = packet_of(draft(type=type_, id=PACKET_ID))
    receipt = changed(
        BAD if verdict == "refused" else GOOD,
        head_sha256=answer.head_sha256.hex(),
        frame_sha256=answer.frame_sha256.hex(),
    )
    assert proves_nothing(receive(receipt, packet=answer))


# ------------------------------------------------------------------ closings

RECEIPT_ROW = packet_of(draft(id=ANSWER_ID, type=RECEIPT, from_=OBLAST, to=SCHOOL, re=PACKET_ID))
CLOSES = Closing(
    packet=PacketName(SCHOOL, 1, PACKET_ID),
    receipt=PacketName(OBLAST, 1, ANSWER_ID),
    receipt_head_sha256=RECEIPT_ROW.head_sha256.hex(),
    confirmed=MOMENT,
)
RECEIVED = (LeafKind.RECEIVED, {"verdict": "accepted"})
CLOSED = (LeafKind.CLOSED, {"by": SCHOOL})


def close(closing=CLOSES, *leaves, by=SCHOOL, re=ANSWER_ID, packet=PACKET, receipt=RECEIPT_ROW):
    """Return what a closing causes at the packet's recipient."""
    header = draft(id=OTHER_ID, type=CLOSING, from_=by, to=OBLAST, re=re)
    about = None if packet is None else trail_of(packet, RECEIVED, *leaves)
    answered = None if receipt is None else trail_of(receipt, SENT)
    return take_closing(header, closing, about, answered, rules(OBLAST))


def test_a_closing_ends_the_exchange():
    """The closing is archived and journaled, and nothing is awaited any more."""
    assert close() == (
        Keep(LeafKind.RECEIVED),
        Mark(LeafKind.CLOSED, PACKET, by=SCHOOL, receipt=ANSWER_ID),
        Finish(PACKET),
    )


def test_a_second_closing_changes_nothing():
    """It is archived, and that is all; no closing is ever answered (R-31c)."""
    assert close(CLOSES, CLOSED) == (Keep(LeafKind.RECEIVED),)


@pytest.mark.parametrize("by", [SIBLING, DISTRICT])
def test_only_the_sender_closes(by):
    """A closing by anybody but the packet's sender proves nothing."""
    assert proves_nothing(close(by=by))


def test_a_closing_on_nothing_of_ours_proves_nothing():
    """A closing needs a packet to us, and the receipt that we gave on it."""
    assert proves_nothing(close(packet=None))
    assert proves_nothing(close(receipt=None))
    assert proves_nothing(close(packet=packet_of(draft(to="kz"))))


def test_a_closing_of_another_receipt_proves_nothing():
    """Issuer, id and head of the receipt must be those of ours."""
    foreign = msgspec.structs.replace(CLOSES, receipt=PacketName("kz", 1, ANSWER_ID))
    assert proves_nothing(close(foreign))
    assert proves_nothing(close(re=PACKET_ID))
    other = msgspec.structs.replace(CLOSES, receipt_head_sha256=OTHER_DIGEST)
    assert proves_nothing(close(other))


# ------------------------------------------------------------------ refusal entries

FINDING = Finding(Reason.ROUTE_FORBIDDEN, "link may not bring it")


def refuse(packet=PACKET, *leaves, finding=FINDING, intact=True, here=SCHOOL):
    """Return what a neighbour's refusal of an entry causes."""
    trail = None if packet is None else trail_of(packet, SENT, *leaves)
    entry = RefusedEntry(OBLAST, intact, NOW + MINUTE)
    return take_refusal_entry(trail, entry, finding, rules=rules(here))


def test_a_packet_of_ours_is_refused():
    """Our own packet, refused intact by the next hop, is refused for good."""
    assert refuse() == (
        Mark(
            LeafKind.CONFIRMED,
            PACKET,
            verdict="refused",
            reason=Reason.ROUTE_FORBIDDEN,
            detail="link may not bring it",
            by=OBLAST,
        ),
        Finish(PACKET),
        ReportStatus(PACKET, "refused", Reason.ROUTE_FORBIDDEN, "link may not bring it"),
    )


@pytest.mark.parametrize("leaf", [ACCEPTED, REFUSED], ids=["delivered", "refused"])
def test_a_refusal_entry_after_the_end_changes_nothing(leaf):
    """What is delivered stays delivered, what is refused stays refused."""
    assert refuse(PACKET, leaf) == ()


def test_a_relay_tells_the_sender():
    """A frame that we only passed on: its sender hears who refused it and why."""
    told = SendRefusedReceipt(PACKET, OBLAST, Reason.ROUTE_FORBIDDEN, "link may not bring it")
    assert refuse(here=DISTRICT) == (told,)


@pytest.mark.parametrize("here", [SCHOOL, DISTRICT])
def test_a_damaged_copy_is_placed_again(here):
    """The bytes refused are not ours: an incident, and the good ones again."""
    step = refuse(intact=False, here=here)
    assert [type(effect) for effect in step] == [Raise, PlaceAgain]
    assert step[0].kind == "damaged_on_the_way"


@pytest.mark.parametrize("here", [SCHOOL, DISTRICT])
def test_a_busy_neighbour_is_asked_again(here):
    """No room there: the frame comes again at the time named."""
    busy = Finding(Reason.BUSY, "come again")
    assert refuse(finding=busy, here=here) == (PlaceLater(PACKET, NOW + MINUTE),)


@pytest.mark.parametrize("type_", [RECEIPT, CLOSING])
@pytest.mark.parametrize("here", [SCHOOL, DISTRICT])
def test_a_refused_answer_is_told_to_the_operator_alone(type_, here):
    """No receipt is given on an answer, whoever refused it."""
    [effect] = refuse(packet_of(draft(type=type_)), here=here)
    assert isinstance(effect, Raise)
    assert effect.kind == "answer_refused"


def test_a_refusal_of_what_we_never_placed_opens_an_incident():
    """A neighbour that refuses an entry which is not there proves nothing."""
    assert [effect.kind for effect in refuse(None)] == ["refusal_of_unknown_entry"]


# ------------------------------------------------------------------ laws

receipts = st.builds(
    lambda verdict, reason, head, frame: changed(
        verdict=verdict,
        reason=reason if verdict == "refused" else None,
        head_sha256=head,
        frame_sha256=frame,
    ),
    st.sampled_from(["accepted", "refused"]),
    st.sampled_from([Reason.BUSY, Reason.EXPIRED, Reason.REPLAY]),
    st.sampled_from([GOOD.head_sha256, OTHER_DIGEST]),
    st.sampled_from([GOOD.frame_sha256, OTHER_DIGEST]),
)
nodes = st.sampled_from([OBLAST, DISTRICT, SIBLING, "kz", "kz.abai"])


@given(st.lists(st.tuples(receipts, nodes), max_size=8))
def test_any_receipts_in_any_order_end_well(answers):
    """Delivered exactly if the recipient accepted our bytes, whatever else was said and when."""
    marks = []
    closings = 0
    for receipt, by in answers:
        about = trail_of(PACKET, SENT)
        about = msgspec.structs.replace(about, marks=(*about.marks, *marks))
        header = draft(id=ANSWER_ID, type=RECEIPT, from_=by, to=SCHOOL, re=PACKET_ID)
        for effect in take_receipt(header, receipt, about, rules(SCHOOL)):
            assert not isinstance(effect, SendReceipt), "a receipt is never answered by one"
            closings += isinstance(effect, SendClosing)
            if isinstance(effect, Mark) and effect.packet is not None:
                leaf = (effect.kind, {"verdict": effect.verdict})
                marks.append(trail_of(PACKET, leaf).marks[0])
    binding = [
        receipt.verdict
        for receipt, by in answers
        if receipt.head_sha256 == GOOD.head_sha256
        and receipt.frame_sha256 == GOOD.frame_sha256
        and (by == OBLAST or (receipt.verdict == "refused" and by == DISTRICT))
        and receipt.reason is not Reason.BUSY
    ]
    final = trail_of(PACKET, SENT)
    final = msgspec.structs.replace(final, marks=(*final.marks, *marks))
    expected = "accepted" if "accepted" in binding else (binding or [""])[0]
    assert verdict_of(final) == expected
    assert closings == binding.count("accepted")
    assert len(marks) <= 2


def test_the_state_is_the_fold_of_the_leaves():
    """Leaves of other kinds confirm and close nothing."""
    sent = trail_of(PACKET, SENT, OVERDUE)
    assert (verdict_of(sent), is_closed(sent)) == ("", False)
    assert verdict_of(trail_of(PACKET, REFUSED, ACCEPTED)) == "accepted"
    assert verdict_of(trail_of(PACKET, ACCEPTED, REFUSED)) == "accepted"
    assert is_closed(trail_of(PACKET, RECEIVED, CLOSED))
    assert isinstance(sent.marks[0], LeafMark)
