"""Checks of one frame folder: its pieces, payload, content, signature, chain and answer."""

import hashlib
import re

from exchange.sealing import CONTENT_BYTES_MAX
from nodes.evidence.case import Case, at
from nodes.evidence.checks_leaves import Existence, frame_of, whole_frame
from nodes.evidence.model import PACKET_FOLDER
from nodes.evidence.names import FRAME
from nodes.evidence.reading import Folder, PieceFault, inside
from nodes.evidence.verdict import Check, Finding, judge
from schemas.answers import CLOSING, RECEIPT, PacketName, decode_closing, decode_receipt
from schemas.errors import FormatError
from schemas.header import Header
from schemas.limits import SALT_BYTES
from signing.cms import detached_cms
from signing.errors import MALFORMED
from signing.keys import fingerprint
from signing.past import Claim
from signing.payload import open_payload
from signing.profiles import Purpose

FRAME_FOLDER = re.compile(FRAME)
_TYPES = {"receipt": RECEIPT, "closing": CLOSING}
_HEADER_AT = 8


def frame_folders(folder: Folder) -> list[str]:
    """Return the frame folders that are there, the packet's first, then as an export names them."""
    tops = {name.partition("/")[0] for name in folder.files if name.endswith("/head.bin")}
    found = sorted(filter(FRAME_FOLDER.fullmatch, tops), key=_by_number)
    return [PACKET_FOLDER, *sorted(found, key=lambda name: name.startswith("closing"))]


def check_frame(case: Case, where: str, existed: Existence) -> list[Check]:
    """Return every check of a frame folder but those of its leaves."""
    payload = inside(where, "payload.bin")
    checks = [
        judge("pieces", where, _check_pieces, case.folder, where),
        judge("signature", where, _check_signature, case, where, existed),
        judge("chain", where, _check_chain, case, where, existed),
    ]
    if payload in case.folder or inside(where, "frame.bin") in case.folder:
        checks.append(judge("payload", where, _check_payload, case.folder, where))
    else:
        checks.append(Check("payload", where, "absent", "the payload is not here any more"))
    checks.append(_content(case.folder, where))
    if where != PACKET_FOLDER:
        checks.append(_answer(case.folder, where))
    return checks


def _check_pieces(folder: Folder, where: str) -> str:
    frame = frame_of(folder, where)
    signer = folder.certificate(inside(where, "signer.pem"))
    cut_out = {"signed.bin": frame.signed, "header.json": frame.signed[_HEADER_AT:]}
    cut_out |= {"signature.der": frame.signature, "head.bin": frame.head}
    for name, piece in cut_out.items():
        if folder.read(inside(where, name)) != piece:
            raise PieceFault(inside(where, name), "is not cut from the frame's head")
    authority, cms = inside(where, "authority.pem"), inside(where, "packet.p7s")
    if authority in folder or cms in folder:
        _check_cms(folder, cms, frame.signature, signer, folder.certificate(authority))
    whole, payload = inside(where, "frame.bin"), inside(where, "payload.bin")
    there = whole in folder or payload in folder
    if there and folder.read(whole) != frame.head + folder.read(payload):
        raise PieceFault(whole, "is not head and payload")
    return ""


def _check_cms(folder: Folder, name: str, signature: bytes, *certificates: bytes) -> None:
    try:
        expected = detached_cms(signature, *certificates)
    except MALFORMED as error:
        raise PieceFault(name, "cannot be made again: a certificate is damaged") from error
    if folder.read(name) != expected:
        raise PieceFault(name, "is not the CMS of this signature and these certificates")


def _check_payload(folder: Folder, where: str) -> str:
    facts = frame_of(folder, where).header.payload
    name = inside(where, "payload.bin")
    payload = folder.read(name)
    if len(payload) != facts.size:
        raise PieceFault(name, f"has {len(payload)} bytes, the header names {facts.size}")
    for algorithm in ("sha256", "sha512"):
        if hashlib.new(algorithm, payload).hexdigest() != getattr(facts, algorithm):
            raise PieceFault(name, f"has another {algorithm} than the header names")
    return ""


def _content(folder: Folder, where: str) -> Check:
    if inside(where, "content") not in folder and inside(where, "clear.bin") not in folder:
        return Check("content", where, "absent", "the content was not written out")
    return judge("content", where, _check_content, folder, where)


