"""Invites machines and lets them join, by the commands or by hand; runs what has joined."""

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from exchange.amqp import ClientTls, ParentEndpoint, Session
from exchange.signing_desk import body_of
from harness.cli_run import Done, bbaj
from harness.daemons import RunningDaemon, daemon
from harness.network import QUICK
from harness.rogue import Rogue, caller
from harness.watch import Watch
from nodes import samples
from nodes.cli.invitation_shapes import InvitationLine, InvitationMade
from nodes.cli.shapes import Sending
from nodes.clock import now
from nodes.config import Config, load_config
from nodes.invitations import ReceivedInvitation, read_invitation
from nodes.join_folder import JoinFolder
from nodes.sandbox.network import PrivateNetwork, database_name
from nodes.sandbox.postgres import DatabaseUrls
from schemas.addresses import dns_name
from schemas.codes import Tier
from schemas.errors import FormatError
from schemas.objects import cut_object
from schemas.statements import Join, Welcome
from signing.chain import TrustStore
from signing.keys import PacketSigner, load_certificate, load_crl
from signing.seal import sign_object

INVITED_AT_ONCE = 12
"""The broker is changed once for all of them."""

_numbers = itertools.count(1)


@dataclass
class Machine:
    """A machine that is to become a node: its folder, its database, and the invitation it got."""

    address: str
    folder: Path
    urls: DatabaseUrls
    text: str

    @property
    def path(self) -> Path:
        return self.folder / "node.toml"

    @property
    def config(self) -> Config:
        return load_config(self.path)

    def words(self, *more: str) -> list[str]:
        """Return the command that lets this machine join."""
        return [
            "join", self.text, "--folder", str(self.folder), "--database", self.urls.daemon_url,
            "--database-owner-url", self.urls.owner_url, "--http-port", "0", "--wait", "30", *more,
        ]  # fmt: skip

    async def join(self, *more: str) -> Done:
        """Run the command to its end."""
        return await bbaj(*self.words(*more))

    def hurry(self) -> None:
        """Give the node the quick limits of tests."""
        lines = [f"{name} = {value}" for name, value in QUICK.items()]
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n[upkeep]\nstate = false\n\n[limits]\n" + "\n".join(lines) + "\n")

    def rogue(self) -> Rogue:
        """Return who speaks by hand with the keys that this machine got; its daemon is down."""
        keys, parent = self.folder / "keys", self.config.parent
        assert parent is not None, "a machine that has joined has a parent"
        trust = TrustStore(load_certificate(keys / "root.pem"))
        for path in (*keys.glob("*.pem"), *self.folder.glob("authorities/*.pem")):
            found = x509.load_pem_x509_certificates(path.read_bytes())
            trust.add_certificates([each.public_bytes(Encoding.DER) for each in found])
        for path in self.folder.glob("crls/*.pem"):
            trust.add_crl(load_crl(path))
        return caller(self.address, keys, parent.urls, parent.vhost, trust)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RunningDaemon]:
        """Run its daemon beside the block, which begins once it takes documents."""
        async with daemon(self.path) as process:
            await process.until_said("record_opened")
            yield process


class Joiner:
    """Brings machines to one parent of a private network."""

    def __init__(
        self, network: PrivateNetwork, parent: str, folder: Path, ready: list[InvitationMade]
    ) -> None:
        self.network = network
        self.parent = parent
        self.folder = folder
        self.config_path = network.nodes[parent].config_path
        self._ready = ready

    def address(self) -> str:
        """Return an address that nobody has had."""
        return f"{self.parent}.school-{next(_numbers)}"

    async def invitation(self) -> InvitationMade:
        """Return an invitation of an address that nobody has had; many are made at once."""
        if not self._ready:
            self._ready += await self.invite(*(self.address() for _ in range(INVITED_AT_ONCE)))
        return self._ready.pop()

    async def invite(self, *addresses: str, more: tuple[str, ...] = ()) -> list[InvitationMade]:
        """Run `bbaj invite` at the parent."""
        words = ("invite", *addresses, "--tier", "school", *more, "--json")
        done = await bbaj(*words, config=self.config_path)
        return done.shape(list[InvitationMade])

    async def invited(self) -> Machine:
        """Return a machine with an invitation, and a database of its own."""
        made = await self.invitation()
        return await self.machine(made.address, made.text)

    async def machine(self, address: str, text: str, urls: DatabaseUrls | None = None) -> Machine:
        """Return a machine with a folder of its own."""
        name = f"{database_name(address)}_{next(_numbers)}"
        made = urls or await self.network._postgres.create_database(name)
        return Machine(address, self.folder / name, made, text)

    async def listed(self, invitation: str) -> InvitationLine:
        """Return what the parent's operator sees of an invitation."""
        done = await bbaj("invitation", "list", "--json", config=self.config_path)
        lines = done.shape(list[InvitationLine])
        return next(line for line in lines if line.invitation == invitation)


