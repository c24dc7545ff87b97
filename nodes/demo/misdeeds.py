"""What the rogue does: six bad frames, each of its own kind, and what it hears about each."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from cryptography import x509

from exchange.amqp import ClientTls
from exchange.core.registry import Registry
from exchange.gate import Gate
from exchange.identity import new_packet_id
from nodes import samples
from nodes.authority_files import AuthorityFiles
from nodes.clock import now
from nodes.config import Config
from nodes.demo.beside import beside
from nodes.demo.commands import bbaj
from nodes.demo.messages import Expect, RogueCase
from nodes.demo.network import DemoNetwork, lost_keys
from nodes.demo.places import DISTRICT, INTACT, OBLAST, ROGUE, SCHOOL
from nodes.demo.rogue import Answer, Rogue
from nodes.demo.view import View
from nodes.demo.words import name_of
from nodes.sandbox.network import vhost_of
from nodes.wiring import database_url, load_crls, open_trust
from schemas.answers import CLOSING, Closing, PacketName
from schemas.documents.registry import ATTENDANCE_DAILY, find_type
from schemas.frame import cut
from schemas.header import Header, PayloadFacts
from schemas.limits import Limits
from schemas.moments import format_instant
from schemas.reasons import Reason
from signing.at_rest import AtRest
from signing.encryption import EncryptionKeyring
from signing.keys import load_certificate, load_journal_signer, load_packet_signer
from store.postgres import Desk

ANSWER_S = 40.0
POLL_S = 0.2
REPEATS_MAX = 4

Tell = Callable[[Expect], Awaitable[None]]


class Misdeeds:
    """The rogue's plan, carried out over one link."""

    def __init__(self, network: DemoNetwork, rogue: Rogue, view: View, tell: Tell) -> None:
        """Act through `rogue`; `tell` lets the ledger know of what must arrive."""
        self._network = network
        self._rogue = rogue
        self._gate = rogue.gate
        self._view = view
        self._tell = tell
        self._seq = 0

    async def commit(self) -> list[RogueCase]:
        """Send everything, one after the other. Raises TimeoutError where no answer comes."""
        intact, content = self._seal(self._gate, 1)
        sha256 = hashlib.sha256(content).hexdigest()
        await self._tell(Expect(INTACT, ROGUE, OBLAST, ATTENDANCE_DAILY, sha256))
        damaged = intact[:-1] + bytes([intact[-1] ^ 1])
        cases = [await self._refused("flipped payload byte", damaged, Reason.DIGEST_MISMATCH)]
        self._view.say("demo.news.intact")
        header, first = await self._deliver(intact)
        cases.append(await self._sealed_elsewhere())
        cases.append(await self._sealed_by_revoked())
        sibling, _ = self._seal(self._gate, 4, from_=SCHOOL)
        cases.append(await self._refused("a sibling's address", sibling, Reason.ROUTE_FORBIDDEN))
        replay, _ = self._seal(self._gate, 5, id_=header.id)
        cases.append(await self._refused("own id sealed again", replay, Reason.REPLAY))
        cases.append(await self._repeat(intact, header, first))
        return cases

    async def _refused(
        self, case: str, raw: bytes, reason: Reason, certificates: tuple[bytes, ...] = ()
    ) -> RogueCase:
        self._view.say("demo.news.bad", case=name_of("demo.cases", case), reason=reason)
        frame = self._rogue.send(raw, certificates)
        answer = await self._answer(frame)
        return RogueCase(case, frame, reason, answer.kind, answer.reason)

    async def _answer(self, frame: str, after: int = 0, wait_s: float = ANSWER_S) -> Answer:
        """Wait for an answer; an empty one says that none came."""
        try:
            async with asyncio.timeout(wait_s):
                return await self._rogue.answer_to(frame, after=after)
        except TimeoutError:
            return Answer("", frame, "")

    async def _deliver(self, intact: bytes) -> tuple[Header, Answer]:
        """Send the intact frame, and close the exchange as an honest node would."""
        answer = await self._answer(self._rogue.send(intact))
        header = header_of(intact)
        if answer.kind:
            name = PacketName(ROGUE, 1, header.id)
            receipt = PacketName(OBLAST, 1, answer.packet)
            closing = Closing(
                packet=name,
                receipt=receipt,
                receipt_head_sha256=answer.head_sha256,
                confirmed=format_instant(now()),
            )
            draft = msgspec.structs.replace(self._draft(), type=CLOSING, re=answer.packet)
            sealed = self._gate.seal_packet(draft, msgspec.json.encode(closing), now())
            self._rogue.send(sealed.frame.raw)
        return header, answer

    async def _sealed_elsewhere(self) -> RogueCase:
        """Seal under another root, whose authority bears our oblast's name."""
        files = AuthorityFiles(self._network.folder / "foreign")
        await asyncio.to_thread(files.init_root, now())
        authority = await asyncio.to_thread(files.issue_authority, OBLAST, now())
        keys = await asyncio.to_thread(files.issue_node, ROGUE, now())
        raw, _ = self._seal(self._gate_with(keys), 2)
        brought = (load_certificate(keys / "packet.pem"), load_certificate(authority / "cert.pem"))
        return await self._refused(
            "sealed under a foreign root", raw, Reason.CERTIFICATE_UNTRUSTED, brought
        )

    async def _sealed_by_revoked(self) -> RogueCase:
        """Seal with a key of its own that has been revoked meanwhile."""
        lost = lost_keys(self._network, ROGUE)
        self._view.say("demo.news.revoked")
        district = str(self._network.nodes.nodes[DISTRICT].config_path)
        words = ("revoke", lost.fingerprint, "--reason", "keyCompromise", "--config", district)
        await bbaj(*words)
        der = load_certificate(lost.folder / "packet.pem")
        await self._list_came(x509.load_der_x509_certificate(der).serial_number)
        raw, _ = self._seal(self._gate_with(lost.folder), 3)
        return await self._refused("sealed with a revoked key", raw, Reason.KEY_REVOKED, (der,))

    async def _list_came(self, serial: int) -> None:
        """Wait until the district's record holds a list with a serial number."""
        config = self._network.nodes.nodes[DISTRICT].config()
        async with Desk(database_url(config)) as desk, asyncio.timeout(ANSWER_S):
            while not any(  # noqa: ASYNC110 - polls a database
                x509.load_der_x509_crl(row.der).get_revoked_certificate_by_serial_number(serial)
                for row in await desk.crls()
            ):
                await asyncio.sleep(POLL_S)

    async def _repeat(self, intact: bytes, header: Header, first: Answer) -> RogueCase:
        """Send the same bytes again: they must be answered with the stored receipt."""
        self._view.say("demo.news.repeat")
        limits = self._network.nodes.nodes[DISTRICT].config().limits
        answer, frame = Answer("", "", ""), ""
        for _ in range(REPEATS_MAX):
            await asyncio.sleep(limits.resend_first_us / 1e6 + 0.5)  # no sooner is it answered
            seen = len(self._rogue.answers)
            frame = self._rogue.send(intact)
            answer = await self._answer(frame, seen, ANSWER_S / REPEATS_MAX)
            if answer.kind:
                break
        same = answer.packet == first.packet and answer.head_sha256 == first.head_sha256
        kind = answer.kind if same else ""
        return RogueCase("byte-exact repeat", frame, "", kind, answer.reason, header.id)

    # --- sealing ------------------------------------------------------------------------------

    def _seal(
        self, gate: Gate, number: int, *, from_: str = ROGUE, id_: str | None = None
    ) -> tuple[bytes, bytes]:
        """Return a sealed frame and the document in it."""
        content = samples.tiny(number)
        draft = msgspec.structs.replace(self._draft(), from_=from_)
        if id_ is not None:
            draft = msgspec.structs.replace(draft, id=id_)
        reader = EncryptionKeyring.load(self._network.nodes.keys_of(OBLAST)).newest.public
        return gate.seal_packet(draft, content, now(), reader).frame.raw, content

    def _draft(self) -> Header:
        self._seq += 1
        kind = find_type(ATTENDANCE_DAILY)
        return Header(
            id=new_packet_id(now()),
            type=kind.name,
            from_=ROGUE,
            to=OBLAST,
            sent=format_instant(now()),
            epoch=1,
            seq=self._seq,
            section=str(kind.section),
            class_=kind.retention,
            flow=kind.flow.value,
            certificate=self._gate.fingerprint,
            payload=PayloadFacts("0" * 64, "0" * 128, 0, kind.media_type, "salt"),
        )

    def _gate_with(self, keys: Path) -> Gate:
        return make_gate(self._network, keys)


