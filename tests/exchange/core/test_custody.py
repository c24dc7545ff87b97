"""What a frame causes: arrivals crossed with what the node knows, in the order of judgement."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.core.custody import Arrival, Known, Refusal, decide_arrival, decide_refusal
from exchange.core.rules import Finding, Rules
from exchange.core.steps import (
    AnswerAgain,
    Forward,
    Hold,
    Keep,
    Mark,
    Quarantine,
    Raise,
    RefuseAgain,
    RefuseOnLink,
    Release,
    SendReceipt,
)
from harness.cards import card_of, registry_of
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
from schemas.answers import CLOSING, PING, RECEIPT, PacketName, Receipt
from schemas.documents.registry import own_classes
from schemas.errors import FormatError
from schemas.leaves import LeafKind
from schemas.limits import Limits
from schemas.moments import DAY, MINUTE, format_instant
from schemas.reasons import Reason

RECEIPT_ON = Receipt(
    packet=PacketName(OBLAST, 1, PACKET_ID),
    head_sha256="ab" * 32,
    frame_sha256="cd" * 32,
    verdict="accepted",
    received=format_instant(NOW),
    epoch=1,
    index=0,
)
TYPES = frozenset({"attendance.daily/1", PING, RECEIPT, CLOSING})
OTHER_HEAD = bytes(32)


def rules(here=DISTRICT, child=None, **facts):
    cards = [child or SCHOOL] if here == DISTRICT else []
    fields = {"types": TYPES, "systems": {}, "limits": Limits()}
    return Rules(here=here, registry=registry_of(here, *cards), **fields | facts)


def arrive(content=None, via=SCHOOL, **facts):
    header = draft(**facts)
    packet = packet_of(header)
    return Arrival(header, packet.head_sha256, packet.frame_sha256, via, content)


def known(arrival=None, **facts):
    """Return what the record knows; of a packet that came before where `arrival` is given."""
    trail = None
    if arrival is not None:
        leaf = (LeafKind.RELAYED, {"id": arrival.header.id})
        trail = trail_of(packet_of(arrival.header, frame=7, via=arrival.via), leaf)
    fields = {"trail": trail, "number_held_by": None, "about": None}
    return Known(**fields | facts)


NOTHING = known()
RELAY, RECIPIENT = rules(), rules(OBLAST)


def decide(arrival, memory=NOTHING, at=RELAY, now=NOW):
    return decide_arrival(arrival, memory, now, at)


def reason_of(step):
    assert isinstance(step[0], Quarantine)
    assert isinstance(step[1], Mark)
    assert step[1].kind is LeafKind.REFUSED
    return step[0].reason


# ------------------------------------------------------------------ good frames


def test_a_relay_keeps_and_passes_on():
    """A frame for another address is stored, journaled as relayed, and placed for the next hop."""
    assert decide(arrive()) == (Keep(LeafKind.RELAYED), Forward(OBLAST, "fast"))


def test_a_relay_passes_down_in_the_lane_of_the_header():
    """Towards a child the same, in the lane that the header alone decides."""
    arrival = arrive(from_=OBLAST, to=SCHOOL, flow="info", via=OBLAST)
    assert decide(arrival) == (Keep(LeafKind.RELAYED), Forward(SCHOOL, "bulk"))


def test_a_recipient_releases_and_answers():
    """A document for us is stored, answered by a receipt, and released to its local system."""
    found = decide(arrive(), at=rules(OBLAST, default_system="sis"))
    assert found == (
        Keep(LeafKind.RECEIVED),
        SendReceipt("accepted", await_closing=True),
        Release("sis"),
    )


def test_a_ping_is_answered_and_released_to_nobody():
    """A ping ends at the node."""
    found = decide(arrive(type=PING), at=RECIPIENT)
    assert found == (Keep(LeafKind.RECEIVED), SendReceipt("accepted", await_closing=True))


def test_a_type_from_a_newer_list_is_held():
    """What we cannot name yet is not the sender's fault; a relay does not look at it."""
    arrival = arrive(type="vaccination.status/1")
    assert decide(arrival, at=RECIPIENT) == (Hold("type", arrival.header.certificate),)
    assert decide(arrival)[0] == Keep(LeafKind.RELAYED)


