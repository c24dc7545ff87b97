"""A dossier said in one language: title, notices, content, header, times, answers, course, seal."""

from collections.abc import Iterator

from nodes.printing.blocks import Block, Fact, Facts, Notice, Part, Printout, Table, code, facts
from nodes.printing.contents import lay_out
from nodes.printing.course import confirmations, course
from nodes.printing.dossier import Dossier
from nodes.printing.forms import reason_of
from nodes.printing.sealed import seal
from nodes.printing.speaker import Speaker, both_zones
from schemas.codes import FLOW_NAMES, RETENTION_NAMES, SECTION_NAMES, Flow, RetentionClass, Section
from schemas.documents.registry import TYPES
from schemas.header import Header
from schemas.moments import SECOND
from schemas.records import QuarantineRow
from store.standing import State

UNDELIVERED = frozenset({State.REFUSED, State.EXPIRED})


def make_printout(dossier: Dossier, speaker: Speaker) -> Printout:
    """Return all that is known, in the reader's language."""
    say = speaker.say
    packet = dossier.packet
    return Printout(
        language=speaker.language,
        title=_title(dossier, speaker),
        form=_form(dossier, speaker),
        name=_name(dossier),
        notices=tuple(Notice(each) for each in _notices(dossier, speaker)),
        content=Part(say("print.part.content"), _content(dossier, speaker)),
        parts=tuple(
            part
            for part in (
                Part(say("print.part.quarantine"), tuple(_quarantine(dossier, speaker))),
                Part(say("print.part.header"), tuple(_header(dossier, speaker))),
                Part(say("print.part.times"), tuple(_times(dossier, speaker))),
                Part(say("print.part.confirmations"), tuple(confirmations(dossier, speaker))),
                Part(say("print.part.course"), tuple(course(dossier, speaker))),
                Part(say("print.part.seal"), tuple(seal(dossier, speaker))),
            )
            if part.blocks
        ),
        code=f"bbaj {'' if packet else 'frame '}{_name(dossier)} sha256:{_digest(dossier)}",
        check=say("print.check.frame" if _is_whole(dossier) else "print.check.journal")
        if packet is not None
        else say("print.check.quarantine"),
    )


def _is_whole(dossier: Dossier) -> bool:
    return dossier.opened.raw is not None


def _name(dossier: Dossier) -> str:
    packet = dossier.packet
    return packet.packet.id if packet else str(dossier.quarantined[0].frame)


def _digest(dossier: Dossier) -> str:
    packet = dossier.packet
    return (packet.packet.frame_sha256 if packet else dossier.quarantined[0].sha256).hex()


def _title(dossier: Dossier, speaker: Speaker) -> str:
    packet = dossier.packet
    if packet is None:
        return speaker.say("print.title.quarantine", frame=_name(dossier))
    form = TYPES.get(packet.packet.type)
    name = speaker.say("print.title.unknown") if form is None else speaker.name(form.names)
    return name[:1].upper() + name[1:]


def _form(dossier: Dossier, speaker: Speaker) -> str:
    packet = dossier.packet
    if packet is None:
        return speaker.say("print.form-none")
    name, _, version = packet.packet.type.rpartition("/")
    return speaker.say("print.form-number", name=name, version=version)


def _notices(dossier: Dossier, speaker: Speaker) -> Iterator[str]:
    if dossier.packet is None:
        yield speaker.say("print.notice.quarantine")
    elif dossier.quarantined:
        yield speaker.say("print.notice.also-quarantined")
    absent = dossier.opened.absent
    if absent is not None:
        yield speaker.say(f"print.absent.{absent}")
    standing = None if dossier.packet is None else dossier.packet.standing
    if standing is not None and standing.state in UNDELIVERED:
        state = speaker.say_of("print.states", standing.state)
        yield speaker.say("print.notice.not-delivered", state=state)
    if standing is not None and standing.overdue:
        yield speaker.say("print.notice.overdue")


def _content(dossier: Dossier, speaker: Speaker) -> tuple[Block, ...]:
    content, header, packet = dossier.opened.content, dossier.header, dossier.packet
    if packet is None or content is None or header is None:
        return (Notice(speaker.say("print.no-content")),)
    return lay_out(packet.packet.type, content, header.payload.media_type, speaker)


def _quarantine(dossier: Dossier, speaker: Speaker) -> Iterator[Block]:
    for row in dossier.quarantined:
        yield _quarantined(row, speaker)


