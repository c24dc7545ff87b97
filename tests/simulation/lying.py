"""Nodes that lie: what their programs would send, altered and signed again with their own keys.

A liar holds its own keys and nobody else's. Its program goes on in good faith; the lies stand on
its lines alone, so that everything about the other nodes may be judged as ever.
"""

from collections.abc import Callable
from hashlib import sha256
from random import Random

import msgspec

from exchange.core.streams import CHAIN_START, chain_after
from exchange.identity import new_packet_id
from exchange.signing_desk import body_of
from harness.pki import Identity
from schemas.answers import ANSWERS, RECEIPT, PacketName, Receipt
from schemas.frame import Frame, cut
from schemas.objects import (
    MAGIC,
    Bundle,
    CustodyNote,
    StreamPosition,
    cut_object,
    pack_bundle_body,
    unpack_bundle_body,
)
from schemas.reasons import Reason
from schemas.witnessing import Checkpoint
from signing.notes import checkpoint_of, sign_checkpoint
from signing.payload import make_payload, open_payload, payload_facts
from signing.proofs import read_request, request_body
from signing.seal import seal, sign_object
from simulation.parcels import CONTENT_MAX, Parcel, receipt_in

Chain = Callable[[str, int], bytes]
"""Returns the chain of the liar's own stream (of a lane) at a number."""


class Liar:
    """One node that lies, with each message that it could lie in, at a probability."""

    def __init__(self, own: Identity, lies: float, chance: Random) -> None:
        self.own = own
        self.lies = lies
        self.chance = chance
        self._chains: dict[tuple[str, str], tuple[int, bytes]] = {}
        """By neighbour and lane, where the false chain of a stream stands."""
        self._kept: list[Frame] = []

    def say(self, to: str, parcel: Parcel, chain_at: Chain) -> bytes | None:
        """Return what goes out in place of a message; None: nothing does."""
        self._kept += [frame for frame in parcel.frames if frame.header.type not in ANSWERS]
        match parcel.header:
            case Bundle():
                return self._bundle(to, parcel, chain_at)
            case CustodyNote() if self._wants_to():
                return self._note(parcel.header)
            case Checkpoint() if self._wants_to():
                return self._fork(parcel)
            case _:
                return parcel.raw

    def _wants_to(self) -> bool:
        return self.chance.random() < self.lies

    def _note(self, note: CustodyNote) -> bytes | None:
        """Say that more was taken than was, or less, or nothing at all."""
        if self.chance.random() < 0.3:
            return None
        ahead = note.position.up_to + self.chance.randint(-3, 5)
        position = StreamPosition(
            note.position.lane,
            note.position.epoch,
            max(0, ahead),
            self.chance.randbytes(32).hex(),
            max(0, ahead) + self.chance.randint(0, 3),
        )
        return sign_object(msgspec.structs.replace(note, position=position), self.own.packet)

    def _fork(self, parcel: Parcel) -> bytes:
        """Show another journal of the same size."""
        header = parcel.header
        assert isinstance(header, Checkpoint)
        asked = read_request(cut_object(parcel.raw).body)
        head = checkpoint_of(asked.note)
        note = sign_checkpoint(head.origin, head.size, self.chance.randbytes(32), self.own.journal)
        body = request_body(msgspec.structs.replace(asked, note=note))
        return sign_object(
            msgspec.structs.replace(header, body=body_of(body)), self.own.packet, body
        )

    # --- bundles --------------------------------------------------------------------------------

    def _bundle(self, to: str, parcel: Parcel, chain_at: Chain) -> bytes | None:
        """Withhold a bundle, or put other entries into it; its chain is made to fit."""
        header = parcel.header
        assert isinstance(header, Bundle)
        certificates, entries = unpack_bundle_body(cut_object(parcel.raw).body)
        if self._wants_to():
            if self.chance.random() < 0.3:
                return None
            at = self.chance.randrange(len(entries))
            entries[at] = self._other(entries[at])
        elif (to, header.lane) not in self._chains:
            return parcel.raw
        known, chain = self._chains.get((to, header.lane), (0, CHAIN_START))
        if known != header.first - 1:
            chain = chain_at(header.lane, header.first - 1)
        for number, entry in enumerate(entries, header.first):
            chain = chain_after(chain, number, sha256(entry).digest())
        self._chains[to, header.lane] = header.last, chain
        body = pack_bundle_body(certificates, entries)
        changed = msgspec.structs.replace(header, chain=chain.hex(), body=body_of(body))
        return sign_object(changed, self.own.packet, body)

    def _other(self, entry: bytes) -> bytes:
        """Return what goes in the place of an entry: damaged, replayed, or forged."""
        if self._is_own_receipt(entry) and self.chance.random() < 0.5:
            return self._misquoted(cut(entry))
        draw = self.chance.random()
        if draw < 0.4 or not self._kept:
            at = self.chance.randrange(len(entry) // 2, len(entry))
            return entry[:at] + bytes((entry[at] ^ 1,)) + entry[at + 1 :]
        frame = self.chance.choice(self._kept)
        if draw < 0.6:
            return frame.raw
        is_own = frame.header.from_ == self.own.address
        return self._twin(frame) if is_own else self._receipt(frame)

    def _is_own_receipt(self, entry: bytes) -> bool:
        if entry[:4] == MAGIC:
            return False
        header = cut(entry).header
        return (header.type, header.from_) == (RECEIPT, self.own.address)

    def _misquoted(self, frame: Frame) -> bytes:
        """Return our receipt as if it were about another frame of the same packet."""
        said = receipt_in(frame)
        assert said is not None, "our program makes whole ones"
        other = msgspec.structs.replace(said, frame_sha256=self.chance.randbytes(32).hex())
        return self._sealed_anew(frame, msgspec.json.encode(other))

    def _twin(self, frame: Frame) -> bytes:
        """Return another packet under the id and the number of one of ours."""
        content = open_payload(frame.payload, frame.header.payload.coding, CONTENT_MAX)
        return self._sealed_anew(frame, content)

    def _sealed_anew(self, frame: Frame, content: bytes) -> bytes:
        """Seal a content, salted anew, under the header of a frame of ours."""
        payload, coding = make_payload(content, self.chance.randbytes(16))
        facts = payload_facts(payload, frame.header.payload.media_type, coding)
        return seal(msgspec.structs.replace(frame.header, payload=facts), payload, self.own.packet)

    def _receipt(self, about: Frame) -> bytes:
        """Return a receipt that the recipient of a packet never made, in our name or in its."""
        header = about.header
        said = Receipt(
            packet=PacketName(header.from_, header.epoch, header.id),
            head_sha256=sha256(about.head).hexdigest(),
            frame_sha256=sha256(about.raw).hexdigest(),
            verdict=self.chance.choice(("accepted", "refused")),
            reason=None,
            received=header.sent,
            epoch=1,
            index=7,
        )
        if said.verdict == "refused":
            said = msgspec.structs.replace(said, reason=Reason.SENDER_SUSPENDED)
        payload, coding = make_payload(msgspec.json.encode(said), self.chance.randbytes(16))
        draft = msgspec.structs.replace(
            header,
            id=new_packet_id(header.sent_at),
            type=RECEIPT,
            from_=self.chance.choice((self.own.address, header.to)),
            to=header.from_,
            seq=1000 + self.chance.randrange(1000),
            re=header.id,
            period=None,
            certificate=self.own.packet.fingerprint,
            payload=payload_facts(payload, "application/json", coding),
        )
        return cut(seal(draft, payload, self.own.packet)).raw