def test_a_class_that_is_not_that_of_the_type_is_refused_at_the_recipient():
    """The type's policy says how long a packet is kept; a relay leaves that to the recipient."""
    classes = {"attendance.daily/1": "R5"}
    arrival = arrive(class_="R1")
    step = decide(arrival, at=rules(OBLAST, classes=classes))
    assert reason_of(step) is Reason.CLASS_MISMATCH
    said = [effect.detail for effect in step if isinstance(effect, SendReceipt)]
    assert said == ["attendance.daily/1 is of class R5, the header says R1"]
    assert decide(arrive(class_="R5"), at=rules(OBLAST, classes=classes))[0] == Keep(
        LeafKind.RECEIVED
    )
    assert decide(arrival, at=rules(classes=classes))[0] == Keep(LeafKind.RELAYED)


def test_what_answers_has_the_class_of_what_it_answers():
    """Types that inherit their class are not judged by it."""
    assert not {RECEIPT, CLOSING} & own_classes().keys()
    assert own_classes()["performance.period/1"] == "R50"


def test_an_answer_to_what_may_come_back_is_held():
    """What our record has lost of an epoch before, a neighbour may bring: its receipt waits."""
    arrival = arrive(RECEIPT_ON, type=RECEIPT)
    step = decide(arrival, known(may_come_back=True), at=RECIPIENT)
    assert step == (Hold("packet", arrival.header.certificate),)
    assert reason_of(decide(arrival, at=RECIPIENT)) is Reason.DIGEST_MISMATCH


def test_a_payload_that_cannot_be_opened_is_refused():
    """The recipient alone opens a payload, and says why it could not."""
    fault = FormatError(Reason.FORMAT_INVALID, "deflate data is damaged")
    step = decide(arrive(fault), at=RECIPIENT)
    assert reason_of(step) is Reason.FORMAT_INVALID
    assert step[2] == SendReceipt("refused", Reason.FORMAT_INVALID, "deflate data is damaged")


def test_weeks_off_the_net_are_normal():
    """Nothing is too old: a packet sealed months ago is taken."""
    assert decide(arrive(), now=NOW + 150 * DAY)[0] == Keep(LeafKind.RELAYED)


# ------------------------------------------------------------------ known frames


def test_a_relay_answers_a_known_frame_by_the_recipients_receipt():
    """The receipt again, if it passed here; else the frame is placed again."""
    arrival = arrive()
    memory = known(arrival)
    again = AnswerAgain(memory.trail.packet, by=OBLAST, otherwise_forward=True)
    assert decide(arrival, memory) == (again,)


def test_a_recipient_answers_a_known_frame_by_its_receipt():
    """The stored receipt again; nothing is released twice."""
    arrival = arrive()
    memory = known(arrival)
    again = AnswerAgain(memory.trail.packet, by=OBLAST, otherwise_forward=False)
    assert decide(arrival, memory, RECIPIENT) == (again,)


def test_a_known_closing_causes_nothing():
    """A closing is not answered, however often it comes."""
    arrival = arrive(type=CLOSING)
    assert decide(arrival, known(arrival), RECIPIENT) == ()


def test_a_known_receipt_gets_its_closing_again():
    """The other side repeats its receipt because it lacks the closing."""
    arrival = arrive(type=RECEIPT)
    memory = known(arrival)
    again = AnswerAgain(memory.trail.packet, by=OBLAST, otherwise_forward=False)
    assert decide(arrival, memory, RECIPIENT) == (again,)


def test_bytes_refused_before_are_refused_again():
    """A refusal, once signed, is final for those bytes: the stored answer again."""
    finding = Finding(Reason.SENDER_SUSPENDED, "not in active standing")
    assert decide(arrive(), known(refused_for=finding)) == (RefuseAgain(PACKET_ID, finding),)


@pytest.mark.parametrize("type_", [RECEIPT, CLOSING])
def test_answers_refused_before_cause_nothing(type_):
    """A refused answer is not answered, the second time either."""
    finding = Finding(Reason.DIGEST_MISMATCH, "names another receipt")
    assert decide(arrive(type=type_), known(refused_for=finding)) == ()


# ------------------------------------------------------------------ the order of judgement

