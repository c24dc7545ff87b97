"""Hands documents over to the daemon through its database, and follows what becomes of them.

Documents are checked here by the daemon's own rules, so that a fault shows at once; the daemon
checks again. A drop id is the digest of all that is handed over, unless given: the same command
twice makes one packet.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, Callable
from functools import partial

import msgspec

from exchange.core.registry import Registry
from exchange.dropped import Drop, check_drop, content_of
from exchange.identity import new_packet_id
from nodes.cli import large
from nodes.cli.errors import DocumentFault, PacketRefused, UsageFault
from nodes.cli.opening import find, reading
from nodes.cli.registries import read_tree
from nodes.cli.shapes import Sending
from nodes.cli.shelf import Shelf
from nodes.clock import now
from nodes.config import Config
from nodes.errors import NotDelivered, NotFound
from nodes.said import Said
from nodes.wiring import rules_of
from schemas.answers import ANSWERS, PING, PacketName
from schemas.codes import RETURN_REASONS, ReturnReason
from schemas.documents.notice import NoticeReturned, ReturnedField
from schemas.documents.registry import (
    DOCUMENT_FILE,
    NOTICE_RETURNED,
    DocumentError,
    PacketType,
)
from schemas.errors import Retryable
from schemas.limits import PAYLOAD_BYTES_MAX
from schemas.manifest import is_manifest
from schemas.moments import format_instant
from schemas.reasons import NEXT_STEP, Reason
from schemas.records import DropOutcome, DropPart, PacketRow, PendingDrop
from signing.payload import travelling_bytes
from store.reading import ListedPacket, Reading
from store.standing import State

SYSTEM = "command"
"""The local system that commands hand over for."""
POLL_S = 0.3
HANDED_OVER = "handed over"
WAITING = "waiting"
"""For what its recipient's card says."""
FAULT = "fault"

Watch = Callable[[Sending], None]
Parts = Callable[[str, Shelf], AsyncIterable[DropPart]]
"""Gives the parts of a file, sealed for a bucket."""


async def send(
    config: Config,
    drop: Drop,
    wait_s: float | None,
    watch: Watch,
    parts: Parts | None = None,
) -> Sending:
    """Check and hand over a document; with `wait_s`, stay until it has its answer.

    `parts` are of the file whose manifest the document is.

    Raises DocumentFault, WrongUser and what the store does.
    """
    packet_type = check(config, (await read_tree(config)).registry, drop)
    moment = now()
    shelf = Shelf(config)
    sealed = shelf.seal_body(drop.system, drop.drop_id, packet_type.retention, moment, drop.body)
    row = PendingDrop(
        system=drop.system,
        drop_id=drop.drop_id,
        dropped=moment,
        type=drop.type,
        recipient=drop.to,
        section=drop.section,
        period=drop.period,
        title=drop.title,
        re=drop.re,
        media_type=drop.media_type,
        parts=drop.parts,
        **sealed,  # type: ignore[arg-type]
    )
    async with reading(config) as desk:
        answer = await desk.drop(row, None if parts is None else parts(row.bucket, shelf))
        first = await _look(desk, drop, known_before=answer is not True)
        if wait_s is None or _is_final(first):
            return first
        return await _wait(desk, drop, first, wait_s, watch)


def check(config: Config, registry: Registry, drop: Drop) -> PacketType:
    """Return the type of a document that may be handed over. Raises DocumentFault."""
    try:
        packet_type = check_drop(drop, rules_of(config, registry))
        content, _ = content_of(drop, config.address)
    except DocumentError as error:
        raise DocumentFault(str(error)) from error
    size = travelling_bytes(content, encrypted=packet_type.personal, padded=packet_type.padded)
    if size > PAYLOAD_BYTES_MAX:
        problem = f"body: {size} bytes as it would travel, limit {PAYLOAD_BYTES_MAX}"
        is_file = drop.type == DOCUMENT_FILE
        do = "name the file, not -, and it goes in parts" if is_file else "split the document"
        raise DocumentFault(f"{problem}: {do}")
    return packet_type


def drop_id_of(drop: Drop) -> str:
    """Return the digest of all that is handed over, as a drop id."""
    facts = [drop.type, drop.to, drop.section, drop.period, drop.title, drop.re, drop.media_type]
    digest = hashlib.sha256(msgspec.json.encode(facts) + b"\n" + drop.body)
    return f"sha256-{digest.hexdigest()}"


def ping(to: str) -> Drop:
    """Return a ping: it goes through all tiers, is answered, and is released to nobody."""
    return Drop(SYSTEM, f"ping-{new_packet_id(now())}", PING, to, b"{}")


async def notice(config: Config, packet_id: str, reason: str, text: str, fields: list[str]) -> Drop:
    """Return the notice that returns a document of ours to its sender (R-29d).

    Raises NotFound, or UsageFault where it is not a document that came to this node.
    """
    if reason not in RETURN_REASONS.codes:
        raise UsageFault(f"--reason {reason}: use one of {', '.join(RETURN_REASONS.codes)}")
    async with reading(config) as desk:
        packet = (await find(desk, packet_id, recipient=config.address)).packet
    if packet.type in ANSWERS:
        raise UsageFault(f"{packet_id} is a {packet.type}: only a document can be returned")
    words = text or RETURN_REASONS.codes[ReturnReason(reason)].names.en
    document = NoticeReturned(
        packet=PacketName(packet.sender, packet.epoch, packet.id),
        reasons_version=RETURN_REASONS.version,
        reason=reason,
        text=words,
        fields=tuple(_returned_field(field) for field in fields),
    )
    body = msgspec.json.encode(document)
    drop = Drop(SYSTEM, "", NOTICE_RETURNED, packet.sender, body, packet.section, re=packet.id)
    return msgspec.structs.replace(drop, drop_id=f"return-{packet.id}-{reason}")


