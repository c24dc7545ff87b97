"""What operators do with children: suspend, reinstate, close, describe, move, adopt, revoke.

Each is a new card, signed by the node that the child is named below, or a request to its
authority. What is so already is done again without a new card, so repeating a command is harmless.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Literal

import msgspec

from exchange.batch import Batch
from exchange.directory import Directory
from exchange.instructions import Declined, Done, Handler
from exchange.state import NodeState
from schemas import wire
from schemas.addresses import Address, parent_of
from schemas.cards import CardFacts, KatoCode, Standing, decode_card
from schemas.codes import Names
from schemas.header import TypeName
from schemas.identifiers import Bin
from schemas.leaves import LeafKind
from schemas.moments import MINUTE
from schemas.records import InstructionRow, PolicyRow
from schemas.retention import POLICY_NAME as RETENTION_POLICY
from schemas.retention import decode_policy

ADOPT_WAIT_US = 5 * MINUTE
"""So long a node waits for the card of a child that it is told to adopt."""


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: Address


class SetStanding(_Content, frozen=True, forbid_unknown_fields=True):
    """Content of `suspend` and `reinstate`."""


class Close(_Content, frozen=True, forbid_unknown_fields=True):
    """Content of `close`: for ever, and where packets should go from now on."""

    successor: Address | None = None


class Describe(_Content, frozen=True, forbid_unknown_fields=True):
    """Content of `describe`: what the card says from now on; what is left out stays."""

    names: Names | msgspec.UnsetType | None = msgspec.UNSET
    kato: KatoCode | msgspec.UnsetType | None = msgspec.UNSET
    bin: Bin | msgspec.UnsetType | None = msgspec.UNSET
    types: tuple[TypeName, ...] | msgspec.UnsetType = msgspec.UNSET
    former: Address | msgspec.UnsetType | None = msgspec.UNSET


class Move(_Content, frozen=True, forbid_unknown_fields=True):
    """Content of `move`: the neighbour that the child hangs under from now on."""

    uplink: Address


class Adopt(_Content, frozen=True, forbid_unknown_fields=True):
    """Content of `adopt`: a child named elsewhere, whose card says that it hangs under us."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `command`: a use of an administrative command that is no instruction."""

    command: str
    verdict: Literal["done", "refused"]


class PolicySeen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `policy`: a policy that counts from now on."""

    name: Annotated[str, msgspec.Meta(max_length=100)]
    sha256: str
    sha512: str
    content: bytes = b""
    """The policy itself, where it is kept: none that names people."""


class Vouched(msgspec.Struct, frozen=True):
    """What a child's card says now."""

    address: str
    standing: Standing
    changed: bool
    waiting: int
    """Entries that the child had not taken over its link."""