FAULTS = {
    Reason.REPLAY: {"memory": {"number_held_by": OTHER_HEAD}},
    Reason.OUTSIDE_TIME_WINDOW: {"facts": {"sent": format_instant(NOW + 11 * MINUTE)}},
    Reason.SENDER_SUSPENDED: {"child": card_of(SCHOOL, standing="suspended")},
    Reason.EXPIRED: {"facts": {"expires": format_instant(NOW - 1)}},
}


@pytest.mark.parametrize(
    "present",
    [
        chosen
        for count in range(1, len(FAULTS) + 1)
        for chosen in itertools.combinations(FAULTS, count)
    ],
    ids="+".join,
)
def test_the_first_fault_in_the_order_decides(present):
    """Replay before time window before standing before expiry, whichever of them are there."""
    facts, memory, child = {}, {}, None
    for reason in present:
        facts |= FAULTS[reason].get("facts", {})
        memory |= FAULTS[reason].get("memory", {})
        child = FAULTS[reason].get("child", child)
    step = decide(arrive(**facts), known(**memory), rules(child=child))
    assert reason_of(step) is present[0]
    assert isinstance(step[2], SendReceipt)
    assert (step[2].verdict, step[2].reason) == ("refused", present[0])


@pytest.mark.parametrize("reason", FAULTS)
def test_a_known_frame_is_answered_whatever_has_changed(reason):
    """A frame that was accepted once is not judged again: not by time, standing or expiry."""
    fault = FAULTS[reason]
    arrival = arrive(**fault.get("facts", {}))
    memory = known(arrival, **fault.get("memory", {}))
    found = decide(arrival, memory, rules(child=fault.get("child")))
    assert isinstance(found[0], AnswerAgain)


def test_another_head_under_a_known_id_is_a_replay():
    """The name of a packet binds its head: another one under it is refused, and told of."""
    first = arrive()
    second = arrive(seq=2)
    step = decide(second, known(first))
    assert reason_of(step) is Reason.REPLAY
    assert step[-1] == Raise("replay", f"{SCHOOL} {PACKET_ID}")


def test_its_own_number_is_no_replay():
    """A number that this very head holds is no fault."""
    arrival = arrive()
    assert decide(arrival, known(number_held_by=arrival.head_sha256))[0] == Keep(LeafKind.RELAYED)


@pytest.mark.parametrize(("ahead", "refused"), [(10 * MINUTE, False), (10 * MINUTE + 1, True)])
def test_the_time_window_is_ten_minutes_ahead(ahead, refused):
    """A sender's clock may be ten minutes fast, and not a microsecond more."""
    step = decide(arrive(sent=format_instant(NOW + ahead)))
    assert isinstance(step[0], Quarantine) is refused


@pytest.mark.parametrize(("past", "refused"), [(0, False), (1, True)])
def test_a_packet_expires_after_its_moment(past, refused):
    """The moment named in `expires` is still good."""
    step = decide(arrive(expires=format_instant(NOW)), now=NOW + past)
    assert isinstance(step[0], Quarantine) is refused


@pytest.mark.parametrize("type_", [RECEIPT, CLOSING])
@pytest.mark.parametrize("reason", FAULTS)
def test_a_refused_answer_gets_no_answer(type_, reason):
    """An answer that fails is quarantined and told to the operator, to nobody else."""
    fault = FAULTS[reason]
    step = decide(
        arrive(type=type_, **fault.get("facts", {})),
        known(**fault.get("memory", {})),
        rules(child=fault.get("child")),
    )
    assert reason_of(step) is reason
    assert not any(isinstance(effect, SendReceipt | RefuseOnLink) for effect in step)
    raised = [effect.kind for effect in step if isinstance(effect, Raise)]
    assert raised[-1] in {"answer_refused", "replay"}


# ------------------------------------------------------------------ what failed at the gate

BAD_SIGNATURE = Finding(Reason.SIG_INVALID, "signature does not hold")
BAD_PAYLOAD = Finding(Reason.DIGEST_MISMATCH, "payload differs")


def refuse(finding, header=None, *, proven=False, seen_before=False):
    return decide_refusal(Refusal(header, finding, proven, SCHOOL, seen_before))


def test_an_unproven_frame_is_answered_on_the_link():
    """Nobody named in it hears of it: the neighbour that brought it does, and the operator."""
    step = refuse(BAD_SIGNATURE, draft())
    assert reason_of(step) is Reason.SIG_INVALID
    assert step[2] == RefuseOnLink(Reason.SIG_INVALID, "signature does not hold")
    assert step[3:] == (Raise("unproven_frame_refused", f"sig-invalid from {SCHOOL}"),)


