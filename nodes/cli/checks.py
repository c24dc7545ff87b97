"""`bbaj node check`: looks at everything that the daemon needs, and goes on behind a fault."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
from cryptography import x509

from exchange.amqp import ClientTls, probe
from exchange.amqp.connect import Target, connection
from exchange.renewal import when_due
from exchange.signed_size import LOST_NEXT_STEP, SIZE_FILE, SignedSize, SizeFile
from exchange.topology import read_local_queues, read_queues
from nodes.cli.journal_checks import check_witnesses
from nodes.cli.moments import duration
from nodes.cli.registries import tree_at_hand
from nodes.cli.shapes import Check, NodeCheck
from nodes.clock import now
from nodes.config import Config, load_config
from nodes.errors import ConfigurationFault, JudgementFailed
from nodes.passphrases import passphrase_of
from nodes.policies import open_retention
from nodes.wiring import child_keys, database_url, load_crls, login_of, open_trust, open_vault
from schemas.addresses import dns_name
from schemas.errors import BbajError
from schemas.limits import Limits
from schemas.moments import DAY, SECOND, Instant, format_instant, from_datetime
from schemas.records import Position
from schemas.retention import buckets_ahead
from signing.chain import Trusted, TrustStore
from signing.crl import parse_crl
from signing.keys import fingerprint, load_certificate, load_journal_signer, load_private_key
from signing.profiles import Purpose
from store.migrations import SCHEMA_VERSION
from store.postgres.position import check_database, load_position
from store.postgres.session import session
from store.upkeep import missing_partitions

HEALTH_S = 3.0
RENEWAL_LATE_US = 7 * DAY
"""So long after its day a renewal is late."""

Finder = Callable[[Config], AsyncIterator[Check]]


async def check_node(path: Path) -> NodeCheck:
    """Return what was found; a fault in the configuration leaves the rest unlooked at."""
    try:
        config = load_config(path)
    except ConfigurationFault as error:
        found = [Check(name="configuration", state="fault", detail=fault) for fault in error.faults]
        return NodeCheck(address=None, holds=False, checks=found)
    found = [Check(name="configuration", state="ok", detail=str(path))]
    for finder in FINDERS:
        found += [check async for check in finder(config)]
    holds = all(check.state != "fault" for check in found)
    return NodeCheck(address=config.address, holds=holds, checks=found)


def judge(found: NodeCheck) -> None:
    """Raise JudgementFailed where there is a fault."""
    faults = sum(check.state == "fault" for check in found.checks)
    if faults:
        raise JudgementFailed(f"{faults} faults: correct what the table names")


# ------------------------------------------------------------------ keys and certificates


async def _check_keys(config: Config) -> AsyncIterator[Check]:
    """Load every key as the daemon does, the link's too."""
    try:
        vault = open_vault(config)
        passphrase = passphrase_of(config.keys)
        link = load_private_key(config.keys.folder / "link.key", passphrase)
    except BbajError as error:
        yield _fault("keys", error)
        return
    yield _ok("keys", f"packet key {vault.gate.fingerprint[:16]}…, journal and link keys load")
    if (await tree_at_hand(config)).registry.children:
        yield _check_witness(config, passphrase)
    certificate = x509.load_der_x509_certificate(_certificate(config, Purpose.LINK))
    if certificate.public_key() != link.public_key():
        yield _check("link key", "fault", "link.pem is for another key: restore the matching pair")


def _check_witness(config: Config, passphrase: bytes | None) -> Check:
    """Load the key that a node with children cosigns their checkpoints with."""
    folder = config.keys.folder
    try:
        load_journal_signer(folder / "witness.key", folder / "witness.pem", passphrase)
    except BbajError as error:
        return _fault("witness key", error)
    return _ok("witness key", "loads")


async def _check_certificates(config: Config) -> AsyncIterator[Check]:
    """Judge each of our certificates by the trust at hand, and say how long it lasts."""
    try:
        trust = open_trust(config)
        crls = load_crls(config)
    except BbajError as error:
        yield _fault("trust", error)
        return
    for der in crls:
        trust.add_crl(der)
    for check in _check_crls(crls, config.limits):
        yield check
    purposes = [Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK]
    if (config.keys.folder / "witness.pem").exists():
        purposes.append(Purpose.WITNESS)
    for purpose in purposes:
        try:
            yield _judge_certificate(config, trust, purpose)
        except BbajError as error:
            yield _fault(f"{purpose} certificate", error)


