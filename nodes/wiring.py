"""The one place where a node is put together, by plain constructor calls."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from exchange.amqp import ClientTls, LocalEndpoint, OwnBrokerEndpoint, ParentEndpoint, PlainLogin
from exchange.core.rules import Rules
from exchange.gate import Gate
from exchange.links import Link
from exchange.local import LocalSystem
from exchange.ports import Clock, Observer
from exchange.service import Service
from exchange.supervisor import Backoff
from exchange.topology import Definitions, Names, hash_password, plan
from nodes.config import Broker, Config, read_secret
from schemas.addresses import parent_of
from schemas.documents.registry import TYPES
from signing.at_rest import AtRest
from signing.chain import TrustStore
from signing.keys import (
    JournalSigner,
    load_certificate,
    load_crl,
    load_journal_signer,
    load_packet_signer,
)
from signing.notes import origin
from store.postgres import PostgresArchive

AUTHENTICATING_THREADS = 2
DEFAULT_SYSTEM = "default"


class Vault(msgspec.Struct, frozen=True):
    """What a node holds of keys and trust."""

    gate: Gate
    journal: JournalSigner
    origin: str


def rules_of(config: Config) -> Rules:
    """Return what the node decides by."""
    return Rules(
        here=config.address,
        children={child.label: child for child in config.children},
        limits=config.limits,
        types=frozenset(TYPES),
        systems={system.name: system.types for system in config.systems},
        default_system=config.systems[0].name if config.systems else DEFAULT_SYSTEM,
    )


def open_trust(config: Config) -> TrustStore:
    """Return the trust that the configuration begins with. Raises KeyFileError."""
    trust = TrustStore(load_certificate(config.keys.root))
    folders = (config.keys.authorities, config.keys.folder)
    files = [path for folder in folders for path in sorted(folder.glob("*.pem"))]
    trust.add_certificates([load_certificate(path) for path in files])
    return trust


def open_vault(config: Config, epoch: int = 1) -> Vault:
    """Load keys and trust. Raises KeyFileError, each with what to do."""
    secret = read_secret(config.keys.passphrase_file)
    passphrase = None if secret is None else secret.encode()
    folder = config.keys.folder
    packet = load_packet_signer(folder / "packet.key", folder / "packet.pem", passphrase)
    journal = load_journal_signer(folder / "journal.key", folder / "journal.pem", passphrase)
    trust = open_trust(config)
    gate = Gate(
        here=config.address,
        epoch=epoch,
        trust=trust,
        signer=packet,
        at_rest=AtRest(config.data / "at-rest"),
        limits=config.limits,
    )
    return Vault(gate, journal, origin(config.address, epoch))


def database_url(config: Config) -> str:
    """Return the daemon's URL with its password."""
    return with_password(config.database.url, read_secret(config.database.password_file))


def owner_url(config: Config) -> str | None:
    """Return the owner's URL with its password, where the node may migrate by itself."""
    if config.database.owner_url is None:
        return None
    secret = read_secret(config.database.owner_password_file)
    return with_password(config.database.owner_url, secret)


def with_password(url: str, password: str | None) -> str:
    """Return a URL whose user has this password."""
    parts = urlsplit(url)
    if password is None or parts.username is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{parts.username}:{quote(password, safe='')}@{host}"
    return urlunsplit(parts._replace(netloc=netloc))


class Node(msgspec.Struct):
    """A node put together, not running yet."""

    config: Config
    vault: Vault
    archive: PostgresArchive
    service: Service
    links: dict[str, Link]
    systems: dict[str, LocalSystem]
    executor: ThreadPoolExecutor


def build_service(config: Config, vault: Vault, clock: Clock, observer: Observer) -> Node:
    """Put archive, gate and service together; links come with `attach_links`."""
    archive = PostgresArchive(database_url(config))
    service = Service(
        gate=vault.gate,
        archive=archive,
        rules=rules_of(config),
        clock=clock,
        observer=observer,
    )
    executor = ThreadPoolExecutor(AUTHENTICATING_THREADS, thread_name_prefix="authenticate")
    return Node(config, vault, archive, service, {}, {}, executor)