def test_a_frame_without_a_header_is_answered_on_the_link():
    """What names no sender is answered to the neighbour alone."""
    assert refuse(Finding(Reason.FORMAT_INVALID, "no prefix"))[2] == RefuseOnLink(
        Reason.FORMAT_INVALID, "no prefix"
    )


def test_a_proven_frame_is_answered_to_its_sender():
    """A frame whose signature has held gets a refused receipt."""
    step = refuse(BAD_PAYLOAD, draft(), proven=True)
    assert step[2:] == (SendReceipt("refused", Reason.DIGEST_MISMATCH, "payload differs"),)


@pytest.mark.parametrize("proven", [True, False])
def test_a_bad_frame_again_gets_its_answer_again(proven):
    """The same bytes are not kept twice; the answer names the packet only where it is proven."""
    found = refuse(BAD_PAYLOAD, draft(), proven=proven, seen_before=True)
    assert found == (RefuseAgain(PACKET_ID if proven else None, BAD_PAYLOAD),)


@pytest.mark.parametrize("type_", [RECEIPT, CLOSING])
@pytest.mark.parametrize("proven", [True, False])
def test_a_bad_answer_is_never_answered(type_, proven):
    """An answer that fails at the gate opens an incident once, and causes nothing afterwards."""
    header = draft(type=type_)
    first = refuse(BAD_PAYLOAD, header, proven=proven)
    assert [type(effect) for effect in first] == [Quarantine, Mark, Raise]
    assert refuse(BAD_PAYLOAD, header, proven=proven, seen_before=True) == ()


# ------------------------------------------------------------------ laws

arrivals = st.builds(
    arrive,
    content=st.sampled_from([None, FormatError(Reason.TOO_LARGE, "content over its limit")]),
    via=st.sampled_from([SCHOOL, OBLAST]),
    id=st.sampled_from([PACKET_ID, ANSWER_ID, OTHER_ID]),
    type=st.sampled_from(["attendance.daily/1", "new.type/2", PING, RECEIPT, CLOSING]),
    to=st.sampled_from([OBLAST, DISTRICT, "kz", "uz", f"{DISTRICT}.school-8"]),
    sent=st.sampled_from([NOW - 90 * DAY, NOW, NOW + DAY]).map(format_instant),
    expires=st.sampled_from([None, format_instant(NOW - DAY), format_instant(NOW + DAY)]),
)
places = st.sampled_from([RELAY, RECIPIENT, rules(child=card_of(SCHOOL, standing="suspended"))])


@given(arrivals, places)
def test_every_arrival_has_exactly_one_end(arrival, at):
    """Kept, refused or held: one of them, and what is refused goes no further."""
    step = decide(arrival, at=at)
    ends = [effect for effect in step if isinstance(effect, Keep | Quarantine | Hold)]
    assert len(ends) == 1
    assert ends[0] is step[0]
    if isinstance(step[0], Quarantine | Hold):
        assert not any(isinstance(effect, Forward | Release) for effect in step)


@given(arrivals, places)
def test_a_repeat_of_what_was_kept_stores_nothing(arrival, at):
    """Once kept, the same frame only ever causes its answer again, wherever and whenever."""
    if isinstance(decide(arrival, at=at)[0], Keep):
        for now in (NOW, NOW + 400 * DAY):
            again = decide(arrival, known(arrival), at, now)
            assert all(isinstance(effect, AnswerAgain) for effect in again)


@given(arrivals, places)
def test_a_repeat_of_what_was_refused_stores_nothing(arrival, at):
    """Once refused, the same bytes only ever cause their answer again."""
    step = decide(arrival, at=at)
    if isinstance(step[0], Quarantine):
        memory = known(refused_for=Finding(Reason(step[0].reason), step[0].detail))
        again = decide(arrival, memory, at)
        assert all(isinstance(effect, RefuseAgain) for effect in again)


@given(arrivals, places)
def test_deciding_twice_is_the_same(arrival, at):
    """A decision depends on what it is given, and on nothing else."""
    assert decide(arrival, at=at) == decide(msgspec.structs.replace(arrival), at=at)