def _judge_certificate(config: Config, trust: TrustStore, purpose: Purpose) -> Check:
    name, moment = f"{purpose} certificate", now()
    der = _certificate(config, purpose)
    trust.add_certificates([der])
    parsed = x509.load_der_x509_certificate(der)
    verdict = trust.judge(fingerprint(der), config.address, purpose, moment, moment, config.limits)
    if not isinstance(verdict, Trusted):
        return _check(name, "fault", f"{verdict.detail}: have it issued again, or fetch CRLs")
    until = from_datetime(parsed.not_valid_after_utc)
    text = f"valid until {format_instant(until)[:10]}, {duration((until - moment) / SECOND)} left"
    if moment > when_due(config.address, purpose, der) + RENEWAL_LATE_US:
        return _check(name, "warning", f"{text}, and not renewed: see `bbaj incidents`")
    return _ok(name, text)


def _check_crls(crls: list[bytes], limits: Limits) -> Iterator[Check]:
    if not crls:
        yield _check("crls", "fault", "none at hand: frames would be held; fetch them")
    for der in crls:
        parsed = parse_crl(der)
        name = f"crl of {parsed.issuer.rfc4514_string()}"
        due = parsed.next_update_utc
        if due is None:
            yield _check(name, "fault", "does not say when the next one comes: fetch another")
            continue
        late = now() - from_datetime(due)
        if late > limits.crl_grace_us:
            yield _check(
                name, "fault", f"{duration(late / SECOND)} past due: frames are held; fetch it"
            )
        elif late > 0:
            yield _check(name, "warning", f"{duration(late / SECOND)} past due: fetch the next one")
        else:
            yield _ok(name, f"next due {due:%Y-%m-%d %H:%M} UTC")


# ------------------------------------------------------------------ database and clock


async def _check_database(config: Config) -> AsyncIterator[Check]:
    """See that it answers, holds today's schema, belongs to this node, and has room for months."""
    try:
        async with session(database_url(config), "bbaj check") as connection:
            await check_database(connection)
            position, _ = await load_position(connection)
    except BbajError as error:
        yield _fault("database", error)
        return
    if position.address != config.address:
        yield _check("database", "fault", f"belongs to {position.address}: correct database.url")
        return
    what = f"answers; schema version {SCHEMA_VERSION}, {position.leaves} leaves"
    yield _ok("database", what)
    yield _check_journal(config, position)
    yield await _check_partitions(config, now())
    yield _check_clock(config, position.last_leaf_at)


def _check_journal(config: Config, position: Position) -> Check:
    """See that the record has all that was signed: the size is kept beside it."""
    try:
        signed = SizeFile(config.data / SIZE_FILE).read()
    except BbajError as error:
        return _fault("journal", error)
    here = SignedSize(position.epoch, position.leaves)
    if signed is None or signed <= here:
        return _ok("journal", f"{here.size} leaves of epoch {here.epoch}")
    what = (
        f"{signed.size} leaves of epoch {signed.epoch} were signed, {here.size} of epoch "
        f"{here.epoch} are here: {LOST_NEXT_STEP}"
    )
    return _check("journal", "fault", what)


async def _check_partitions(config: Config, moment: Instant) -> Check:
    """See that the buckets stand ready that this month and the next need."""
    try:
        policy = open_retention(config)
    except ConfigurationFault as error:
        return _fault("retention", error)
    url = database_url(config)
    for name, at, state in (
        ("this", moment, "fault"),
        ("in 31 days the", moment + 31 * DAY, "warning"),
    ):
        missing = await missing_partitions(url, buckets_ahead(policy, at, 0))
        if missing:
            what = f"{name} month lacks {', '.join(missing)}: run `bbaj store partitions`"
            return _check("partitions", state, what)
    return _ok("partitions", "stand ready for this month and the next")


def _check_clock(config: Config, last_leaf_at: Instant) -> Check:
    """See that the clock does not stand behind what this node has journaled."""
    moment = now()
    if last_leaf_at > moment + config.limits.time_window_ahead_us:
        behind = duration((last_leaf_at - moment) / SECOND)
        return _check("clock", "fault", f"stands {behind} behind our own last leaf: set it")
    return _ok("clock", f"{format_instant(moment)}; the parent's is compared at each hello")