def make_gate(network: DemoNetwork, keys: Path) -> Gate:
    """Return a gate for the rogue's address with the keys of a folder."""
    config: Config = network.nodes.nodes[DISTRICT].config()
    trust = open_trust(config)
    trust.add_certificates([load_certificate(keys / "packet.pem")])
    for der in load_crls(config):
        trust.add_crl(der)
    return Gate(
        here=ROGUE,
        epoch=1,
        trust=trust,
        signer=load_packet_signer(keys / "packet.key", keys / "packet.pem", None),
        journal=load_journal_signer(keys / "journal.key", keys / "journal.pem", None),
        encryption=EncryptionKeyring.load(keys),
        at_rest=AtRest(network.folder / "rogue"),
        limits=Limits(),
        registry=Registry(ROGUE),
    )


@asynccontextmanager
async def rogue_link(network: DemoNetwork) -> AsyncIterator[Rogue]:
    """Run the rogue's link while the block runs."""
    keys = network.nodes.keys_of(ROGUE)
    rogue = Rogue(make_gate(network, keys), DISTRICT)
    tls = ClientTls(keys / "root.pem", keys / "link.pem", keys / "link.key")
    url = f"amqps://127.0.0.1:{network.brokers[DISTRICT].amqps_port}"
    async with beside(rogue.run(url, vhost_of(DISTRICT), tls)):
        yield rogue


def header_of(raw: bytes) -> Header:
    """Return a frame's header."""
    return cut(raw).header
