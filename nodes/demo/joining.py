"""Schools join the network by the two commands that their operators and their parent's type."""

import secrets

from nodes.demo.commands import bbaj
from nodes.demo.network import DemoNetwork
from nodes.sandbox.network import (
    NodeSpec,
    RunningNode,
    broker_lines,
    database_name,
    user_of,
    write_secret,
)
from schemas.addresses import label_of, parent_of


async def join(network: DemoNetwork, spec: NodeSpec) -> float:
    """Invite a machine at its parent, and let it join; return how long the joining took (s).

    Its daemon is not started. Raises ServiceDown.
    """
    text = await _invite(network, spec.address)
    urls = await network.postgres.create_database(database_name(spec.address))
    folder = network.folder / "nodes" / spec.address
    words = [
        "join", text, "--folder", str(folder), "--http-port", "0",
        "--database", urls.daemon_url, "--database-owner-url", urls.owner_url,
    ]  # fmt: skip
    broker = network.brokers.get(spec.address)
    if broker is not None:
        words += ["--broker-url", f"amqp://{user_of(spec.address)}@127.0.0.1:{broker.amqp_port}"]
    done = await bbaj(*words)
    node = RunningNode(spec, folder, folder / "node.toml")
    network.nodes.nodes[spec.address] = node
    _settle_in(network, node)
    if broker is not None:
        await bbaj("topology", "--apply", "--config", str(node.config_path))
    return float(done["took_s"])


async def _invite(network: DemoNetwork, address: str) -> str:
    """Return an invitation's text; a school that will be cut off comes through its proxy."""
    parent = network.nodes.nodes[parent_of(address) or ""]
    number = label_of(address).rpartition("-")[2]
    words = ["invite", address, "--tier", "school"]
    words += ["--kk", f"№ {number} мектеп", "--ru", f"школа № {number}", "--en", f"school {number}"]
    if address in network.proxies:
        words += ["--url", f"amqps://127.0.0.1:{network.proxies[address].port}"]
    (made,) = await bbaj(*words, "--config", str(parent.config_path))
    return str(made["text"])


def _settle_in(network: DemoNetwork, node: RunningNode) -> None:
    """Add to the configuration what the operator of this very machine knows."""
    for system in node.spec.systems:
        write_secret(node.folder / f"{system}.password", secrets.token_urlsafe(18))
    text = node.config_path.read_text(encoding="utf-8")
    broker = network.brokers.get(node.address)
    if broker is not None:
        lines = "\n".join(broker_lines(node.address, broker))
        text = text.replace("[broker]\n", f"[broker]\n{lines}\n")
    ending = "\n".join(network.nodes.last_lines(node.spec))
    node.config_path.write_text(f"{text}{ending}\n", encoding="utf-8")
