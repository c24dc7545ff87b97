"""The demo's judgement: what it must find, and what it must let pass."""

from nodes.demo.book import Book, Dropped, Left, Told, tally
from nodes.demo.judgement import StoreReport, judge_documents, judge_rogue, judge_stores
from nodes.demo.measures import count_resent, tier_times, tree_path
from nodes.demo.messages import RogueCase
from nodes.demo.proving import wanted

SCHOOL, DISTRICT, OBLAST = "kz.zhambyl.taraz.school-7", "kz.zhambyl.taraz", "kz.zhambyl"
TYPE = "attendance.daily/1"


def dropped(sha256="a", drop_id="d1", flow="up"):
    return Dropped(flow, SCHOOL, OBLAST, TYPE, sha256, drop_id)


def left(sha256="a", packet="p1", repeat=False):
    return Left(SCHOOL, OBLAST, TYPE, sha256, packet, repeat)


def told(state="delivered", drop_id="d1", packet="p1", reason=""):
    return Told(SCHOOL, drop_id, state, packet, reason)


def book(drops=(), lefts=(), tellings=(), expected=()):
    return Book(list(drops), list(lefts), list(tellings), list(expected))


def test_a_document_that_arrived_once_and_was_confirmed_passes():
    """Dropped, left the inbox, sender told: nothing to find."""
    verdict = judge_documents(book([dropped()], [left()], [told("sent"), told()]))
    assert verdict.findings == []


def test_a_document_that_never_left_an_inbox_is_lost():
    """That its sender was told of delivery does not help."""
    verdict = judge_documents(book([dropped()], [], [told()]))
    assert verdict.lost == 1
    assert verdict.findings[0].startswith("lost: ")
    assert verdict.findings[0].endswith("its sender was told: delivered")


def test_a_refused_document_is_not_lost():
    """A refusal that its sender was told of ends the exchange."""
    verdict = judge_documents(book([dropped()], [], [told("refused", reason="recipient-unknown")]))
    assert (verdict.lost, verdict.findings) == (0, [])


def test_a_refused_document_must_not_arrive():
    """Told refused, and yet it left an inbox: one of the two is wrong."""
    verdict = judge_documents(book([dropped()], [left()], [told("refused")]))
    assert verdict.findings[0].startswith("its sender was told refused, yet it arrived")


def test_a_message_that_comes_again_unmarked_is_doubled():
    """The same packet leaves an inbox twice, and the second time does not say so."""
    verdict = judge_documents(book([dropped()], [left(), left()], [told()]))
    assert verdict.doubled == 1
    assert "left the inbox of kz.zhambyl 2 times, unmarked" in verdict.findings[0]


def test_a_message_that_says_that_it_may_repeat_is_not_doubled():
    """After a crash a message may come again, marked."""
    verdict = judge_documents(book([dropped()], [left(), left(repeat=True)], [told()]))
    assert (verdict.doubled, verdict.findings) == (0, [])


def test_one_drop_that_became_two_packets_is_doubled():
    """Two packets with one document that was dropped once."""
    lefts = [left(packet="p1"), left(packet="p2")]
    verdict = judge_documents(book([dropped()], lefts, [told()]))
    assert verdict.doubled == 1
    assert verdict.findings[0].endswith("arrived as 2 packets: p1, p2")


def test_the_same_document_dropped_twice_arrives_twice():
    """Two drops of one content are two documents."""
    drops = [dropped(drop_id="d1"), dropped(drop_id="d2")]
    lefts = [left(packet="p1"), left(packet="p2")]
    verdict = judge_documents(book(drops, lefts, [told(drop_id="d1"), told(drop_id="d2")]))
    assert verdict.findings == []


def test_what_nobody_dropped_is_found():
    """A document that leaves an inbox must have been dropped by somebody."""
    verdict = judge_documents(book([], [left()], []))
    assert verdict.undropped == 1
    assert verdict.findings[0].startswith("nobody dropped what was delivered")


def test_a_changed_document_is_lost_and_undropped():
    """One byte's change makes another document of it."""
    verdict = judge_documents(book([dropped("a")], [left("b")], [told()]))
    assert (verdict.lost, verdict.undropped) == (1, 1)


def test_what_somebody_else_handed_in_is_expected():
    """The rogue's intact frame counts as dropped, and no status is due."""
    verdict = judge_documents(book([], [left()], [], [dropped(drop_id="")]))
    assert verdict.findings == []


def test_a_sender_that_heard_nothing_is_found():
    """A document that arrived, but whose sender was left waiting."""
    verdict = judge_documents(book([dropped()], [left()], [told("sent"), told("overdue")]))
    assert verdict.findings[0].startswith("its sender never heard the end of")


def test_a_fault_in_a_record_is_named_with_its_node():
    """What re-hashing finds fails the judgement."""
    verdict = judge_stores({OBLAST: StoreReport(faults=["leaf index 3: the row was deleted"])})
    assert verdict.findings == ["store of kz.zhambyl: leaf index 3: the row was deleted"]


def test_two_released_leaves_are_a_double():
    """The journal itself says that a document was released twice."""
    verdict = judge_stores({OBLAST: StoreReport(faults=[], released={"p1": 2, "p2": 1})})
    assert verdict.doubled == 1
    assert verdict.findings == ["doubled: packet p1 has 2 released leaves at kz.zhambyl"]


def rogue_case(reason="replay", answer="receipt", answered_reason="replay", packet=""):
    return RogueCase("case", "f1", reason, answer, answered_reason, packet)


