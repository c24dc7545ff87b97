"""A node's configuration: one frozen tree from one TOML file, all faults reported at once.

Secrets stand here only as paths of files. The environment is read in this module alone.
"""

import os
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from nodes.errors import ConfigurationFault
from schemas.addresses import Address, is_within, parent_of
from schemas.codes import Language, Tier
from schemas.limits import Limits
from schemas.patterns import whole

ENVIRONMENT_NAME = "BBAJ_CONFIG"
DEFAULT_PATH = Path("/etc/bbaj/node.toml")
CREDENTIALS_NAME = "CREDENTIALS_DIRECTORY"
"""Where systemd puts the credentials of a service."""

LANGUAGE_NAME = "BBAJ_LANG"
LOCALE_NAMES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Looked at in this order, as POSIX has it."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Pkcs11(_Section, frozen=True, forbid_unknown_fields=True):
    """A token that holds the packet key; needs the extra `pkcs11`."""

    module: Path
    token: str
    pin_file: Path
    label: str = "bbaj-packet"
    """Of all packet keys of this node in the token."""


class Keys(_Section, frozen=True, forbid_unknown_fields=True):
    """Where keys and trust anchors lie: files as `bbaj ca node` writes them."""

    folder: Path
    root: Path
    authorities: Path
    """Folder of `*.pem` certificates to begin with: authorities and neighbours."""
    crls: Path
    """Folder of `*.pem` revocation lists to begin with."""
    cards: Path | None = None
    """Folder of `*.card` to begin with, and `*.pem`: the certificates that they are signed with."""
    passphrase_file: Path | None = None
    """Mode 0600: another one is refused."""
    passphrase_credential: str | None = None
    """Name of a systemd credential, in the place of the file."""
    pkcs11: Pkcs11 | None = None
    genesis: Path | None = None
    """The network's `genesis.txt`, with `genesis.sig` beside it."""


class Database(_Section, frozen=True, forbid_unknown_fields=True):
    """PostgreSQL; URLs without passwords, which stand in files."""

    url: str
    password_file: Path | None = None
    owner_url: str | None = None
    owner_password_file: Path | None = None


class Broker(_Section, frozen=True, forbid_unknown_fields=True):
    """The node's own RabbitMQ, over loopback; a node with children or local systems needs one."""

    url: str
    user: str
    password_file: Path
    more_urls: tuple[str, ...] = ()
    """The other nodes of a cluster; the daemon tries all in turn, `url` first."""
    vhost: str = "bbaj"
    local_vhost: str = "bbaj-local"
    ctl: tuple[str, ...] = ("rabbitmqctl",)
    public_urls: tuple[str, ...] = ()
    """Where children reach it, `amqps://host:port`; invitations bear them."""
    crls: Path | None = None
    """Folder of revocation lists that the broker reads; `broker-crls` in `data` where not given."""


class Parent(_Section, frozen=True, forbid_unknown_fields=True):
    """How to reach the parent's broker."""

    urls: tuple[str, ...]
    vhost: str = "bbaj"
    address: Address | None = None
    """The neighbour that this node hangs under, where that is not its parent by name."""


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


class Rights(_Section, frozen=True, forbid_unknown_fields=True):
    """Who may use which command; without a policy everybody who can read the files."""

    policy: Path | None = None


class Policies(_Section, frozen=True, forbid_unknown_fields=True):
    """What the node judges evidence by, beside the protocol."""

    algorithms: Path | None = None
    """The table of algorithms and their ends; without it no end is set to any that we know."""


class Retention(_Section, frozen=True, forbid_unknown_fields=True):
    """How long what is kept is kept."""

    policy: Path | None = None
    """Terms, starts and bases of the classes (clause 22); without it no term ends."""


class Timestamps(_Section, frozen=True, forbid_unknown_fields=True):
    """An RFC 3161 time-stamp authority that stamps our checkpoints."""

    name: Annotated[str, msgspec.Meta(pattern=whole("[a-z0-9][a-z0-9-]{0,31}"))]
    url: str
    root: Path
    """Its root certificate, PEM; after a change of roots all that tokens lead to."""
    outside: bool = False
    """It belongs to nobody whose word the republic's journal must not depend on."""
    opaque: bool = False
    """It signs as nobody here can check (GOST): its tokens are kept unverified, and said to be."""
    every_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Daily where not given; hourly above districts."""


class Backup(_Section, frozen=True, forbid_unknown_fields=True):
    """Where backups are proven, and how old the last good one may be."""

    stamp: Path | None = None
    """A file that each good backup touches, whatever tool has made it."""
    age_most_h: Annotated[int, msgspec.Meta(ge=1)] = 26
    scratch: Path | None = None
    """Folder with room for the whole database once more; where temporary files go, if not given."""


class Completeness(_Section, frozen=True, forbid_unknown_fields=True):
    """Which reports are expected, and who is told how many came."""

    calendar: Path | None = None
    """The calendar of expected reports (clause 24.5); without it none is expected."""
    to_parent: bool = False
    """Whether the counts of each period go to the parent once its last deadline is over."""


class Upkeep(_Section, frozen=True, forbid_unknown_fields=True):
    """Where the database's disk is, and whether the node tells its parent how it is."""

    database_folder: Path | None = None
    """A folder on that disk, where it is in this machine; else, for a database in this machine,
    the disk of the data folder is looked at."""
    database_room_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """What the database may grow to, where its disk cannot be seen from here."""
    days_left_least: Annotated[int, msgspec.Meta(ge=1)] = 30
    """Fewer at the growth of these days are an alarm."""
    state: bool = True
    """Tell the neighbour above once a day how this node is (`archive.state/1`)."""


