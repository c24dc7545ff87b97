"""Children as this node vouches for them: listed, and changed by the daemon; then the broker."""

import msgspec

from exchange.core.registry import KnownCard, Registry
from exchange.provision import Administration
from exchange.standing import Adopt, Close, Describe, Move, SetStanding
from exchange.topology import link_key, plan_child
from exchange.vouching import read_card
from nodes.broker_door import close_connections
from nodes.cli.brokers import said_of
from nodes.cli.instructing import Instructed, tell
from nodes.cli.opening import reading
from nodes.cli.registries import read_tree
from nodes.cli.registry_shapes import CardVersion, ChildCard, ChildDone, ChildStory
from nodes.config import Config
from nodes.errors import NotFound
from nodes.said import Said
from nodes.wiring import broker_names
from schemas.addresses import parent_of
from schemas.moments import format_instant
from schemas.records import CardRow


async def list_children(config: Config) -> list[ChildCard]:
    """Return the cards of all nodes named below this one, or hanging under it, by address."""
    registry = (await read_tree(config)).registry
    ours = [
        card
        for card in registry.cards()
        if config.address
        in {parent_of(card.facts.address), registry.hangs_under(card.facts.address)}
    ]
    ours.sort(key=lambda card: card.facts.address)
    return [_shown(card, registry) for card in ours]


async def show_child(config: Config, address: str) -> ChildStory:
    """Return an address's newest card and those before it. Raises NotFound."""
    registry = (await read_tree(config)).registry
    async with reading(config) as desk:
        rows = await desk.card_history(address)
    card = registry.card(address)
    if card is None:
        raise NotFound(f"{address} has no card here: `bbaj child list` shows whose are")
    versions = [_version(row) for row in rows]
    return ChildStory(card=_shown(card, registry), versions=versions)


# ------------------------------------------------------------------ changes


def suspend(config: Config, address: str, wait_s: float) -> ChildDone:
    """Refuse a child's packets, and hang up on it, so that what is on its way is refused too."""
    told = tell(config, "suspend", SetStanding(address), wait_s=wait_s)
    return _done(told, cut(config, address))


def reinstate(config: Config, address: str, wait_s: float) -> ChildDone:
    """Let a suspended child's packets through again."""
    return _done(tell(config, "reinstate", SetStanding(address), wait_s=wait_s), [])


def close(config: Config, address: str, successor: str | None, wait_s: float) -> ChildDone:
    """End a node, and take its login away."""
    told = tell(config, "close", Close(address, successor), wait_s=wait_s)
    return _done(told, _withdraw(config, address))


def describe(config: Config, described: Describe, wait_s: float) -> ChildDone:
    """Change what a card says."""
    return _done(tell(config, "describe", described, wait_s=wait_s), [])


def move(config: Config, address: str, uplink: str, wait_s: float) -> ChildDone:
    """Let a child hang under another node, and take away the login that it leaves here."""
    told = tell(config, "move", Move(address, uplink), wait_s=wait_s)
    broker = [] if uplink == config.address else _withdraw(config, address)
    return _done(told, broker)


def adopt(config: Config, address: str, wait_s: float) -> ChildDone:
    """Take over a child that was moved here: wait for its card, then give it a login."""
    told = tell(config, "adopt", Adopt(address), wait_s=wait_s)
    return _done(told, _provide(config, address))


def _done(told: Instructed, broker: list[str]) -> ChildDone:
    facts = {name: told.content[name] for name in ("address", "standing", "changed", "waiting")}
    return ChildDone(**facts, at=told.at, instruction=told.id, broker=broker)


# ------------------------------------------------------------------ the broker


def cut(config: Config, address: str) -> list[str]:
    """Close a child's connections; it comes back, and hears what its card says now."""
    if config.broker is None:
        return [Said("network.broker.nothing-to-cut")]
    return [Said("network.broker.cut", {"user": close_connections(config, address)})]


def _withdraw(config: Config, address: str) -> list[str]:
    if config.broker is None:
        return [Said("network.broker.nothing-to-withdraw")]
    names, key = broker_names(config), link_key(config.address, address)
    kept = Administration(config.broker.ctl).withdraw_child(names, key)
    return [
        Said("network.broker.withdrawn", {"user": names.child_user(key)}),
        *(Said("network.broker.queue-stays", {"queue": queue}) for queue in kept),
    ]


def _provide(config: Config, address: str) -> list[str]:
    if config.broker is None:
        return [Said("network.broker.nowhere")]
    names, key = broker_names(config), link_key(config.address, address)
    departures = Administration(config.broker.ctl).apply(plan_child(names, key))
    provided = Said("network.broker.provided", {"user": names.child_user(key)})
    return [provided, *map(said_of, departures)]


# ------------------------------------------------------------------ cards


def _shown(card: KnownCard, registry: Registry) -> ChildCard:
    facts, key = card.facts, card.encryption_key
    return ChildCard(
        address=facts.address,
        tier=facts.tier,
        standing=facts.standing,
        since=facts.since,
        names=None if facts.names is None else msgspec.structs.asdict(facts.names),
        kato=None if facts.kato is None else facts.kato.code,
        kato_edition=None if facts.kato is None else facts.kato.edition,
        bin_=facts.bin,
        uplink=registry.hangs_under(facts.address),
        former=facts.former,
        successor=facts.successor,
        types=list(facts.types),
        encryption_key=None if key is None else key.id,
        vouched_by=parent_of(facts.address) or facts.address,
        number=card.number,
    )


def _version(row: CardRow) -> CardVersion:
    facts = read_card(row.object).facts
    return CardVersion(
        number=row.number,
        learned=format_instant(row.learned),
        standing=facts.standing,
        uplink=facts.uplink or parent_of(row.address),
        sha256=row.sha256.hex(),
    )