def reports(district=None, oblast=None):
    return {
        DISTRICT: StoreReport(faults=[], **(district or {})),
        OBLAST: StoreReport(faults=[], **(oblast or {})),
    }


def test_a_bad_frame_that_was_quarantined_and_answered_passes():
    """Quarantined with its reason, answered with it, and nothing at the next tier."""
    stores = reports(district={"quarantine": {"f1": "replay"}, "frames": {"f1"}})
    outcome, findings = judge_rogue([rogue_case()], stores, DISTRICT)
    assert findings == []
    assert outcome["case"]["reason"] == "replay"
    assert outcome["case"]["reached_next_tier"] is False


def test_a_bad_frame_at_the_next_tier_is_found():
    """A frame that must not pass was kept by the oblast."""
    stores = reports(district={"quarantine": {"f1": "replay"}}, oblast={"frames": {"f1"}})
    _, findings = judge_rogue([rogue_case()], stores, DISTRICT)
    assert findings == ["rogue, case: reached kz.zhambyl"]


def test_a_bad_frame_without_its_reason_or_answer_is_found():
    """Another reason in quarantine, and no answer: two findings."""
    stores = reports(district={"quarantine": {"f1": "sig-invalid"}})
    _, findings = judge_rogue([rogue_case(answer="", answered_reason="")], stores, DISTRICT)
    assert findings == [
        "rogue, case: quarantined as 'sig-invalid', not 'replay'",
        "rogue, case: answered with nothing",
    ]


def test_a_repeat_is_answered_and_released_once():
    """A byte-exact repeat is no offence, and causes no second release."""
    case = rogue_case(reason="", answered_reason="", packet="p1")
    once = reports(oblast={"released": {"p1": 1}, "frames": {"f1"}})
    twice = reports(oblast={"released": {"p1": 2}, "frames": {"f1"}})
    assert judge_rogue([case], once, DISTRICT)[1] == []
    assert judge_rogue([case], twice, DISTRICT)[1] != []


def test_a_flow_counts_what_its_systems_did_and_saw():
    """Dropped, delivered, refused by reason, overdue, and told, each once a document."""
    drops = [dropped("a", "d1"), dropped("b", "d2"), dropped("c", "d3")]
    tellings = [
        told("overdue", "d1"),
        told("delivered", "d1"),
        told("refused", "d2", "p2", "recipient-unknown"),
    ]
    flow = tally(book(drops, [left("a")], tellings), {"up": 3})["up"]
    assert (flow.dropped, flow.delivered, flow.overdue, flow.told) == (3, 1, 1, 2)
    assert flow.refused == {"recipient-unknown": 1}
    assert not flow.settled


def test_a_flow_is_settled_when_every_document_has_ended():
    """Everything planned was dropped, arrived or was refused, and its sender knows."""
    flows = tally(book([dropped()], [left()], [told()]), {"up": 1, "down": 1})
    assert flows["up"].settled
    assert not flows["down"].settled


def test_resends_are_counted_for_the_flow():
    """Further places of a packet at its sender, once, however many events named it."""
    ledger = book([dropped()], [left()], [told("sent"), told()])
    flows = tally(ledger, {"up": 1})
    count_resent(ledger, {SCHOOL: StoreReport(faults=[], resent={"p1": 2})}, flows)
    assert flows["up"].resent == 2


def test_times_are_taken_from_leaf_to_leaf():
    """Each step has its median and 95th percentile, in milliseconds."""
    stores = {
        SCHOOL: StoreReport(faults=[], moments={"p1": 0}, ends={"p1": 9_000}),
        DISTRICT: StoreReport(faults=[], moments={"p1": 2_000}),
        OBLAST: StoreReport(faults=[], moments={"p1": 5_000}),
    }
    tiers = {SCHOOL: "school", DISTRICT: "district", OBLAST: "oblast"}
    times = tier_times(book([dropped()], [left()]), stores, tiers)
    assert times["school to district"] == {"median_ms": 2.0, "p95_ms": 2.0, "packets": 1}
    assert times["district to oblast"]["median_ms"] == 3.0
    assert times["sealed to confirmed"]["median_ms"] == 9.0


def test_the_way_along_the_tree_goes_up_and_down():
    """Up to the common ancestor, and down from it."""
    path = tree_path("kz.a.b.c", "kz.d.e")
    assert path == ["kz.a.b.c", "kz.a.b", "kz.a", "kz", "kz.d", "kz.d.e"]
    assert tree_path("kz", "kz.a") == ["kz", "kz.a"]


def test_the_highest_node_on_the_way_proves_what_arrived():
    """One packet of each flow is proven by the node nearest to the root that passed it on."""
    stores = {SCHOOL: "s.toml", DISTRICT: "d.toml", OBLAST: "o.toml"}
    found = wanted(
        book(
            [dropped(), dropped("b", "d2"), dropped("c", "d3", flow="another")],
            [left(), left("b", "p2"), left("c", "p3")],
            [told(), told(drop_id="d2", packet="p2"), told(drop_id="d3", packet="p3")],
        ),
        stores,
    )
    assert [(each.flow, each.packet, each.by) for each in found] == [
        ("up", "p1", OBLAST),
        ("another", "p3", OBLAST),
    ]


def test_what_was_refused_is_proven_by_its_sender():
    """Nobody else need have seen it; what has no end yet is not proven."""
    refused = told("refused", packet="p9", reason="recipient-unknown")
    stores = {SCHOOL: "s.toml", OBLAST: "o.toml"}
    found = wanted(book([dropped(), dropped("b", "d2", flow="open")], [], [refused]), stores)
    assert [(each.packet, each.by) for each in found] == [("p9", SCHOOL)]