async def again(config: Config, packet_id: str) -> tuple[Drop, Parts | None]:
    """Return a refused or expired document of ours as a new drop; its parts, if it has any.

    Raises NotFound, or UsageFault where the packet is neither ours nor ended without delivery.
    """
    async with reading(config) as desk:
        line = await find(desk, packet_id, sender=config.address)
        packet = line.packet
        if packet.type in ANSWERS or line.standing.state not in {State.REFUSED, State.EXPIRED}:
            raise UsageFault(
                f"{packet_id} ({packet.type}) is {line.standing.state}: only a document of ours "
                "that was refused or has expired is sealed again; the node repeats the others"
            )
        shelf = Shelf(config)
        kept = await shelf.fetch(desk, packet.frame)
    if kept.raw is None:
        raise NotFound(f"content of {packet_id} is not here, {kept.absent}: drop the document anew")
    drop = Drop(
        system=SYSTEM,
        drop_id=f"resend-{packet.id}",
        type=packet.type,
        to=packet.recipient,
        body=b"",
        section=packet.section,
        period=packet.period,
        re=packet.re,
    )
    if is_manifest(packet.type, packet.media_type):
        drop = large.manifest_again(drop, shelf.content_of(kept.raw))
        return drop, partial(large.parts_again, drop, packet, config)
    document = shelf.document_of(kept.raw)
    named = {"title": document.title, "media_type": document.media_type}
    return msgspec.structs.replace(drop, body=document.body, **named), None


def judge(result: Sending, wait_s: float | None) -> None:
    """Raise DocumentFault, PacketRefused or NotDelivered where a sending did not end well."""
    if result.state == FAULT:
        raise DocumentFault(f"{result.problem}: correct it, and send it under another --drop-id")
    if wait_s is None or result.state == State.DELIVERED:
        return
    if result.state in {State.REFUSED, State.EXPIRED}:
        why = f" ({result.reason})" if result.reason else ""
        raise PacketRefused(f"{result.packet} is {result.state}{why}: {result.next_step}")
    where = f", in custody of {result.holder}" if result.holder else ""
    late = "overdue" if result.overdue else f"not delivered in {wait_s:g} s"
    advice = f"`bbaj show {result.packet}`" if result.packet else "`bbaj node check`"
    raise NotDelivered(f"{result.packet or result.drop_id} is {late}{where}: see {advice}")


async def _wait(desk: Reading, drop: Drop, first: Sending, wait_s: float, watch: Watch) -> Sending:
    result = first
    try:
        async with asyncio.timeout(wait_s):
            while not _is_final(result) and not result.overdue:
                watch(result)
                await asyncio.sleep(POLL_S)
                result = await _look_past_outages(desk, drop, result)
    except TimeoutError:
        return result
    return result


async def _look_past_outages(desk: Reading, drop: Drop, before: Sending) -> Sending:
    try:
        return await _look(desk, drop, known_before=before.known_before)
    except Retryable:
        return before


async def _look(desk: Reading, drop: Drop, *, known_before: bool) -> Sending:
    """Return what has become of a drop by now."""
    outcome = await desk.drop_outcome(drop.system, drop.drop_id)
    if outcome is None or outcome.frame is None:
        awaits = None if outcome else await desk.awaited_by(drop.system, drop.drop_id)
        return _undelivered(drop, outcome, awaits, known_before=known_before)
    packet = (await desk.trail_of_frame([outcome.frame]))[outcome.frame].packet
    return _sending(drop, await find(desk, packet.id, sender=packet.sender), known_before)


def _undelivered(
    drop: Drop, outcome: DropOutcome | None, awaits: str | None, *, known_before: bool
) -> Sending:
    step = Said("packets.handed.greeting")
    if awaits is not None:
        step = Said(f"packets.handed.{awaits}", {"to": drop.to})
    return Sending(
        drop_id=drop.drop_id,
        state=FAULT if outcome else WAITING if awaits else HANDED_OVER,
        known_before=known_before,
        type_=drop.type,
        to=drop.to,
        packet=None,
        sent=None,
        since=format_instant(outcome.decided) if outcome else None,
        overdue=False,
        holder=None,
        reason=None,
        problem=outcome.fault if outcome else None,
        next_step=Said("packets.handed.correct") if outcome else step,
    )


def _sending(drop: Drop, line: ListedPacket, known_before: bool) -> Sending:
    packet: PacketRow = line.packet
    standing = line.standing
    return Sending(
        drop_id=drop.drop_id,
        state=standing.state,
        known_before=known_before,
        type_=packet.type,
        to=packet.recipient,
        packet=packet.id,
        sent=format_instant(packet.sent),
        since=format_instant(standing.since),
        overdue=standing.overdue,
        holder=standing.holder,
        reason=standing.reason,
        problem=None,
        next_step=NEXT_STEP[Reason(standing.reason)] if standing.reason else None,
    )


def _is_final(result: Sending) -> bool:
    return result.state in {FAULT, State.DELIVERED, State.REFUSED, State.EXPIRED}


def _returned_field(text: str) -> ReturnedField:
    field, equals, problem = text.partition("=")
    if not (field and equals and problem):
        raise UsageFault(f"--field {text}: write it like '$.pupils[3].mark=unknown code'")
    return ReturnedField(field=field, problem=problem)