@dataclass
class ByHand:
    """A machine that speaks to the parent by hand, with the login of an invitation."""

    invitation: ReceivedInvitation
    tls: ClientTls
    requests: bytes

    @classmethod
    def of(cls, text: str, folder: Path) -> "ByHand":
        """Make keys in a folder, and take the login of an invitation."""
        invitation = read_invitation(text, now())
        place = JoinFolder(folder, None)
        requests = place.prepare(invitation.address, Tier.SCHOOL)
        return cls(invitation, place.lay_out_login(invitation), requests)

    def join_object(
        self,
        body: bytes | None = None,
        *,
        signer: PacketSigner | None = None,
        change: Callable[[Join], Join] = lambda header: header,
    ) -> bytes:
        """Return a request to join; what is not said otherwise is right."""
        body = self.requests if body is None else body
        signer = signer or self.invitation.signer
        header = Join(
            from_=self.invitation.address,
            to=self.invitation.parent,
            epoch=1,
            number=now(),
            certificate=signer.fingerprint,
            invitation=self.invitation.header.invitation,
            body=body_of(body),
        )
        return sign_object(change(header), signer, body)

    async def ask(self, raw: bytes, *, state: str = "", patience_s: float = 15.0) -> Welcome:
        """Send one message; return the welcome of a state (or the first) to its body."""
        wanted = hashlib.sha256(cut_object(raw).body).hexdigest()
        found: list[Welcome] = []
        done = asyncio.Event()

        async def talk(session: Session) -> None:
            await session.publish(raw)
            while True:
                delivery = await session.receive()
                welcome = _welcome_in(delivery.body)
                await session.settle_through(delivery)
                ours = welcome is not None and welcome.request == wanted
                if ours and state in {"", welcome.state}:
                    found.append(welcome)
                    done.set()

        await self._call(talk, done, patience_s)
        return found[0]

    async def until_ready(self, raw: bytes, patience_s: float = 40.0) -> Welcome:
        """Ask again and again, as a machine does, until the certificates come."""
        async with asyncio.timeout(patience_s):
            while True:
                with contextlib.suppress(TimeoutError):
                    return await self.ask(raw, state="ready", patience_s=3.0)

    async def tell(self, raw: bytes) -> None:
        """Send one message that nobody will answer."""
        done = asyncio.Event()

        async def talk(session: Session) -> None:
            await session.publish(raw)
            done.set()
            await asyncio.Event().wait()

        await self._call(talk, done, 15.0)

    async def _call(self, talk: Callable, done: asyncio.Event, patience_s: float) -> None:
        endpoint = ParentEndpoint(
            address=self.invitation.address,
            urls=self.invitation.facts.urls,
            tls=self.tls,
            vhost=self.invitation.facts.vhost,
            user=dns_name(self.invitation.enrolment),
        )
        async with asyncio.timeout(patience_s), asyncio.TaskGroup() as tasks:
            calling = tasks.create_task(endpoint.run(talk, lambda _: None))
            await done.wait()
            calling.cancel()


def _welcome_in(raw: bytes) -> Welcome | None:
    try:
        header = cut_object(raw).header
    except (FormatError, msgspec.MsgspecError):
        return None
    return header if isinstance(header, Welcome) else None


# ------------------------------------------------------------------ looking


async def send(machine: Machine, to: str) -> Sending:
    """Send a document from a machine that runs; return what became of it."""
    path = machine.folder / "document.json"
    path.write_bytes(samples.tiny(now() % 1_000_000))
    words = ("send", str(path), "--type", "attendance.daily/1", "--to", to, "--wait=30", "--json")
    return (await bbaj(*words, config=machine.path)).shape(Sending)


async def uses_of(district: Watch, invitation: str) -> list[tuple[str, str]]:
    """Return what became of an invitation, in the record."""
    query = "SELECT state, detail FROM invitation_use WHERE id = $1 ORDER BY place"
    return [tuple(row) for row in await district.rows(query, invitation)]


async def refused_joins(district: Watch, address: str) -> list[str]:
    """Return why machines were refused that came for an address."""
    return [each.detail for each in await district.incidents("join_refused", address)]


async def hears_strangers(district: Watch) -> bool:
    """Say whether a node reads its broker's log by now."""
    return await district.metric("bbaj_strangers_seen") == 1


async def is_stranger_told(district: Watch, said: str) -> bool:
    """Say whether the operator was told of somebody whom the broker did not let in."""
    found = await district.incidents("stranger_refused", district.address)
    return any(each.detail.startswith(said) for each in found)


def replaced(header: Join, **changes: object) -> Join:
    """Return a header with other values."""
    return type(header)(
        **{
            **{name: getattr(header, name) for name in header.__struct_fields__},
            **changes,
        }
    )


def der_of_request(pem: bytes) -> bytes:
    """Return a certificate request as DER."""
    return x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)


async def is_unreadable(district: Watch, address: str, reason: str) -> bool:
    """Say whether a message over an address's link proved nothing, for a reason."""
    found = await district.incidents("message_unreadable", address)
    return any(each.detail.startswith(reason) for each in found)


async def is_revoked(district: Watch, certificate: bytes) -> bool:
    """Say whether a node's record has a certificate on the newest list."""
    serial = x509.load_der_x509_certificate(certificate).serial_number
    rows = await district.rows(
        "SELECT DISTINCT ON (issuer) der FROM crl ORDER BY issuer, number DESC"
    )
    lists = [x509.load_der_x509_crl(row["der"]) for row in rows]
    return any(each.get_revoked_certificate_by_serial_number(serial) for each in lists)
