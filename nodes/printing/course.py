"""What became of a packet: every confirmation with its times, and the course of events."""

from collections import defaultdict
from collections.abc import Iterator

from nodes.printing.blocks import Block, Notice, Table
from nodes.printing.dossier import Answer, Dossier
from nodes.printing.speaker import Speaker, both_zones, utc_then_local
from nodes.texts import catalogue
from schemas.answers import CLOSING, RECEIPT, Closing, Receipt
from store.reading import Moment

LOCAL_STREAMS = frozenset({"inbox", "status"})
FRAMES = {RECEIPT: "receipt", CLOSING: "closing"}


def confirmations(dossier: Dossier, speaker: Speaker) -> Iterator[Block]:
    """Lay out receipts, closings and custody notes, with the moments that each of them names."""
    if dossier.packet is None:
        return
    say = speaker.say
    rows = [_answer(each, speaker) for each in dossier.answers]
    rows += [
        (say("print.confirm.custody"), neighbour_of(each), "", "", both_zones(each.at))
        for each in dossier.happened
        if _is_custody(each) and each.frame == dossier.packet.packet.frame
    ]
    if not rows:
        yield Notice(say("print.confirm.none"))
        return
    heads = ("what", "by", "result", "stated", "came")
    yield Table(tuple(say(f"print.confirm.{head}") for head in heads), tuple(rows))


def _is_custody(moment: Moment) -> bool:
    """Say whether a neighbour has noted a frame; what a local broker confirms is no custody."""
    return moment.what == "custody" and neighbour_of(moment) not in LOCAL_STREAMS


def _answer(answer: Answer, speaker: Speaker) -> tuple[str, ...]:
    row, say = answer.packet, speaker.say
    what = say(f"print.frames.{FRAMES.get(row.type, 'document')}")
    match answer.said:
        case Receipt() as receipt:
            result = say(f"print.verdicts.{receipt.verdict}")
            reason = f": {receipt.reason}" if receipt.reason else ""
            stated = both_zones(receipt.received)
        case Closing() as closing:
            result, reason = say("print.verdicts.confirmed"), ""
            stated = both_zones(closing.confirmed)
        case _:
            result, reason, stated = say("print.not-known"), "", say("print.not-known")
    return (f"{what}\n{row.id}", row.sender, result + reason, stated, both_zones(row.received))


def course(dossier: Dossier, speaker: Speaker) -> Iterator[Block]:
    """Lay out what happened to the packet and its answers, oldest first."""
    if not dossier.happened:
        return
    heads = (speaker.say("print.times.at"), speaker.say("print.event"), speaker.say("print.leaf"))
    yield Table(heads, tuple(_event(each, dossier, speaker) for each in dossier.happened))


def _event(moment: Moment, dossier: Dossier, speaker: Speaker) -> tuple[str, str, str]:
    index = "" if moment.index is None else str(moment.index)
    return "\n".join(utc_then_local(moment.at)), _phrase(moment, dossier, speaker), index


def _phrase(moment: Moment, dossier: Dossier, speaker: Speaker) -> str:
    """Return what happened in words; of a kind without words its own name."""
    is_local = moment.what == "custody" and not _is_custody(moment)
    own = "print.events.local" if is_local else f"print.events.{moment.what}"
    key = own if own in catalogue(speaker.language) else f"timeline.events.{moment.what}"
    said = catalogue(speaker.language).get(key, moment.what)
    values = defaultdict(str, moment.facts)
    values["what"] = _frame_of(moment, dossier, speaker)
    values["neighbour"], values["where"] = neighbour_of(moment), moment.where
    if values["verdict"]:
        values["verdict"] = speaker.say_of("print.verdicts", values["verdict"])
    return said.format_map(values).strip()


def _frame_of(moment: Moment, dossier: Dossier, speaker: Speaker) -> str:
    types = {each.packet.frame: each.packet.type for each in dossier.answers}
    name = FRAMES.get(types.get(moment.frame, ""), "document")
    return speaker.say(f"print.frames.{name}")


def neighbour_of(moment: Moment) -> str:
    """Return the neighbour of a stream's name."""
    return moment.where.partition("/")[0]
