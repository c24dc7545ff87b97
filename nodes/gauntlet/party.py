"""A speaker that seals packets too, and holds every answer to them against the rules."""

from typing import Any

import msgspec

from exchange.core.streams import Incoming
from exchange.identity import new_packet_id
from nodes.clock import now
from nodes.errors import JudgementFailed
from nodes.gauntlet.speaker import LANES, PATIENCE_S, Connect, Speaker, Tail, sha256
from schemas.answers import CLOSING, RECEIPT, Closing, PacketName, Receipt, decode_receipt
from schemas.errors import FormatError
from schemas.frame import ECDSA_P256_SHA256, MAGIC, VERSION, Frame, cut, join_head
from schemas.header import Header
from schemas.limits import PAYLOAD_BYTES_MAX, Limits
from schemas.moments import format_instant
from schemas.objects import Refusal
from signing.authenticate import authenticate_past
from signing.chain import TrustStore
from signing.keys import PacketSigner
from signing.payload import make_payload, open_payload, payload_facts
from signing.seal import seal

JSON = "application/json"
SALT = bytes(range(16))


class Party(Speaker):
    """One end of a link that exchanges packets with the node at the other."""

    def __init__(
        self,
        address: str,
        neighbour: str,
        *,
        signer: PacketSigner,
        trust: TrustStore,
        connect: Connect,
        first_seq: int = 1,
    ) -> None:
        """Seal as `address`, numbering packets from `first_seq` on, to each recipient apart."""
        super().__init__(address, neighbour, signer=signer, trust=trust, connect=connect)
        self._first_seq = first_seq
        self._seqs: dict[tuple[str, str], int] = {}
        self._receipts: dict[str, list[tuple[Frame, Receipt]]] = {}

    async def begin(self) -> None:
        """Call anew, and write on from where the neighbour's hello says that our streams end."""
        await self.stop()
        await self.start()
        for lane in LANES:
            position = self.noted[lane]
            self.sent[lane] = Tail(position.up_to, bytes.fromhex(position.chain))

    def unlearn(self) -> None:
        """Forget all that was taken of the neighbour, as a record restored from an old copy has."""
        self.taken = {lane: Incoming() for lane in LANES}
        self.packets.clear()
        self._receipts.clear()
        self.refusals.clear()

    # --- packets ------------------------------------------------------------------------------

    def packet(
        self,
        to: str,
        content: bytes = b"",
        *,
        signer: PacketSigner | None = None,
        media_type: str = JSON,
        **changes: object,
    ) -> bytes:
        """Return a sealed frame from us to `to`, a ping but for changes of its header."""
        header, payload = self.draft(to, content, signer=signer, media_type=media_type, **changes)
        return seal(header, payload, signer or self.signer)

    def draft(
        self,
        to: str,
        content: bytes = b"",
        *,
        signer: PacketSigner | None = None,
        media_type: str = JSON,
        **changes: object,
    ) -> tuple[Header, bytes]:
        """Return header and payload of a packet, not sealed yet."""
        payload, coding = make_payload(content, SALT)
        sender = str(changes.get("from_", self.address))
        fields: dict[str, Any] = {
            "id": new_packet_id(now()),
            "type": "ping/1",
            "from_": sender,
            "to": to,
            "sent": format_instant(now()),
            "epoch": 1,
            "section": "net",
            "class_": "R1",
            "flow": "oper",
            "certificate": (signer or self.signer).fingerprint,
            "payload": payload_facts(payload, media_type, coding),
        }
        if "seq" not in changes:
            seq = self._seqs.get((sender, to), self._first_seq - 1) + 1
            self._seqs[sender, to] = fields["seq"] = seq
        return Header(**{**fields, **changes}), payload

    def sign_text(
        self,
        header: bytes,
        payload: bytes = b"",
        *,
        version: int = VERSION,
        algorithm: int = ECDSA_P256_SHA256,
        size: int | None = None,
    ) -> bytes:
        """Return a frame with a good signature round whatever stands for its header."""
        length = (len(header) if size is None else size).to_bytes(2)
        signed = MAGIC + bytes([version, algorithm]) + length + header
        return join_head(signed, self.signer.sign(signed)) + payload

    def closing(self, packet: bytes, receipt: Frame) -> bytes:
        """Return our sealed closing of an exchange."""
        header, answer = cut(packet).header, receipt.header
        closing = Closing(
            packet=PacketName(header.from_, header.epoch, header.id),
            receipt=PacketName(answer.from_, answer.epoch, answer.id),
            receipt_head_sha256=sha256(receipt.head).hex(),
            confirmed=format_instant(now()),
        )
        content = msgspec.json.encode(closing)
        return self.packet(answer.from_, content, type=CLOSING, re=answer.id)

    # --- answers ------------------------------------------------------------------------------

    async def refusal_of(self, entry: bytes) -> Refusal:
        """Return the refusal entry about an entry of ours."""
        digest = sha256(entry).hex()
        return await self.until(
            lambda: next((one for one in self.refusals if one.frame_sha256 == digest), None)
        )

    async def receipt_on(self, frame: bytes, verdict: str = "") -> tuple[Frame, Receipt]:
        """Return the newest receipt on exactly this frame, with the frame that brought it."""
        return await self.until(lambda: next(iter(self.receipts_on(frame, verdict)[::-1]), None))

    async def answer_to(self, frame: bytes, patience_s: float = PATIENCE_S) -> Receipt | Refusal:
        """Return whatever answer to exactly these bytes comes first."""
        digest = sha256(frame).hex()

        def look() -> Receipt | Refusal | None:
            entries: list[Receipt | Refusal] = [
                one for one in self.refusals if one.frame_sha256 == digest
            ]
            return next(iter([*entries, *(each for _, each in self.receipts_on(frame))]), None)

        return await self.until(look, patience_s)

    def receipts_on(self, frame: bytes, verdict: str = "") -> list[tuple[Frame, Receipt]]:
        """Return all receipts on exactly this frame that came so far."""
        found = self._receipts.get(sha256(frame).hex(), [])
        return [(each, receipt) for each, receipt in found if verdict in {"", receipt.verdict}]

    def _keep_frame(self, frame: Frame) -> None:
        super()._keep_frame(frame)
        if frame.header.type == RECEIPT:
            coding = frame.header.payload.coding
            receipt = decode_receipt(open_payload(frame.payload, coding, PAYLOAD_BYTES_MAX))
            self._receipts.setdefault(receipt.frame_sha256, []).append((frame, receipt))

    def check_frame(self, frame: Frame) -> None:
        """Check a frame that came as its recipient would. Raises JudgementFailed."""
        header = frame.header
        try:
            authenticate_past(frame.raw, trust=self.trust, moment=now(), limits=Limits())
        except FormatError as error:
            raise JudgementFailed(f"packet {header.id} does not hold: {error}") from error
        if header.to != self.address:
            raise JudgementFailed(f"packet {header.id} is addressed to {header.to}")
