"""The one place where a node is put together, by plain constructor calls."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from exchange.amqp import ClientTls, LocalEndpoint, OwnBrokerEndpoint, ParentEndpoint, PlainLogin
from exchange.core.registry import Registry
from exchange.core.rules import Rules
from exchange.gate import Gate
from exchange.issuer_gate import IssuerGate
from exchange.links import Link
from exchange.local import LocalSystem
from exchange.ports import Clock, Observer
from exchange.service import Service
from exchange.supervisor import Backoff
from exchange.topology import Definitions, Names, hash_password, link_key, plan
from nodes.card_files import certificate_files
from nodes.config import Broker, Config, Pkcs11, read_secret
from nodes.keyring import GIVEN, KeyFolder, KeyToken
from nodes.passphrases import passphrase_of, read_passphrase_file
from nodes.policies import open_retention
from schemas.documents.registry import TYPES, own_classes
from schemas.errors import FormatError
from signing.at_rest import AtRest
from signing.authority import load_issuer
from signing.chain import TrustStore
from signing.encryption import EncryptionKeyring
from signing.errors import KeyFileDamagedError, KeyFileMissingError
from signing.genesis import Genesis, read_genesis
from signing.keys import JournalSigner, load_certificate, load_crl
from store.postgres import PostgresArchive

AUTHENTICATING_THREADS = 2
DEFAULT_SYSTEM = "default"


class Vault(msgspec.Struct, frozen=True):
    """What a node holds of keys and trust."""

    gate: Gate
    journal: JournalSigner
    keys: KeyFolder


def rules_of(config: Config, registry: Registry) -> Rules:
    """Return what the node decides by; the gate holds the same registry."""
    return Rules(
        here=config.address,
        registry=registry,
        limits=config.limits,
        types=frozenset(TYPES),
        systems={system.name: system.types for system in config.systems},
        default_system=config.systems[0].name if config.systems else DEFAULT_SYSTEM,
        classes=own_classes(),
    )


def open_trust(config: Config) -> TrustStore:
    """Return the trust that the configuration begins with. Raises KeyFileError."""
    trust = TrustStore(load_certificate(config.keys.root))
    folders = (config.keys.authorities, config.keys.folder)
    files = [path for folder in folders for path in sorted(folder.glob("*.pem"))]
    files += certificate_files(config.keys.cards)
    files += sorted((config.keys.folder / GIVEN).glob("*.pem"))
    trust.add_certificates([load_certificate(path) for path in files])
    return trust


def open_keys(config: Config) -> KeyFolder:
    """Return the node's keys, a switch that was cut off finished first. Raises KeyFileError."""
    keys = config.keys
    token = None if keys.pkcs11 is None else open_token(keys.pkcs11)
    folder = KeyFolder(keys.folder, config.address, passphrase_of(keys), token)
    folder.open()
    return folder


def open_token(place: Pkcs11) -> KeyToken:
    """Return the token that holds packet keys. Raises KeyFileError, each with what to do."""
    try:
        from signing.pkcs11 import Token, TokenPlace  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise KeyFileMissingError(
            "keys.pkcs11: python-pkcs11 is not installed: install bbaj with its extra `pkcs11`"
        ) from error
    pin = read_passphrase_file(place.pin_file).decode()
    return Token(TokenPlace(place.module, place.token, place.label), pin)


def open_vault(config: Config) -> Vault:
    """Load keys and trust; the record has the epoch. Raises KeyFileError, each with what to do."""
    keys = open_keys(config)
    packet, journal = keys.packet_signer(), keys.journal_signer()
    trust = open_trust(config)
    gate = Gate(
        here=config.address,
        epoch=1,
        trust=trust,
        signer=packet,
        journal=journal,
        encryption=keys.encryption(),
        at_rest=AtRest(config.data / "at-rest"),
        limits=config.limits,
        registry=Registry(config.address),
        issuer=open_issuer(config, journal),
        cosigner=keys.cosigner(),
        retention=open_retention(config),
    )
    return Vault(gate, journal, keys)


def open_issuer(config: Config, journal: JournalSigner) -> IssuerGate | None:
    """Return the authority whose key lies in the key folder, or None. Raises KeyFileError."""
    path = config.keys.folder / "authority.key"
    if not path.exists():
        return None
    issuer = load_issuer(path, path.with_suffix(".pem"), passphrase_of(config.keys))
    if issuer.subtree != config.address:
        raise KeyFileDamagedError(
            f"{path} is the key of {issuer.subtree}'s authority: it belongs to that node"
        )
    return IssuerGate(issuer, journal)


