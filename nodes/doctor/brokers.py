"""Broker rights: read from our broker, and tried, at both ends, with a child's own login.

At the parent's broker this node logs in with its link certificate; at our own it logs in as a child
would, with a certificate made for the purpose, where the key of an authority is at hand.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from exchange.amqp import Attempt, ClientTls, try_forbidden
from exchange.amqp.connect import Target
from exchange.core.registry import Registry
from exchange.departures import differences
from exchange.errors import AdministrationFailed, LoginRefused
from exchange.provision import Administration
from exchange.topology import LOG_EXCHANGE, Definitions, link_key
from nodes.cli.brokers import said_of
from nodes.cli.registries import read_tree
from nodes.cli.seen import Seen, fail, fault, ok, warn
from nodes.clock import now
from nodes.config import Config
from nodes.passphrases import passphrase_of
from nodes.said import Said, joined
from nodes.wiring import broker_plan
from schemas.addresses import dns_name, is_within
from schemas.errors import BbajError
from schemas.moments import MINUTE
from signing.authority import Issuer, issue_node
from signing.keys import load_certificate, load_private_key, write_private_key
from signing.profiles import NODE_LIFE_US, Purpose

TRIAL_US = 10 * MINUTE
"""So long a certificate lives that is made for a trial."""
SHOWN = 5
"""So many departures are named."""


async def examine(config: Config) -> AsyncIterator[Seen]:
    """Look at the rights at both brokers."""
    if config.parent is not None:
        for url in config.parent.urls:
            yield await _at_parent(config, url)
    if config.broker is None:
        return
    tree = await read_tree(config)
    name = Said("doctor.broker-rights")
    planned = broker_plan(config, tree.registry, tree.guests)
    try:
        exported = await asyncio.to_thread(Administration(config.broker.ctl).export)
    except AdministrationFailed as error:
        yield warn(name, str(error), Said("doctor.advice.administer"))
        return
    departures = differences(planned, exported)
    if departures:
        shown = joined((said_of(each) for each in departures[:SHOWN]), "; ")
        yield fail(name, shown, Said("checks.advice.apply"))
    else:
        yield ok(name, Said("doctor.found.as-planned", {"count": len(tree.registry.children)}))
    yield _strangers(exported, config.broker.vhost)
    trial = await _as_a_child(config, tree.registry)
    if trial is not None:
        yield trial


def _strangers(exported: Definitions, vhost: str) -> Seen:
    """See that the broker's log is read: only there it stands whom it does not let in.

    Nodes that share a broker have one log, which reaches the one in whose virtual host it is.
    """
    name = Said("doctor.strangers")
    readers = {row["vhost"] for row in exported["bindings"] if row["source"] == LOG_EXCHANGE}
    if readers:
        return ok(name, Said("doctor.found.log-read", {"hosts": ", ".join(sorted(readers))}))
    lines = f"log.exchange = true, log.exchange.level = notice, default_vhost = {vhost}"
    what_to_do = Said("doctor.advice.log-exchange", {"lines": lines})
    return warn(name, Said("doctor.found.log-unread"), what_to_do)


# ------------------------------------------------------------------ at the parent's broker


async def _at_parent(config: Config, url: str) -> Seen:
    """Log in as the link does, and try what must be refused."""
    uplink, parent = config.uplink, config.parent
    assert uplink is not None, "who has a parent's broker calls somebody"
    assert parent is not None, "looked at before"
    folder = config.keys.folder
    tls = ClientTls(
        config.keys.root, folder / "link.pem", folder / "link.key", passphrase_of(config.keys)
    )
    target = Target(
        url=url,
        vhost=parent.vhost,
        name=config.address,
        heartbeat_s=config.limits.heartbeat_s,
        tls=tls,
        broker_name=dns_name(uplink),
    )
    name = Said("doctor.rights-at", {"uplink": uplink})
    try:
        attempts = await try_forbidden(target, link_key(uplink, config.address))
    except BbajError as error:
        return fault(name, error)
    return _judge(name, attempts, Said("doctor.advice.let-apply", {"uplink": uplink}))


# ------------------------------------------------------------------ at our own


async def _as_a_child(config: Config, registry: Registry) -> Seen | None:
    """Log in to our own broker as a child, where somebody here can make its certificate."""
    issuer, broker = _issuer(config), config.broker
    if issuer is None or broker is None or not broker.public_urls:
        return None
    subtree = issuer.subtree or ""
    child = next((each for each in registry.children if is_within(each, subtree)), None)
    if child is None:
        return None
    name = Said("doctor.rights-tried", {"child": child})
    with tempfile.TemporaryDirectory(prefix="bbaj-doctor-") as folder:
        target = Target(
            url=broker.public_urls[0],
            vhost=broker.vhost,
            name="bbaj doctor",
            heartbeat_s=10,
            tls=_trial_certificate(Path(folder), issuer, child, config.keys.root),
            broker_name=dns_name(config.address),
        )
        try:
            attempts = await try_forbidden(target, link_key(config.address, child))
        except LoginRefused as error:
            return fault(name, error)
        except BbajError as error:
            facts = {"url": broker.public_urls[0], "why": error}
            found = Said("doctor.found.url-out-of-reach", facts)
            return warn(name, found, Said("doctor.advice.try-elsewhere"))
    return _judge(name, attempts, Said("checks.advice.apply"))


def _issuer(config: Config) -> Issuer | None:
    """Return the authority whose key lies here; None where none does."""
    key_file, certificate_file = (config.keys.folder / f"authority.{end}" for end in ("key", "pem"))
    if not key_file.exists():
        return None
    key = load_private_key(key_file, passphrase_of(config.keys))
    certificate = x509.load_der_x509_certificate(load_certificate(certificate_file))
    return Issuer(certificate, key) if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _trial_certificate(folder: Path, issuer: Issuer, child: str, root: Path) -> ClientTls:
    """Make a link certificate that has all but ended, and a key that nobody keeps."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = now() - NODE_LIFE_US[Purpose.LINK] + TRIAL_US
    certificate = issue_node(issuer, child, Purpose.LINK, key.public_key(), made)
    write_private_key(folder / "trial.key", key, None)
    chain = [each.public_bytes(Encoding.PEM) for each in (certificate, issuer.certificate)]
    (folder / "trial.pem").write_bytes(b"".join(chain))
    return ClientTls(root, folder / "trial.pem", folder / "trial.key")


def _judge(name: str, attempts: list[Attempt], what_to_do: str) -> Seen:
    let = [
        Said(f"doctor.attempts.{attempt.act}", {"name": attempt.name})
        for attempt in attempts
        if not attempt.refused
    ]
    if let:
        found = Said("doctor.found.let-through", {"what": joined(let, "; ")})
        return fail(name, found, what_to_do)
    return ok(name, Said("doctor.found.refused", {"count": len(attempts)}))
