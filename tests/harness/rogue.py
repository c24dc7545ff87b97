"""A neighbour that speaks the link by hand, as the gauntlet does, and says what tests want said."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from exchange.amqp import Backoff, ClientTls, Handler, OwnBrokerEndpoint, ParentEndpoint
from exchange.signing_desk import body_of
from harness.cards import registry_of
from nodes.clock import now
from nodes.gauntlet.party import SALT, Party
from nodes.gauntlet.speaker import chain_over, sha256
from nodes.sandbox.network import PrivateNetwork, vhost_of
from nodes.wiring import login_of
from schemas.addresses import label_of, parent_of
from schemas.answers import RECEIPT, PacketName, Receipt
from schemas.frame import Frame
from schemas.header import Header, PayloadFacts
from schemas.limits import Limits
from schemas.moments import format_instant
from schemas.objects import Ask, Crl, Lane, Refusal
from signing.authenticate import Accepted, authenticate
from signing.chain import TrustStore
from signing.encryption import HybridKey
from signing.keys import PacketSigner, load_certificate, load_crl, load_packet_signer
from signing.payload import encrypt_content, payload_facts
from signing.seal import seal, sign_object

OWN_ARCHIVE = HybridKey.generate()

__all__ = ["Rogue", "chain_over", "sha256"]


class Rogue(Party):
    """One end of a link, in memory only."""

    async def bring_crl(self, der: bytes) -> None:
        """Send a revocation list (DER)."""
        await self.say(Crl(**self.stamp(), body=body_of(der)), der)

    async def refuse(
        self, lane: Lane, number: int, frame: bytes, reason: str, again_at: str | None = None
    ) -> None:
        """Send a refusal entry about something that the neighbour had placed."""
        refusal = Refusal(
            **self.stamp(),
            lane=lane,
            of_epoch=1,
            entry=number,
            frame_sha256=sha256(frame).hex(),
            reason=reason,
            detail="",
            again_at=again_at,
        )
        await self.send(sign_object(refusal, self.signer), lane="fast")

    def encrypted(
        self,
        to: str,
        content: bytes,
        reader: bytes,
        *,
        padded: bool = False,
        **changes: object,
    ) -> bytes:
        """Return a sealed frame whose payload is encrypted to a public key, and to one of ours."""
        header, _ = self.draft(to, content, **changes)
        readers = (reader, OWN_ARCHIVE.public)
        payload, facts = encrypt_content(header, content, SALT, readers, padded=padded)
        return self.seal_as(header, payload, facts)

    def seal_as(self, header: Header, payload: bytes, facts: PayloadFacts) -> bytes:
        """Return a sealed frame of any payload; digests and size are made to fit."""
        fitting = payload_facts(payload, facts.media_type, facts.coding)
        named = msgspec.structs.replace(fitting, clear_sha256=facts.clear_sha256)
        return seal(msgspec.structs.replace(header, payload=named), payload, self.signer)

    def receipt(
        self,
        frame: Frame,
        *,
        verdict: str = "accepted",
        signer: PacketSigner | None = None,
        from_: str | None = None,
        re: str | None = None,
        **changes: object,
    ) -> bytes:
        """Return a sealed receipt on a packet, in our name unless told otherwise."""
        header = frame.header
        fields: dict[str, Any] = {
            "packet": PacketName(header.from_, header.epoch, header.id),
            "head_sha256": sha256(frame.head).hex(),
            "frame_sha256": sha256(frame.raw).hex(),
            "verdict": verdict,
            "received": format_instant(now()),
            "epoch": 1,
            "index": 0,
        }
        content = msgspec.json.encode(Receipt(**{**fields, **changes}))
        return self.packet(
            header.from_,
            content,
            signer=signer,
            type=RECEIPT,
            re=re or header.id,
            from_=from_ or self.address,
        )

    def authenticates(self, frame: Frame) -> bool:
        """Say whether a packet that came holds in every respect."""
        verdict = authenticate(
            frame.raw,
            trust=self.trust,
            routes=registry_of(self.address, self.neighbour),
            neighbour=self.neighbour,
            now=now(),
            limits=Limits(),
        )
        return isinstance(verdict, Accepted)

    async def asked(self) -> Ask:
        """Return the neighbour's newest ask for what a frame lacks: not that of its greeting."""

        def look() -> Ask | None:
            asks = (one for one in self.objects[::-1] if isinstance(one, Ask))
            return next((one for one in asks if one.what in {"certificate", "crls"}), None)

        return await self.until(look)


def rogue_child(network: PrivateNetwork, address: str) -> Rogue:
    """Return a rogue with the keys and the link login of a child in the network."""
    parent = parent_of(address)
    assert parent is not None
    url = f"amqps://127.0.0.1:{network._brokers[parent].amqps_port}"
    keys = network.keys_of(address)
    return caller(address, keys, [url], vhost_of(parent), trust_of(network))


def caller(address: str, keys: Path, urls: Sequence[str], vhost: str, trust: TrustStore) -> Rogue:
    """Return a rogue that calls its parent's broker with the keys of a folder."""
    parent = parent_of(address)
    assert parent is not None
    endpoint = ParentEndpoint(
        address=address,
        urls=urls,
        tls=ClientTls(keys / "root.pem", keys / "link.pem", keys / "link.key"),
        vhost=vhost,
        backoff=Backoff(most_s=1.0),
    )

    async def connect(handler: Handler) -> None:
        await endpoint.run(handler, lambda _: None)

    signer = load_packet_signer(keys / "packet.key", keys / "packet.pem", None)
    return Rogue(address, parent, signer=signer, trust=trust, connect=connect)


def rogue_parent(network: PrivateNetwork, address: str, child: str) -> Rogue:
    """Return a rogue that speaks to `child` from its parent's place, at the parent's broker."""
    broker = network.nodes[address].config().broker
    assert broker is not None

    async def connect(handler: Handler) -> None:
        async def ignore(_body: bytes, _headers: object) -> None:
            """Leave dead letters to others."""

        endpoint = OwnBrokerEndpoint(
            address=address,
            urls=[broker.url],
            login=login_of(broker),
            vhost=broker.vhost,
            backoff=Backoff(most_s=1.0),
        )
        await endpoint.run({label_of(child): handler}, ignore, lambda _: None)

    return Rogue(
        address,
        child,
        signer=signer_of(network, address),
        trust=trust_of(network),
        connect=connect,
    )


def signer_of(network: PrivateNetwork, address: str) -> PacketSigner:
    """Return the packet signer of an address, its keys made at first use."""
    keys = network.keys_of(address)
    return load_packet_signer(keys / "packet.key", keys / "packet.pem", None)


def trust_of(network: PrivateNetwork) -> TrustStore:
    """Return a trust store that knows all of the network's authorities, nodes and CRLs."""
    folder = network.folder / "ca"
    trust = TrustStore(load_certificate(folder / "root.pem"))
    trust.add_certificates(network.authority.certificates())
    nodes = sorted(folder.glob("nodes/*/packet.pem"))
    trust.add_certificates([load_certificate(path) for path in nodes])
    for path in sorted(folder.glob("crls/*.pem")):
        trust.add_crl(load_crl(path))
    return trust
