"""What the parts of one node's service share while it runs: all of it derived from the record."""

import asyncio
from collections.abc import Callable

import msgspec

from exchange.batch import Batch, Tails
from exchange.core.registry import Registry
from exchange.core.rules import Rules
from exchange.effects import Effects
from exchange.gate import Gate
from exchange.links import Link
from exchange.ports import Archive
from schemas.moments import Instant
from schemas.records import LinkMark

CONFIGURATION = "configuration"
"""Where certificates, CRLs and cards come from that no neighbour brought."""


class Loss(msgspec.Struct):
    """The journal has lost its end: what is known of it until a new epoch begins."""

    of_epoch: int
    """The newest epoch that is known to have been ours."""
    left: int
    """So many leaves were left when it was found."""
    why: str
    """What shows it, in printable ASCII."""


class NodeState(msgspec.Struct):
    """The running node: its parts, its links, and what is in doubt."""

    gate: Gate
    archive: Archive
    rules: Rules
    effects: Effects
    links: dict[str, Link] = {}
    tails: Tails | None = None
    recorded: set[bytes] = set()
    """SHA-256 of the certificates that the record holds."""
    clock_agrees: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Our clock agrees with the parent's; while not, nothing is sealed or judged (clause 7.4)."""
    arrived: set[str] = set()
    """What came that held frames may wait for: fingerprints, `crl`, `card`, `packet` and others."""
    greeted: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """A neighbour has greeted us since the start: from now on we may seal (clause 7.4)."""

    loss: Loss | None = None
    """While there is one, nothing is sealed, judged, signed or sent (clause 18.4)."""
    clock_offset_us: int | None = None
    """Of our clock from the parent's, by the last fresh hello; None before one."""
    outrun: int = 0
    """The epoch of ours that our parent has taken of and we do not run: our card tells; else 0."""
    rebuilding: Callable[[str], bool] = lambda _: False
    """Says of an incoming stream that it comes back by pages yet; nothing else is taken of it."""
    wake: Callable[[], None] = lambda: None
    """Asks for a sweep soon; the daemon's, where one runs."""
    on_replaced: Callable[[str], None] = lambda _: None
    """Told, after the commit, of a child that another machine has become; the daemon's."""

    def __post_init__(self) -> None:
        """Trust our clock until a fresh hello says otherwise."""
        self.clock_agrees.set()

    def doubt(self, now: Instant) -> str | None:
        """Return why nothing may be sealed or judged now, as held frames wait for it, or None."""
        if self.loss is not None or self.outrun > 0:
            return "journal"
        if not self.clock_agrees.is_set():
            return "clock"
        return "own-key" if self.gate.has_ended(now) else None

    def may_seal(self, now: Instant) -> bool:
        """Say whether the node may seal: it was greeted, and nothing is in doubt (clause 7.4)."""
        return self.greeted.is_set() and self.doubt(now) is None

    def arrive(self, what: str) -> None:
        """Have held frames judged again that wait for something: it is at hand now."""
        self.arrived.add(what)

    @property
    def is_root(self) -> bool:
        """Say whether this node has no parent."""
        return "." not in self.rules.here

    @property
    def registry(self) -> Registry:
        """The cards that count."""
        return self.rules.registry

    def require_tails(self) -> Tails:
        """Return where the record stands; `open` came first."""
        assert self.tails is not None, "the record is not open"
        return self.tails

    def tail(self, stream: str) -> tuple[int, bytes]:
        """Return the last number and chain committed in an outgoing stream."""
        tail = self.require_tails().streams.get(stream)
        return (tail.number, tail.chain) if tail is not None else (0, bytes(32))

    def suspend(self, link: Link, why: str, batch: Batch) -> None:
        """Stop using a link until an operator lifts it; its siblings do not feel it."""
        link.suspended = True
        batch.changes.link_marks.append(LinkMark(link.neighbour, batch.now, "suspended", why))
        self.effects.raise_incident("link_suspended", link.neighbour, why, batch)

    def lift(self, link: Link, why: str, batch: Batch) -> None:
        """Use a link again, and greet anew over it."""
        link.obey("lifted")
        batch.changes.link_marks.append(LinkMark(link.neighbour, batch.now, "lifted", why))
