"""Logs and metrics of the daemon, derived from what was committed. No personal data in either."""

import logging
import sys
from collections import Counter as Counts

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from nodes.config import Log
from schemas.leaves import LeafKind
from schemas.records import Changes

PACKET_KINDS = frozenset(
    {
        LeafKind.SENT,
        LeafKind.RELAYED,
        LeafKind.RECEIVED,
        LeafKind.RELEASED,
        LeafKind.CONFIRMED,
        LeafKind.CLOSED,
        LeafKind.OVERDUE,
        LeafKind.HELD,
        LeafKind.REFUSED,
    }
)


def configure_logs(log: Log) -> None:
    """Send structured lines to standard error; libraries only from warnings on."""
    level = logging.getLevelNamesMapping()[log.level.upper()]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
    # What they fail at is told by us, once and in our words.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    logging.getLogger("aio_pika").setLevel(logging.CRITICAL)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if log.json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


class Telemetry:
    """The node's Observer: one log line for what matters, a metric for everything."""

    def __init__(self, address: str) -> None:
        """Make the registry that `/metrics` serves."""
        self.registry = CollectorRegistry()
        self._log = structlog.get_logger("bbaj").bind(node=address)
        self._leaves = self._counter("bbaj_leaves", "Journal leaves written.", "kind")
        self._packets = self._counter("bbaj_packets", "Packets kept, by flow.", "flow")
        self._refused = self._counter("bbaj_refused", "Frames refused, by reason.", "reason")
        self._incidents = self._counter("bbaj_incidents", "Incidents opened, by kind.", "kind")
        self._bytes = Counter("bbaj_frame_bytes", "Bytes of frames kept.", registry=self.registry)
        self._commit = Histogram(
            "bbaj_group_seconds",
            "Time from taking a group of jobs to its commit and settlement.",
            registry=self.registry,
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
        )
        self.link_up = self._gauge("bbaj_link_up", "1 while the link to the neighbour is up.")
        self.waiting = Gauge(
            "bbaj_stream_waiting",
            "Entries beyond the neighbour's cursor.",
            ["stream"],
            registry=self.registry,
        )
        self.strangers = self._counter(
            "bbaj_strangers_refused", "Attempts that our broker did not let in, by reason.", "what"
        )
        self.strangers_seen = Gauge(
            "bbaj_strangers_seen",
            "1 while our broker's log tells us whom it does not let in.",
            registry=self.registry,
        )
        self._timestamp_age = Gauge(
            "bbaj_timestamp_age_seconds",
            "How long signed checkpoints have waited for the authority's time-stamp.",
            ["authority"],
            registry=self.registry,
        )
        self._outside_missing = Gauge(
            "bbaj_timestamp_outside_missing",
            "1 where a republic's node has no time-stamp authority from outside.",
            registry=self.registry,
        )
        self.open_exchanges = Gauge(
            "bbaj_open_exchanges", "Packets that wait for an answer.", registry=self.registry
        )
        self.held = Gauge("bbaj_held_frames", "Frames not judged yet.", registry=self.registry)
        self.journal = Gauge("bbaj_journal_leaves", "Size of the journal.", registry=self.registry)
        self.clock_doubted = Gauge(
            "bbaj_clock_doubted",
            "1 while our clock disagrees with the parent's.",
            registry=self.registry,
        )

        self.journal_lost = Gauge(
            "bbaj_journal_lost",
            "1 while the record lacks leaves that were signed: nothing is sealed or judged.",
            registry=self.registry,
        )
        self.own_key_ended = Gauge(
            "bbaj_own_key_ended",
            "1 while our packet key has ended and is not renewed.",
            registry=self.registry,
        )

        self.witness_lag = Gauge(
            "bbaj_witness_lag_leaves",
            "Leaves of the newest checkpoint that too few witnesses have cosigned.",
            registry=self.registry,
        )
        self.witness_age = Gauge(
            "bbaj_witness_age_seconds",
            "Age of the oldest checkpoint that too few witnesses have cosigned; 0: none is.",
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, [label], registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["neighbour"], registry=self.registry)

    def timestamp_waited(self, authority: str, waited_s: float) -> None:
        """Take note how long checkpoints have waited for an authority's time-stamp."""
        self._timestamp_age.labels(authority).set(waited_s)

    def outside_missing(self, *, missing: bool) -> None:
        """Take note whether policy asks for an authority from outside that is not configured."""
        self._outside_missing.set(missing)

    def committed(self, changes: Changes, took_us: int) -> None:
        """Count what a commit made durable."""
        for kind, count in Counts(leaf.kind for leaf in changes.leaves).items():
            self._leaves.labels(kind).inc(count)
        for flow, count in Counts(packet.flow for packet in changes.packets).items():
            self._packets.labels(flow).inc(count)
        self._bytes.inc(sum(packet.size for packet in changes.packets))
        for row in changes.quarantine:
            if row.state == "refused":
                self._refused.labels(row.reason).inc()
                self.noticed(
                    "frame_refused",
                    level="warning",
                    reason=row.reason,
                    detail=row.detail,
                    neighbour=row.neighbour,
                    frame=row.frame,
                )
        for incident in changes.incidents:
            self._incidents.labels(incident.kind).inc()
            self.noticed(
                "incident_opened",
                level="warning",
                kind=incident.kind,
                neighbour=incident.neighbour,
                detail=incident.detail,
            )
        self._commit.observe(max(0, took_us) / 1e6)

    def noticed(self, event: str, *, level: str = "info", **facts: object) -> None:
        """Write one log line."""
        self._log.log(logging.getLevelNamesMapping()[level.upper()], event, **facts)
