"""The tree round a node, and its broker beside the plan."""

import msgspec

from exchange.core.rules import Child
from exchange.errors import AdministrationFailed
from exchange.provision import Administration
from nodes.cli.shapes import Topology, TreeNode
from nodes.config import Broker, Config
from nodes.errors import ConfigurationFault, JudgementFailed
from nodes.wiring import broker_plan
from schemas.addresses import parent_of
from schemas.codes import Tier


def compare(config: Config, *, apply: bool) -> Topology:
    """Return the tree and where the broker departs from the plan, after applying it if asked.

    Raises ConfigurationFault where a leaf is to be applied.
    """
    differences: list[str] = []
    unanswered: str | None = None
    if config.broker is not None:
        _, planned = broker_plan(config)
        administration = Administration(config.broker.ctl)
        work = administration.apply if apply else administration.check
        try:
            differences = work(planned)
        except AdministrationFailed as error:
            unanswered = str(error)
    elif apply:
        raise _no_broker()
    return Topology(
        tree=tree_of(config),
        systems=[system.name for system in config.systems],
        broker=_name_of(config.broker) if config.broker else None,
        applied=apply and unanswered is None,
        unanswered=unanswered,
        differences=differences,
    )


def definitions_of(config: Config) -> bytes:
    """Return the broker's definitions as JSON, ready to be imported. Raises ConfigurationFault."""
    if config.broker is None:
        raise _no_broker()
    _, planned = broker_plan(config)
    return msgspec.json.format(msgspec.json.encode(planned), indent=2) + b"\n"


def tree_of(config: Config) -> list[TreeNode]:
    """Return the bodies that this node knows: those above, itself, its children."""
    above: list[str] = []
    parent = parent_of(config.address)
    while parent is not None:
        above.insert(0, parent)
        parent = parent_of(parent)
    nodes = [
        TreeNode(address=each, tier=_tier_of(each), standing="active", here=False) for each in above
    ]
    nodes.append(
        TreeNode(
            address=config.address,
            tier=_tier_of(config.address, config),
            standing="active",
            here=True,
        )
    )
    for child in config.children:
        address = f"{config.address}.{child.label}"
        tier = _tier_of(address, child)
        nodes.append(TreeNode(address=address, tier=tier, standing=child.standing, here=False))
    return nodes


def judge(shown: Topology, *, strict: bool) -> None:
    """Raise AdministrationFailed where the broker did not answer; JudgementFailed if `strict`."""
    if shown.unanswered is not None:
        raise AdministrationFailed(shown.unanswered)
    if strict and shown.differences:
        raise JudgementFailed(
            f"broker {shown.broker} departs from the plan in {len(shown.differences)} places: "
            "run `bbaj topology --apply`"
        )


def _tier_of(address: str, said_by: Config | Child | None = None) -> str | None:
    """Return a tier as the configuration says it; by itself an address tells only the root's."""
    said = getattr(said_by, "tier", None)
    if said is None and parent_of(address) is None:
        return Tier.REPUBLIC
    return said


def _name_of(broker: Broker) -> str:
    return f"{broker.vhost} and {broker.local_vhost} at {broker.url}"


def _no_broker() -> ConfigurationFault:
    return ConfigurationFault(["broker: missing; only a node with a broker has a plan for one"])
