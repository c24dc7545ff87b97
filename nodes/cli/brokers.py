"""The tree round a node, and its broker beside the plan."""

import msgspec

from exchange.core.registry import Registry
from exchange.departures import Departure
from exchange.errors import AdministrationFailed
from exchange.provision import Administration
from nodes.cli.registries import tree_at_hand
from nodes.cli.shapes import Topology, TreeNode
from nodes.config import Broker, Config
from nodes.errors import ConfigurationFault, JudgementFailed
from nodes.said import Said
from nodes.wiring import broker_plan
from schemas.addresses import parent_of
from schemas.codes import Tier


async def compare(config: Config, *, apply: bool) -> Topology:
    """Return the tree and where the broker departs from the plan, after applying it if asked.

    Raises ConfigurationFault where a leaf is to be applied.
    """
    differences: list[str] = []
    unanswered: str | None = None
    tree = await tree_at_hand(config)
    if config.broker is not None:
        planned = broker_plan(config, tree.registry, tree.guests)
        administration = Administration(config.broker.ctl)
        work = administration.apply if apply else administration.check
        try:
            if apply and tree.recorded:
                administration.withdraw_guests(tree.gone)
            differences = [said_of(each) for each in work(planned)]
        except AdministrationFailed as error:
            unanswered = str(error)
    elif apply:
        raise _no_broker()
    return Topology(
        tree=tree_of(config, tree.registry),
        systems=[system.name for system in config.systems],
        broker=_name_of(config.broker) if config.broker else None,
        applied=apply and unanswered is None,
        unanswered=unanswered,
        differences=differences,
    )


async def definitions_of(config: Config) -> bytes:
    """Return the broker's definitions as JSON, ready to be imported. Raises ConfigurationFault."""
    if config.broker is None:
        raise _no_broker()
    tree = await tree_at_hand(config)
    planned = broker_plan(config, tree.registry, tree.guests)
    return msgspec.json.format(msgspec.json.encode(planned), indent=2) + b"\n"


def tree_of(config: Config, registry: Registry) -> list[TreeNode]:
    """Return the bodies round a node: those above, itself, what hangs or hung under it."""
    above = [] if config.uplink is None else [*registry.way_up(config.uplink)][::-1]
    below = [
        card.facts.address
        for card in registry.cards()
        if registry.hangs_under(card.facts.address) == config.address
    ]
    return [_node_of(config, registry, each) for each in (*above, config.address, *below)]


def _node_of(config: Config, registry: Registry, address: str) -> TreeNode:
    card = registry.card(address)
    here = address == config.address
    tier = card.facts.tier if card is not None else config.tier if here else None
    if tier is None and parent_of(address) is None:
        tier = Tier.REPUBLIC
    standing = card.facts.standing if card is not None else "active"
    return TreeNode(address=address, tier=tier, standing=standing, here=here)


def judge(shown: Topology, *, strict: bool) -> None:
    """Raise AdministrationFailed where the broker did not answer; JudgementFailed if `strict`."""
    if shown.unanswered is not None:
        raise AdministrationFailed(shown.unanswered)
    if strict and shown.differences:
        raise JudgementFailed(
            f"broker {shown.broker} departs from the plan in {len(shown.differences)} places: "
            "run `bbaj topology --apply`"
        )


def said_of(departure: Departure) -> Said:
    """Return where a broker departs from the plan, in words."""
    return Said(
        f"network.departures.{departure.fault}",
        {
            "what": Said(f"network.things.{departure.section}", {"name": departure.name}),
            "fact": departure.fact,
            "have": repr(departure.have),
            "want": repr(departure.want),
        },
    )


def _name_of(broker: Broker) -> Said:
    facts = {"vhost": broker.vhost, "local": broker.local_vhost, "url": broker.url}
    return Said("topology.broker", facts)


def _no_broker() -> ConfigurationFault:
    return ConfigurationFault(["broker: missing; only a node with a broker has a plan for one"])
