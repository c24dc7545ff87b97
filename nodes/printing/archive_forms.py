"""How the archive's own documents are laid out: destruction acts, states of nodes, completeness."""

from collections.abc import Iterator

from nodes.printing.blocks import Block, Fact, Facts, Table, code, facts
from nodes.printing.speaker import Speaker, both_zones
from schemas.documents.act import ArchiveAct, Hand
from schemas.documents.completeness import Completeness
from schemas.documents.state import ArchiveState


def act(document: ArchiveAct, speaker: Speaker) -> Iterator[Block]:
    """Lay out a destruction act: what, on which basis, and by whose hands."""
    say = speaker.say
    yield facts(
        code(say("print.act.bucket"), document.bucket),
        (say("print.retention"), document.class_),
        (say("print.act.term-ended"), both_zones(document.term_ended)),
        (say("print.act.basis"), document.basis),
        (say("print.act.packets"), str(document.packets)),
        (say("print.form.size"), str(document.size)),
        (say("print.act.held"), str(document.held)),
        code(say("print.act.frames"), document.frames_sha256),
        code(say("print.act.policy"), document.policy_sha256),
        code(say("print.act.proposal"), document.proposal),
    )
    hands = [("proposed", document.proposed), *(("approved", each) for each in document.approved)]
    yield Table(
        tuple(say(f"print.act.{head}") for head in ("step", "by", "role", "at")),
        tuple(_hand(step, hand, speaker) for step, hand in (*hands, ("acted", document.acted))),
    )


def _hand(step: str, hand: Hand, speaker: Speaker) -> tuple[str, ...]:
    role = speaker.say_of("print.roles", hand.role)
    return speaker.say(f"print.act.{step}"), hand.by, role, both_zones(hand.at)


def completeness(document: Completeness, speaker: Speaker) -> Iterator[Block]:
    """Lay out how many reports came."""
    say = speaker.say
    yield facts(
        (say("print.form.period"), document.period),
        (say("print.count.reports"), document.reports),
        (say("print.count.under"), document.under),
        (say("print.form.due"), both_zones(document.due)),
        (say("print.count.counted"), both_zones(document.counted)),
        (say("print.count.expected"), str(document.expected)),
        (say("print.count.received"), str(document.received)),
        (say("print.count.on-time"), str(document.on_time)),
        (say("print.count.missing"), str(document.missing)),
        (say("print.count.gaps"), str(document.gaps)),
    )


def state(document: ArchiveState, speaker: Speaker) -> Iterator[Block]:
    """Lay out what a node says of itself; what it does not know is said to be unknown."""
    say = speaker.say
    numbers = {
        "uptime": document.uptime_s,
        "epoch": document.epoch,
        "leaves": document.leaves,
        "unwitnessed": document.unwitnessed_leaves,
        "waiting": document.waiting,
        "waiting-s": document.waiting_s,
        "open": document.open_exchanges,
        "held": document.held_frames,
        "database": document.database_bytes,
        "growth": document.growth_bytes_a_day,
        "free": document.free_bytes,
        "days-left": document.days_left,
        "clock": document.clock_offset_ms,
        "backup": document.backup_age_h,
    }
    unknown = say("print.not-known")
    yield Facts(
        (
            Fact(say("print.form.day"), document.period),
            Fact(say("print.node.version"), document.version),
            *(
                Fact(say(f"print.node.{name}"), unknown if value is None else str(value))
                for name, value in numbers.items()
            ),
            Fact(say("print.node.doubted"), speaker.yes(holds=document.clock_doubted)),
        )
    )
    if document.certificate_days:
        yield Table(
            (say("print.node.certificate"), say("print.node.days")),
            tuple((name, str(days)) for name, days in document.certificate_days.items()),
        )