class Doctor(_Section, frozen=True, forbid_unknown_fields=True):
    """What this machine is like, for `bbaj doctor`."""

    ntp: bool = True
    """Whether this machine keeps its clock by NTP; false where its host keeps it."""
    free_bytes_least: Annotated[int, msgspec.Meta(ge=0)] = 2 * 1024**3


class Config(_Section, frozen=True, forbid_unknown_fields=True):
    """One node."""

    address: Address
    data: Path
    """Folder for at-rest keys and the file with the last signed journal size."""
    keys: Keys
    database: Database
    tier: Tier | None = None
    """Of this node, until its card says it; every child's must be strictly below it (R-6)."""
    broker: Broker | None = None
    parent: Parent | None = None
    systems: tuple[System, ...] = ()
    http: Http = Http()
    log: Log = Log()
    rights: Rights = Rights()
    policies: Policies = Policies()
    retention: Retention = Retention()
    timestamps: tuple[Timestamps, ...] = ()
    backup: Backup = Backup()
    upkeep: Upkeep = Upkeep()
    completeness: Completeness = Completeness()
    doctor: Doctor = Doctor()
    limits: Limits = Limits()

    @property
    def uplink(self) -> str | None:
        """The neighbour that this node calls; None at the root."""
        return (self.parent and self.parent.address) or parent_of(self.address)


def config_path(given: Path | None) -> Path:
    """Return the configuration file: as given, else as the environment names it."""
    named = os.environ.get(ENVIRONMENT_NAME)
    return given or (Path(named) if named else DEFAULT_PATH)


def credentials_folder() -> Path | None:
    """Return the folder of this process's systemd credentials; None without any."""
    named = os.environ.get(CREDENTIALS_NAME)
    return Path(named) if named else None


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
    if config.uplink is not None and is_within(config.uplink, config.address):
        faults.append(f"parent.address: {config.uplink} is below {config.address}")
    if config.keys.passphrase_file is not None and config.keys.passphrase_credential is not None:
        faults.append("keys: passphrase_file and passphrase_credential: name one of them")
    if config.systems and config.broker is None:
        faults.append("broker: missing; local systems need the node's own broker")
    faults += _timestamp_faults(config.timestamps)
    faults += [
        f"{what}: {path} cannot be read" for what, path in _files(config) if not _readable(path)
    ]
    return faults


def _timestamp_faults(places: Sequence[Timestamps]) -> list[str]:
    counts = Counter(place.name for place in places)
    faults = [f"timestamps.{name}: named {n} times" for name, n in counts.items() if n > 1]
    return faults + [
        f"timestamps.{place.name}.url: {place.url} is no http:// or https:// URL of a host"
        for place in places
        if not _is_web_url(place.url)
    ]


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _files(config: Config) -> list[tuple[str, Path]]:
    named: list[tuple[str, Path | None]] = [
        ("keys.folder", config.keys.folder),
        ("keys.root", config.keys.root),
        ("keys.authorities", config.keys.authorities),
        ("keys.crls", config.keys.crls),
        ("keys.cards", config.keys.cards),
        ("keys.genesis", config.keys.genesis),
        ("keys.passphrase_file", config.keys.passphrase_file),
        ("keys.pkcs11.module", config.keys.pkcs11.module if config.keys.pkcs11 else None),
        ("keys.pkcs11.pin_file", config.keys.pkcs11.pin_file if config.keys.pkcs11 else None),
        ("policies.algorithms", config.policies.algorithms),
        ("completeness.calendar", config.completeness.calendar),
        ("retention.policy", config.retention.policy),
        *((f"timestamps.{place.name}.root", place.root) for place in config.timestamps),
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


def spoken_language() -> Language:
    """Return the language to speak: the environment's; Kazakh where it names none of ours.

    Raises ConfigurationFault where BBAJ_LANG itself names none.
    """
    named = os.environ.get(LANGUAGE_NAME)
    if named and named not in set(Language):
        raise ConfigurationFault([f"{LANGUAGE_NAME}: {named}: write kk, ru or en"])
    for locale in (named, *(os.environ.get(name) for name in LOCALE_NAMES)):
        if locale:
            code = locale[:2].lower()
            return Language(code) if code in set(Language) else Language.KK
    return Language.KK


def read_secret(path: Path | None) -> str | None:
    """Return a secret file's first line. Raises ConfigurationFault where it can't be read."""
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationFault([f"{path}: {error.strerror}"]) from error