async def attach_links(node: Node, cursors: Mapping[str, int], clock: Clock) -> None:
    """Make the links and local systems, standing where the record says."""
    rules = node.service.state.rules
    for neighbour in rules.neighbours:
        node.links[neighbour] = Link(
            neighbour,
            is_parent=neighbour == parent_of(rules.here),
            gate=node.vault.gate,
            archive=node.archive,
            clock=clock,
            limits=rules.limits,
            executor=node.executor,
            cursors=dict(cursors),
        )
    for system in node.config.systems:
        local = LocalSystem(
            system.name,
            epoch=node.vault.gate.epoch,
            gate=node.vault.gate,
            archive=node.archive,
            clock=clock,
            cursors=dict(cursors),
        )
        local.attach(node.service)
        node.systems[system.name] = local
    boxes = [box for local in node.systems.values() for box in (local.inbox, local.status)]
    await node.service.attach(list(node.links.values()), boxes)


def parent_endpoint(config: Config) -> ParentEndpoint | None:
    """Return the endpoint at the parent's broker, or None at the root."""
    if config.parent is None:
        return None
    secret = read_secret(config.keys.passphrase_file)
    folder = config.keys.folder
    tls = ClientTls(
        config.keys.root,
        folder / "link.pem",
        folder / "link.key",
        None if secret is None else secret.encode(),
    )
    return ParentEndpoint(
        address=config.address,
        urls=config.parent.urls,
        vhost=config.parent.vhost,
        tls=tls,
        heartbeat_s=config.limits.heartbeat_s,
        backoff=backoff_of(config),
    )


def own_endpoint(config: Config) -> OwnBrokerEndpoint | None:
    """Return the endpoint at our own broker for the children, or None without any."""
    if config.broker is None or not config.children:
        return None
    return OwnBrokerEndpoint(
        address=config.address,
        urls=[config.broker.url],
        login=login_of(config.broker),
        vhost=config.broker.vhost,
        backoff=backoff_of(config),
    )


def local_endpoint(config: Config) -> LocalEndpoint | None:
    """Return the endpoint for local systems, or None without any."""
    if config.broker is None or not config.systems:
        return None
    return LocalEndpoint(
        address=config.address,
        urls=[config.broker.url],
        login=login_of(config.broker),
        vhost=config.broker.local_vhost,
        backoff=backoff_of(config),
    )


def backoff_of(config: Config) -> Backoff:
    """Return the pace of reconnecting."""
    return Backoff(most_s=config.limits.reconnect_most_s)


def login_of(broker: Broker) -> PlainLogin:
    """Return the daemon's login at its own broker."""
    return PlainLogin(broker.user, read_secret(broker.password_file) or "")


def broker_plan(config: Config) -> tuple[Names, Definitions]:
    """Return what the node's broker must hold. The node has a broker."""
    assert config.broker is not None, "a leaf has no broker to provision"
    names = Names(
        config.address,
        config.broker.user,
        config.broker.vhost,
        config.broker.local_vhost,
    )
    systems = {
        system.name: hash_password(system.name, read_secret(system.password_file) or "")
        for system in config.systems
    }
    labels = [child.label for child in config.children if child.standing == "active"]
    login = login_of(config.broker)
    daemon_hash = hash_password(login.user, login.password)
    return names, plan(names, labels, systems, daemon_password_hash=daemon_hash)


def load_crls(config: Config) -> list[bytes]:
    """Return the revocation lists (DER) of the folder. Raises KeyFileError, naming the file."""
    return [load_crl(path) for path in crl_files(config)]


def crl_files(config: Config) -> list[Path]:
    """Return the revocation lists of the configuration's folder."""
    return sorted(config.keys.crls.glob("*.pem"))