# ------------------------------------------------------------------ brokers and daemon


async def _check_broker(config: Config) -> AsyncIterator[Check]:
    """Probe our own broker's virtual hosts as the daemon uses them."""
    broker = config.broker
    if broker is None:
        yield _check("broker", "skipped", "none: a leaf needs none")
        return
    children = child_keys((await tree_at_hand(config)).registry)
    hosts = {broker.vhost: read_queues(children)}
    if config.systems:
        hosts[broker.local_vhost] = read_local_queues(system.name for system in config.systems)
    for vhost, queues in hosts.items():
        name = f"broker {vhost}"
        try:
            faults = await probe(url=broker.url, vhost=vhost, login=login_of(broker), queues=queues)
        except BbajError as error:
            yield _fault(name, error)
            continue
        for fault in faults:
            yield _check(name, "fault", f"{fault}: run `bbaj topology --apply`")
        if not faults:
            yield _ok(name, f"answers; {len(queues)} queues are there")


async def _check_daemon(config: Config) -> AsyncIterator[Check]:
    """Ask the daemon for its links; where none runs, try the parent's broker ourselves.

    Not beside a running daemon: the parent's broker lets a child in so many times only.
    """
    if config.http.port == 0:
        yield _check("daemon", "skipped", "http.port is 0: nobody can ask the daemon")
        return
    health = await asyncio.to_thread(_ask_daemon, config)
    if health is not None:
        yield _check("daemon", "ok" if health.ready else "warning", _readiness(health))
        if health.journal_lost is not None:
            yield _check("journal", "fault", f"{health.journal_lost}: {LOST_NEXT_STEP}")
        for peer, is_up in health.links.items():
            detail = "up" if is_up else "down: see the daemon's log"
            yield _check(f"connection {peer}", "ok" if is_up else "warning", detail)
        return
    yield _check("daemon", "warning", "does not run here: start it with `bbaj node run`")
    if config.parent is not None:
        for url in config.parent.urls:
            yield await _try_parent(config, url)


class _Health(msgspec.Struct):
    ready: bool
    links: dict[str, bool] = {}
    journal_lost: str | None = None


def _readiness(health: _Health) -> str:
    return "runs, and is ready" if health.ready else "runs, and is not ready: see its log"


def _ask_daemon(config: Config) -> _Health | None:
    """Return what the daemon says of itself, None where it does not answer."""
    url = f"http://{config.http.host}:{config.http.port}/health/ready"
    try:
        with urllib.request.urlopen(url, timeout=HEALTH_S) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except OSError:
        return None
    try:
        return msgspec.json.decode(body, type=_Health)
    except msgspec.MsgspecError:
        return None


async def _try_parent(config: Config, url: str) -> Check:
    """Connect to the parent's broker once, as the link does."""
    assert config.parent is not None
    parent = config.uplink
    assert parent is not None, "a node with a parent is not the root"
    folder = config.keys.folder
    target = Target(
        url=url,
        vhost=config.parent.vhost,
        name=config.address,
        heartbeat_s=config.limits.heartbeat_s,
        tls=ClientTls(
            config.keys.root,
            folder / "link.pem",
            folder / "link.key",
            passphrase_of(config.keys),
        ),
        broker_name=dns_name(parent),
    )
    try:
        async with connection(target, "check"):
            return _ok(f"parent {parent}", f"{url} answers, and lets us in")
    except BbajError as error:
        return _fault(f"parent {parent}", error)


FINDERS: tuple[Finder, ...] = (
    _check_keys,
    _check_certificates,
    _check_database,
    check_witnesses,
    _check_broker,
    _check_daemon,
)


def _certificate(config: Config, purpose: Purpose) -> bytes:
    return load_certificate(config.keys.folder / f"{purpose}.pem")


def _ok(name: str, detail: str) -> Check:
    return Check(name=name, state="ok", detail=detail)


def _fault(name: str, error: BbajError) -> Check:
    return Check(name=name, state="fault", detail=" ".join(str(error).split()))


def _check(name: str, state: str, detail: str) -> Check:
    return Check(name=name, state=state, detail=detail)  # type: ignore[arg-type]