def _check_content(folder: Folder, where: str) -> str:
    name = inside(where, "content")
    content, facts = folder.read(name), frame_of(folder, where).header.payload
    if facts.is_encrypted:
        clear = folder.read(inside(where, "clear.bin"))
        if hashlib.sha256(clear).hexdigest() != facts.clear_sha256:
            raise PieceFault(inside(where, "clear.bin"), "is not what clear_sha256 names")
        opened = clear[SALT_BYTES:]
    else:
        payload = folder.read(inside(where, "payload.bin"))
        opened = open_payload(payload, facts.coding, CONTENT_BYTES_MAX)
        if inside(where, "clear.bin") in folder:
            raise PieceFault(
                inside(where, "clear.bin"), "belongs to no payload: it is not encrypted"
            )
    if opened != content:
        raise PieceFault(name, "is not what the payload holds")
    return ""


def _check_signature(case: Case, where: str, existed: Existence) -> str:
    frame = frame_of(case.folder, where)
    if fingerprint(case.certificate(where)) != frame.header.certificate:
        raise PieceFault(inside(where, "signer.pem"), "is not the certificate the header names")
    signature, signed = inside(where, "signature.der"), inside(where, "signed.bin")
    case.check_signed(
        where,
        signature,
        case.folder.read(signature),
        case.folder.read(signed),
        existed.at if existed.proven else case.now,
    )
    return f"by {frame.header.from_}"


def _check_chain(case: Case, where: str, existed: Existence) -> Finding:
    header = frame_of(case.folder, where).header
    relied_at = existed.at if existed.proven else case.now
    claim = Claim(header.from_, Purpose.PACKET, existed.at, header.sent_at, relied_at)
    return case.judge_chain(where, claim, proven=existed.proven)


def _answer(folder: Folder, where: str) -> Check:
    if inside(where, "content") in folder:
        return judge("answer", where, _check_answer, folder, where)
    found = judge("answer", where, _check_header, folder, where)
    detail = "all that it answers cannot be read without its content"
    return found if found.result == "fails" else Check("answer", where, "absent", detail)


def _check_header(folder: Folder, where: str) -> str:
    """Compare what an answer's header says by itself: its type, and the packet that it answers."""
    header, name = frame_of(folder, where).header, inside(where, "header.json")
    if header.type != _TYPES[where.partition("-")[0]]:
        raise PieceFault(name, f"is of type {header.type}, not as its folder says")
    receipts = [each for each in frame_folders(folder) if each.startswith("receipt")]
    packets, what = ([PACKET_FOLDER], "packet") if header.type == RECEIPT else (receipts, "receipt")
    if header.re not in {frame_of(folder, each).header.id for each in packets}:
        raise PieceFault(name, f"names a {what} that is not in the folder")
    if header.type == CLOSING and header.from_ != frame_of(folder, PACKET_FOLDER).header.from_:
        raise PieceFault(name, f"is {header.from_}'s word, not the sender's")
    return ""


def _check_answer(folder: Folder, where: str) -> str:
    _check_header(folder, where)
    header, name = frame_of(folder, where).header, inside(where, "content")
    try:
        if header.type == RECEIPT:
            return _check_receipt(folder, name, header)
        return _check_closing(folder, name)
    except FormatError as fault:
        raise at(name, fault) from fault


def _check_receipt(folder: Folder, name: str, header: Header) -> str:
    receipt = decode_receipt(folder.read(name))
    packet = frame_of(folder, PACKET_FOLDER)
    _check_names(name, receipt.packet, packet.header)
    if receipt.head_sha256 != hashlib.sha256(packet.raw).hexdigest():
        raise PieceFault(name, "names another head than the packet's")
    if receipt.verdict == "accepted" and header.from_ != packet.header.to:
        raise PieceFault(name, f"accepts, and is {header.from_}'s word, not the addressee's")
    whole = whole_frame(folder, PACKET_FOLDER)
    is_other = whole is not None and receipt.frame_sha256 != hashlib.sha256(whole).hexdigest()
    if is_other and receipt.verdict == "accepted":
        raise PieceFault(name, "accepts another frame than the packet's")
    about = "another copy, damaged on the way, was " if is_other else ""
    return f"{about}{receipt.verdict} by {header.from_}"


def _check_closing(folder: Folder, name: str) -> str:
    closing = decode_closing(folder.read(name))
    packet = frame_of(folder, PACKET_FOLDER).header
    _check_names(name, closing.packet, packet)
    for where in frame_folders(folder):
        if where.startswith("receipt"):
            receipt = frame_of(folder, where)
            if hashlib.sha256(receipt.raw).hexdigest() == closing.receipt_head_sha256:
                _check_names(name, closing.receipt, receipt.header)
                return f"the sender has {where}"
    raise PieceFault(name, "names a receipt that is not in the folder")


def _check_names(name: str, named: PacketName, header: Header) -> None:
    """Raise PieceFault unless a packet name is that of a header."""
    if named != PacketName(header.from_, header.epoch, header.id):
        raise PieceFault(name, "names another packet")


def _by_number(name: str) -> tuple[str, int]:
    kind, _, number = name.partition("-")
    return kind, int(number or 1)