def _quarantined(row: QuarantineRow, speaker: Speaker) -> Facts:
    say = speaker.say
    return facts(
        (say("print.frame-number"), str(row.frame)),
        (say("print.state"), speaker.say_of("print.states", row.state)),
        (say("print.form.reason"), reason_of(row.reason, speaker)),
        (say("print.form.detail"), row.detail),
        (say("print.neighbour"), row.neighbour),
        (say("print.times.received"), both_zones(row.received)),
        (say("print.form.size"), str(row.size)),
        code("SHA-256", row.sha256.hex()),
        (say("print.kept"), speaker.yes(holds=row.kept)),
    )


def _header(dossier: Dossier, speaker: Speaker) -> Iterator[Block]:
    header = dossier.header
    if header is None:
        return
    if dossier.packet is None:
        yield Notice(speaker.say("print.notice.claimed"))
    say = speaker.say
    named = {each: _named(dossier, each, speaker) for each in (header.from_, header.to)}
    yield facts(
        code(say("print.packet"), header.id),
        (say("print.type"), header.type),
        (say("print.from"), named[header.from_]),
        (say("print.to"), named[header.to]),
        (say("print.number"), say("print.number-of", seq=header.seq or "-", epoch=header.epoch)),
        (say("print.form.period"), header.period),
        (say("print.section"), _section(header, speaker)),
        (say("print.flow"), _flow(header, speaker)),
        code(say("print.re"), header.re),
        (say("print.form.media-type"), header.payload.media_type),
        (say("print.coding"), header.payload.coding),
        (say("print.payload-size"), str(header.payload.size)),
        (say("print.expires"), header.expires and both_zones(header.expires)),
        *_standing(dossier, speaker),
        (say("print.retention"), _retention(header, speaker)),
    )


def _standing(dossier: Dossier, speaker: Speaker) -> Iterator[Fact]:
    if dossier.packet is None:
        return
    state = dossier.packet.standing
    yield Fact(speaker.say("print.state"), speaker.say_of("print.states", state.state))
    if state.reason:
        yield Fact(speaker.say("print.form.reason"), reason_of(state.reason, speaker))


def _named(dossier: Dossier, address: str, speaker: Speaker) -> str:
    names = dossier.names.get(address)
    return address if names is None else f"{speaker.name(names)} ({address})"


def _section(header: Header, speaker: Speaker) -> str:
    if header.section not in set(Section):
        return header.section
    return f"{header.section}: {speaker.name(SECTION_NAMES[Section(header.section)])}"


def _flow(header: Header, speaker: Speaker) -> str:
    return speaker.name(FLOW_NAMES[Flow(header.flow)])


def _retention(header: Header, speaker: Speaker) -> str:
    if header.class_ not in set(RetentionClass):
        return header.class_
    names = RETENTION_NAMES[RetentionClass(header.class_)]
    return f"{header.class_}: {speaker.name(names)}"


def _times(dossier: Dossier, speaker: Speaker) -> Iterator[Block]:
    packet = dossier.packet
    if packet is None:
        return
    say, row = speaker.say, packet.packet
    there, unknown = dossier.received_there, say("print.not-known")
    yield Table(
        (say("print.times.what"), say("print.times.at"), say("print.times.by")),
        (
            (say("print.times.sent"), both_zones(row.sent), row.sender),
            (
                say("print.times.received"),
                unknown if there is None else both_zones(there),
                row.recipient,
            ),
            (say("print.times.kept"), both_zones(row.received), dossier.here),
            (say("print.times.printed"), both_zones(dossier.printed), dossier.here),
        ),
    )
    backwards = there is not None and there < row.sent
    apart = "" if there is None or not backwards else str((row.sent - there) // SECOND)
    yield facts(
        (say("print.times.clock"), _clock(dossier, speaker)),
        (say("print.times.apart"), apart and say("print.times.apart-by", seconds=apart)),
    )


def _clock(dossier: Dossier, speaker: Speaker) -> str:
    """Return what is known of the clocks' errors at the time: doubts, and what nodes have said."""
    known = [f"{both_zones(each.happened)}: {each.detail}" for each in dossier.doubts]
    known += [
        speaker.say("print.times.offset", address=address, day=day, ms=ms)
        for address, day, ms in dossier.offsets
    ]
    return "\n".join(known) or speaker.say("print.not-known")
