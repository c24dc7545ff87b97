"""Keeps database and broker ready for the daemon: migrations, partitions ahead, a probe."""

from urllib.parse import urlsplit

from exchange.amqp import probe
from exchange.errors import TopologyFault
from exchange.topology import read_local_queues, read_queues
from nodes.clock import now
from nodes.config import Config
from nodes.policies import open_retention
from nodes.wiring import login_of, owner_url
from schemas.errors import Retryable
from schemas.retention import RetentionPolicy, buckets_ahead
from store.migrate import ensure_partitions, migrate

MONTHS_AHEAD = 4
"""Partitions stand ready for this month and so many more."""
ALARM_MONTHS_AHEAD = 1
"""One that is missing of this month and so many more is an alarm."""


async def prepare_database(config: Config, retention: RetentionPolicy | None = None) -> list[str]:
    """Migrate and make partitions as the owner; return what was done.

    `retention` is the policy in force, where that is not for the configuration to say any more.
    Does nothing where the configuration names no owner: then `bbaj store migrate` is run by hand.
    Raises StoreMisfit and StoreUnavailable, and ConfigurationFault for a bad policy.
    """
    owner = owner_url(config)
    if owner is None:
        return []
    daemon_role = urlsplit(config.database.url).username or ""
    done = await migrate(owner, daemon_role, config.address)
    ahead = buckets_ahead(retention or open_retention(config), now(), MONTHS_AHEAD)
    return done + await ensure_partitions(owner, ahead)


async def require_topology(config: Config) -> None:
    """Look whether our own broker has what systems and links stand on.

    Raises TopologyFault naming what is missing, and BrokerUnsupported. A broker that cannot be
    reached now is no fault: the links wait for it. So do they where a child's queues are missing:
    children come while the node runs, and their siblings must not feel it.
    """
    broker = config.broker
    if broker is None:
        return
    wanted = {
        broker.vhost: read_queues([]),
        broker.local_vhost: read_local_queues([each.name for each in config.systems]),
    }
    faults = []
    for vhost, queues in wanted.items():
        try:
            faults += await probe(
                url=broker.url, vhost=vhost, login=login_of(broker), queues=queues
            )
        except Retryable:
            return
    if faults:
        raise TopologyFault("; ".join(faults) + ": run `bbaj topology --apply`")
