"""A node's configuration: one frozen tree from one TOML file, all faults reported at once.

Secrets stand here only as paths of files. The environment is read in this module alone.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec

from exchange.core.rules import Child
from nodes.errors import ConfigurationFault
from schemas.addresses import Address, parent_of
from schemas.codes import Tier
from schemas.limits import Limits
from schemas.patterns import whole

ENVIRONMENT_NAME = "BBAJ_CONFIG"
DEFAULT_PATH = Path("/etc/bbaj/node.toml")

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Keys(_Section, frozen=True, forbid_unknown_fields=True):
    """Where keys and trust anchors lie: files as `bbaj ca node` writes them."""

    folder: Path
    root: Path
    authorities: Path
    """Folder of `*.pem` certificates to begin with: authorities and neighbours."""
    crls: Path
    """Folder of `*.pem` revocation lists to begin with."""
    passphrase_file: Path | None = None


class Database(_Section, frozen=True, forbid_unknown_fields=True):
    """PostgreSQL; URLs without passwords, which stand in files."""

    url: str
    password_file: Path | None = None
    owner_url: str | None = None
    owner_password_file: Path | None = None


class Broker(_Section, frozen=True, forbid_unknown_fields=True):
    """The node's own RabbitMQ, over loopback; absent on a leaf."""

    url: str
    user: str
    password_file: Path
    vhost: str = "bbaj"
    local_vhost: str = "bbaj-local"
    ctl: tuple[str, ...] = ("rabbitmqctl",)


class Parent(_Section, frozen=True, forbid_unknown_fields=True):
    """How to reach the parent's broker."""

    urls: tuple[str, ...]
    vhost: str = "bbaj"


class System(_Section, frozen=True, forbid_unknown_fields=True):
    """A local system with queues of its own, and the packet types that it receives."""

    name: Annotated[str, msgspec.Meta(pattern=whole("[a-z0-9][a-z0-9-]{0,31}"))]
    password_file: Path
    types: tuple[str, ...] = ()


class Http(_Section, frozen=True, forbid_unknown_fields=True):
    """Where metrics and health are served."""

    host: str = "127.0.0.1"
    port: Port = 9464


class Log(_Section, frozen=True, forbid_unknown_fields=True):
    """How the daemon logs."""

    level: str = "info"
    json: bool = True


class Config(_Section, frozen=True, forbid_unknown_fields=True):
    """One node."""

    address: Address
    data: Path
    """Folder for at-rest keys and the file with the last signed journal size."""
    keys: Keys
    database: Database
    tier: Tier | None = None
    """Of this node; every child's must be strictly below it (R-6)."""
    broker: Broker | None = None
    parent: Parent | None = None
    children: tuple[Child, ...] = ()
    systems: tuple[System, ...] = ()
    http: Http = Http()
    log: Log = Log()
    limits: Limits = Limits()


def config_path(given: Path | None) -> Path:
    """Return the configuration file: as given, else as the environment names it."""
    named = os.environ.get(ENVIRONMENT_NAME)
    return given or (Path(named) if named else DEFAULT_PATH)


def load_config(path: Path) -> Config:
    """Return the configuration in a TOML file. Raises ConfigurationFault with every fault."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = f"name it with --config or {ENVIRONMENT_NAME}"
        raise ConfigurationFault([f"{path}: {error.strerror}: {hint}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationFault([f"{path}: no TOML: {error}"]) from error
    config = _convert_sections(tree, path.parent)
    faults = find_faults(config)
    if faults:
        raise ConfigurationFault(faults)
    return config


def _convert_sections(tree: dict[str, Any], base: Path) -> Config:
    """Convert section by section, so that one fault does not hide the others."""
    fields = {field.name: field for field in msgspec.structs.fields(Config)}
    faults = [f"{name}: unknown section or field" for name in tree if name not in fields]
    values: dict[str, object] = {}
    for name, field in fields.items():
        if name not in tree:
            if field.required:
                faults.append(f"{name}: missing")
            continue
        try:
            values[name] = msgspec.convert(
                tree[name], field.type, dec_hook=lambda kind, text: _decode(base, kind, text)
            )
        except msgspec.ValidationError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise ConfigurationFault(faults)
    return Config(**values)  # type: ignore[arg-type]


def _decode(base: Path, kind: type, text: object) -> Path:
    """Paths are taken from the folder of the configuration file."""
    if kind is Path and isinstance(text, str):
        return base / text
    raise NotImplementedError(kind)


def find_faults(config: Config) -> list[str]:
    """Return what is wrong between the sections and with the files that they name."""
    faults: list[str] = []
    if parent_of(config.address) is None and config.parent is not None:
        faults.append("parent: the root of the tree has none")
    if parent_of(config.address) is not None and config.parent is None:
        faults.append(f"parent: missing; {config.address} calls {parent_of(config.address)}")
    if (config.children or config.systems) and config.broker is None:
        faults.append("broker: missing; children and systems need the node's own broker")
    faults += [
        f"children: {child.label} is {child.tier}, which is not below {config.tier}"
        for child in config.children
        if config.tier and child.tier and not config.tier.is_above(child.tier)
    ]
    labels = [child.label for child in config.children]
    faults += [f"children: {label} twice" for label in set(labels) if labels.count(label) > 1]
    faults += [
        f"{what}: {path} cannot be read" for what, path in _files(config) if not _readable(path)
    ]
    return faults


def _files(config: Config) -> list[tuple[str, Path]]:
    named: list[tuple[str, Path | None]] = [
        ("keys.folder", config.keys.folder),
        ("keys.root", config.keys.root),
        ("keys.authorities", config.keys.authorities),
        ("keys.crls", config.keys.crls),
        ("keys.passphrase_file", config.keys.passphrase_file),
        ("database.password_file", config.database.password_file),
        ("database.owner_password_file", config.database.owner_password_file),
        ("broker.password_file", config.broker.password_file if config.broker else None),
        *(
            (f"systems.{system.name}.password_file", system.password_file)
            for system in config.systems
        ),
    ]
    return [(what, path) for what, path in named if path is not None]


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK)


def read_secret(path: Path | None) -> str | None:
    """Return a secret file's first line. Raises ConfigurationFault where it can't be read."""
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationFault([f"{path}: {error.strerror}"]) from error