class Children:
    """The instructions about children that need no authority."""

    def __init__(self, state: NodeState, directory: Directory) -> None:
        """Share the node's state; cards are signed and spread by the directory."""
        self._state = state
        self._directory = directory

    def handlers(self) -> Mapping[str, Handler]:
        """Return who does what."""
        return {
            "suspend": self.suspend,
            "reinstate": self.reinstate,
            "close": self.close,
            "describe": self.describe,
            "move": self.move,
            "adopt": self.adopt,
            "command": note_command,
            "policy": self.note_policy,
        }

    async def note_policy(self, row: InstructionRow, batch: Batch) -> Done:
        """Journal a policy that counts from now on, and keep it where it came."""
        content = msgspec.json.decode(row.content, type=PolicySeen)
        if content.name == RETENTION_POLICY:
            retention = decode_policy(content.content)
            batch.after_commit(partial(self._state.gate.use_retention, retention))
        if content.content:
            digest = bytes.fromhex(content.sha256)
            kept = PolicyRow(digest, content.name, content.content, batch.now)
            batch.changes.policies.append(kept)
        batch.append_leaf(
            LeafKind.POLICY,
            None,
            sha256=content.sha256,
            sha512=content.sha512,
            name=wire.printable(content.name),
        )
        return Done(detail=content.sha256)

    async def suspend(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """Refuse a child's packets from now on; it stays connected, and learns that."""
        content = msgspec.json.decode(row.content, type=SetStanding)
        return self._change(content.address, batch, _standing_to("suspended"))

    async def reinstate(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """Let a suspended child's packets through again."""
        content = msgspec.json.decode(row.content, type=SetStanding)
        return self._change(content.address, batch, _standing_to("active"))

    async def close(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """End a node; its address is never used again, and packets to it name its successor."""
        content = msgspec.json.decode(row.content, type=Close)
        if content.successor is not None and content.successor == content.address:
            return Declined("a node does not succeed itself: name the node that takes its place")
        below = self._open_below(content.address)
        if below:
            return Declined(f"{', '.join(below[:5])} still hang under it: move or close them first")
        return self._change(
            content.address,
            batch,
            lambda facts: msgspec.structs.replace(
                facts, standing="closed", successor=content.successor
            ),
            may_be_closed=True,
        )

    async def describe(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """Change what a child's card says of it, but for its standing and place."""
        content = msgspec.json.decode(row.content, type=Describe)
        said = {
            name: value
            for name in ("names", "kato", "bin", "types", "former")
            if (value := getattr(content, name)) is not msgspec.UNSET
        }
        return self._change(
            content.address, batch, lambda facts: msgspec.structs.replace(facts, **said)
        )

    async def move(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """Let a child hang under another node; that node's operator adopts it."""
        content = msgspec.json.decode(row.content, type=Move)
        registry = self._state.registry
        if registry.is_below(content.uplink, content.address):
            return Declined(f"{content.uplink} hangs below {content.address} itself")
        above = registry.card(content.uplink)
        mine = registry.card(content.address)
        if above is not None and above.facts.standing == "closed":
            return Declined(f"{content.uplink} is closed")
        if above and mine and not above.facts.tier.is_above(mine.facts.tier):
            return Declined(
                f"{content.uplink} is {above.facts.tier}, which is not above {mine.facts.tier}"
            )
        home = content.uplink == parent_of(content.address)
        uplink = None if home else content.uplink
        return self._change(
            content.address, batch, lambda facts: msgspec.structs.replace(facts, uplink=uplink)
        )

    async def adopt(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Wait for the card that lets a node hang under us; its link is admitted with the card."""
        content = msgspec.json.decode(row.content, type=Adopt)
        here = self._state.rules.here
        known = self._state.registry.card(content.address)
        if known is not None and content.address in self._state.registry.children:
            return Done(
                Vouched(content.address, known.facts.standing, changed=False, waiting=0),
                detail=content.address,
            )
        if batch.now - row.given < ADOPT_WAIT_US:
            return None
        parent = parent_of(content.address)
        return Declined(
            f"no card lets {content.address} hang under {here}: "
            f"have `bbaj child move {content.address} {here}` run at {parent} first"
        )

    def _change(
        self,
        address: str,
        batch: Batch,
        change: Callable[[CardFacts], CardFacts],
        *,
        may_be_closed: bool = False,
    ) -> Done | Declined:
        """Publish a child's next card where it says something new."""
        facts = self._facts(address, batch)
        if isinstance(facts, Declined):
            return facts
        changed = change(facts)
        is_new = changed != facts
        if facts.standing == "closed" and is_new and not may_be_closed:
            return Declined(f"{address} is closed, for ever: invite its successor instead")
        if is_new:
            decode_card(wire.encode(changed))  # KATO and BIN are as they should be
            self._directory.publish(changed, batch)
        said = Vouched(address, changed.standing, is_new, self._waiting(address))
        return Done(said, detail=f"{address} {changed.standing}")

    def _facts(self, address: str, batch: Batch) -> CardFacts | Declined:
        """Return what the newest card says, one of this very batch included."""
        here = self._state.rules.here
        vouches = parent_of(address) or address
        if vouches != here:
            return Declined(f"{vouches} vouches for {address}, not {here}: have it done there")
        known = batch.cards.get(address) or self._state.registry.card(address)
        if known is None:
            return Declined(f"{address} has no card: `bbaj invite {address}` makes it one")
        return known.facts

    def _open_below(self, address: str) -> list[str]:
        """Return those that hang under a node and are not closed."""
        registry = self._state.registry
        return [
            card.facts.address
            for card in registry.cards()
            if registry.hangs_under(card.facts.address) == address
            and card.facts.standing != "closed"
        ]

    def _waiting(self, address: str) -> int:
        """Return how many entries a child has not taken yet."""
        cursors = self._state.effects.cursors
        streams = self._state.require_tails().streams
        return sum(
            tail.number - cursors.get(name, 0)
            for name, tail in streams.items()
            if name.rpartition("/")[0] == address
        )


def _standing_to(standing: Standing) -> Callable[[CardFacts], CardFacts]:
    return lambda facts: msgspec.structs.replace(facts, standing=standing)


async def note_command(row: InstructionRow, _batch: Batch) -> Done | Declined:
    """Let an administrative command become a leaf of its own."""
    content = msgspec.json.decode(row.content, type=Command)
    if content.verdict == "refused":
        return Declined(f"not permitted: {content.command}")
    return Done(detail=content.command)
