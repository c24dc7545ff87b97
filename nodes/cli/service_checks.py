"""Database, clock, brokers and daemon, as `bbaj node check` and the doctor look at them."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import msgspec

from exchange.amqp import ClientTls, probe
from exchange.amqp.connect import Target, connection
from exchange.signed_size import SIZE_FILE, SignedSize, SizeFile
from exchange.topology import read_local_queues, read_queues
from nodes.cli.moments import duration
from nodes.cli.registries import tree_at_hand
from nodes.cli.seen import Seen, fail, fault, ok, skipped, warn
from nodes.clock import now
from nodes.config import Config
from nodes.errors import ConfigurationFault
from nodes.passphrases import passphrase_of
from nodes.policies import open_retention
from nodes.said import Said
from nodes.wiring import child_keys, database_url, login_of
from schemas.addresses import dns_name
from schemas.errors import BbajError
from schemas.moments import DAY, SECOND, Instant, format_instant
from schemas.records import Position
from schemas.retention import buckets_ahead
from store.migrations import SCHEMA_VERSION
from store.postgres.position import check_database, load_position
from store.postgres.session import session
from store.upkeep import missing_partitions

HEALTH_S = 3.0


# ------------------------------------------------------------------ database and clock


async def check_record(config: Config) -> AsyncIterator[Seen]:
    """See that it answers, holds today's schema, belongs to this node, and has room for months."""
    name = Said("checks.database")
    try:
        async with session(database_url(config), "bbaj check") as opened:
            await check_database(opened)
            position, _ = await load_position(opened)
    except BbajError as error:
        yield fault(name, error)
        return
    if position.address != config.address:
        others = Said("checks.found.belongs", {"address": position.address})
        yield fail(name, others, Said("checks.advice.database-url"))
        return
    facts = {"version": SCHEMA_VERSION, "leaves": position.leaves}
    yield ok(name, Said("checks.found.database", facts))
    yield _check_journal(config, position)
    yield await _check_partitions(config, now())
    yield _check_clock(config, position.last_leaf_at)


def _check_journal(config: Config, position: Position) -> Seen:
    """See that the record has all that was signed: the size is kept beside it."""
    name = Said("checks.journal")
    try:
        signed = SizeFile(config.data / SIZE_FILE).read()
    except BbajError as error:
        return fault(name, error)
    here = SignedSize(position.epoch, position.leaves)
    facts = {"here": here.size, "epoch": here.epoch}
    if signed is None or signed <= here:
        return ok(name, Said("checks.found.journal", facts))
    facts |= {"signed": signed.size, "signed_epoch": signed.epoch}
    return fail(name, Said("checks.found.lost", facts), Said("checks.advice.lost"))


async def _check_partitions(config: Config, moment: Instant) -> Seen:
    """See that the buckets stand ready that this month and the next need."""
    try:
        policy = open_retention(config)
    except ConfigurationFault as error:
        return fault(Said("checks.retention"), error)
    url, name = database_url(config), Said("checks.partitions")
    for at, key, make in (
        (moment, "checks.found.this-month-lacks", fail),
        (moment + 31 * DAY, "checks.found.next-month-lacks", warn),
    ):
        missing = await missing_partitions(url, buckets_ahead(policy, at, 0))
        if missing:
            lacks = Said(key, {"buckets": ", ".join(missing)})
            return make(name, lacks, Said("checks.advice.partitions"))
    return ok(name, Said("checks.found.partitions"))


def _check_clock(config: Config, last_leaf_at: Instant) -> Seen:
    """See that the clock does not stand behind what this node has journaled."""
    moment, name = now(), Said("checks.clock")
    if last_leaf_at > moment + config.limits.time_window_ahead_us:
        behind = duration((last_leaf_at - moment) / SECOND)
        found = Said("checks.found.clock-behind", {"behind": behind})
        return fail(name, found, Said("checks.advice.set-clock"))
    return ok(name, Said("checks.found.clock", {"at": format_instant(moment)}))


# ------------------------------------------------------------------ brokers and daemon


async def check_broker(config: Config) -> AsyncIterator[Seen]:
    """Probe our own broker's virtual hosts as the daemon uses them."""
    broker = config.broker
    if broker is None:
        yield skipped(Said("checks.broker"), Said("checks.found.no-broker"))
        return
    children = child_keys((await tree_at_hand(config)).registry)
    hosts = {broker.vhost: read_queues(children)}
    if config.systems:
        hosts[broker.local_vhost] = read_local_queues(system.name for system in config.systems)
    for vhost, queues in hosts.items():
        name = Said("checks.broker-host", {"vhost": vhost})
        try:
            faults = await probe(url=broker.url, vhost=vhost, login=login_of(broker), queues=queues)
        except BbajError as error:
            yield fault(name, error)
            continue
        for each in faults:
            yield fail(name, each, Said("checks.advice.apply"))
        if not faults:
            yield ok(name, Said("checks.found.queues", {"count": len(queues)}))


async def check_daemon(config: Config) -> AsyncIterator[Seen]:
    """Ask the daemon for its links; where none runs, try the parent's broker ourselves.

    Not beside a running daemon: the parent's broker lets a child in so many times only.
    """
    name = Said("checks.daemon")
    if config.http.port == 0:
        yield skipped(name, Said("checks.found.no-port"))
        return
    health = await asyncio.to_thread(_ask_daemon, config)
    if health is not None:
        for each in _of_health(name, health):
            yield each
        return
    yield warn(name, Said("checks.found.does-not-run"), Said("checks.advice.start"))
    if config.parent is not None:
        for url in config.parent.urls:
            yield await _try_parent(config, url)


class _Health(msgspec.Struct):
    ready: bool
    links: dict[str, bool] = {}
    journal_lost: str | None = None


def _of_health(name: str, health: _Health) -> list[Seen]:
    """Return what a daemon says of itself."""
    if health.ready:
        seen = [ok(name, Said("checks.found.ready"))]
    else:
        seen = [warn(name, Said("checks.found.not-ready"), Said("checks.advice.its-log"))]
    if health.journal_lost is not None:
        seen.append(fail(Said("checks.journal"), health.journal_lost, Said("checks.advice.lost")))
    for peer, is_up in health.links.items():
        link = Said("checks.connection", {"peer": peer})
        if is_up:
            seen.append(ok(link, Said("checks.found.up")))
        else:
            seen.append(warn(link, Said("checks.found.down"), Said("checks.advice.daemon-log")))
    return seen


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


async def _try_parent(config: Config, url: str) -> Seen:
    """Connect to the parent's broker once, as the link does."""
    assert config.parent is not None
    parent = config.uplink
    assert parent is not None, "a node with a parent is not the root"
    folder, name = config.keys.folder, Said("checks.parent", {"parent": parent})
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
            return ok(name, Said("checks.found.lets-us-in", {"url": url}))
    except BbajError as error:
        return fault(name, error)