def load_genesis(config: Config) -> Genesis | None:
    """Return what the genesis file says, or None without one. Raises KeyFileError."""
    path = config.keys.genesis
    if path is None:
        return None
    try:
        text, signature = path.read_bytes(), path.with_suffix(".sig").read_bytes()
        return read_genesis(text, signature, load_certificate(config.keys.root))
    except OSError as error:
        raise KeyFileMissingError(f"{error.filename}: {error.strerror}: fetch it again") from error
    except FormatError as error:
        raise KeyFileDamagedError(f"{path}: {error.detail}: fetch it again") from error


def load_encryption(config: Config) -> EncryptionKeyring:
    """Return the node's encryption keys. Raises KeyFileError, naming the file."""
    return EncryptionKeyring.load(config.keys.folder, passphrase_of(config.keys))


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
        rules=rules_of(config, vault.gate.registry),
        clock=clock,
        observer=observer,
        keys=vault.keys,
    )
    executor = ThreadPoolExecutor(AUTHENTICATING_THREADS, thread_name_prefix="authenticate")
    return Node(config, vault, archive, service, {}, {}, executor)


async def attach_links(node: Node, clock: Clock) -> None:
    """Make the links and local systems, standing where the record says."""
    uplink = node.config.uplink
    children = node.service.state.registry.children
    for neighbour in (*([] if uplink is None else [uplink]), *children):
        node.links[neighbour] = make_link(node, neighbour, clock)
    for system in node.config.systems:
        local = LocalSystem(
            system.name,
            epoch=node.vault.gate.epoch,
            gate=node.vault.gate,
            archive=node.archive,
            clock=clock,
            cursors=dict(node.service.state.effects.cursors),
        )
        local.attach(node.service)
        node.systems[system.name] = local
    boxes = [box for local in node.systems.values() for box in (local.inbox, local.status)]
    await node.service.attach(list(node.links.values()), boxes)


def make_link(node: Node, neighbour: str, clock: Clock) -> Link:
    """Return the link to a neighbour, standing where the record says."""
    return Link(
        neighbour,
        is_parent=neighbour == node.config.uplink,
        gate=node.vault.gate,
        archive=node.archive,
        clock=clock,
        limits=node.config.limits,
        executor=node.executor,
        cursors=dict(node.service.state.effects.cursors),
    )


def parent_endpoint(config: Config) -> ParentEndpoint | None:
    """Return the endpoint at the parent's broker, or None at the root."""
    if config.parent is None:
        return None
    folder = config.keys.folder
    tls = ClientTls(
        config.keys.root,
        folder / "link.pem",
        folder / "link.key",
        passphrase_of(config.keys),
    )
    return ParentEndpoint(
        address=config.address,
        urls=config.parent.urls,
        parent=config.uplink,
        vhost=config.parent.vhost,
        tls=tls,
        heartbeat_s=config.limits.heartbeat_s,
        backoff=backoff_of(config),
    )


def own_endpoint(config: Config) -> OwnBrokerEndpoint | None:
    """Return the endpoint at our own broker for the children; None where there is no broker."""
    if config.broker is None:
        return None
    return OwnBrokerEndpoint(
        address=config.address,
        urls=[config.broker.url, *config.broker.more_urls],
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
        urls=[config.broker.url, *config.broker.more_urls],
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


def broker_names(config: Config) -> Names:
    """Return what names things on the node's broker. The node has one."""
    assert config.broker is not None, "a leaf has no broker to provision"
    return Names(
        config.address,
        config.broker.user,
        config.broker.vhost,
        config.broker.local_vhost,
    )


def broker_plan(
    config: Config, registry: Registry, guests: Mapping[str, str] | None = None
) -> Definitions:
    """Return what the node's broker must hold for its systems and the children of its cards.

    The node has a broker. A suspended child keeps its login, and hears over it what its standing
    is; `guests` are as in `exchange.topology.plan`.
    """
    assert config.broker is not None, "a leaf has no broker to provision"
    systems = {
        system.name: hash_password(system.name, read_secret(system.password_file) or "")
        for system in config.systems
    }
    login = login_of(config.broker)
    return plan(
        broker_names(config),
        child_keys(registry),
        systems,
        daemon_password_hash=hash_password(login.user, login.password),
        guests=guests,
    )


def child_keys(registry: Registry) -> list[str]:
    """Return the link keys of the children, suspended ones included."""
    return [link_key(registry.here, address) for address in registry.children]


def load_crls(config: Config) -> list[bytes]:
    """Return the revocation lists (DER) of the folder. Raises KeyFileError, naming the file."""
    return [load_crl(path) for path in crl_files(config)]


def crl_files(config: Config) -> list[Path]:
    """Return the revocation lists of the configuration's folder."""
    return sorted(config.keys.crls.glob("*.pem"))
