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
        self._rebuilt = self._counter(
            "bbaj_rebuilt_entries",
            "Entries asked back of neighbours, by what came of them.",
            "what",
        )
        self._again = self._counter(
            "bbaj_entries_again", "Entries that came again once they had been taken.", "neighbour"
        )
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

        self._database_bytes = self._plain("bbaj_database_bytes", "Size of the database.")
        self._free_bytes = self._plain(
            "bbaj_disk_free_bytes", "Room that the database has; NaN where nobody knows."
        )
        self._days_left = self._plain(
            "bbaj_disk_days_left",
            "Days until the disk is full at the growth of these weeks; NaN where it does not grow.",
        )
        self.partitions_missing = self._plain(
            "bbaj_partitions_missing", "Partitions that this and the next month need and lack."
        )
        self.backup_age = self._plain(
            "bbaj_backup_age_seconds", "Age of the last backup that was restored and verified."
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

        self._reports_expected = self._by_type(
            "bbaj_reports_expected", "Reports expected for the last period whose deadline is over."
        )
        self._reports_missing = self._by_type(
            "bbaj_reports_missing", "Those of them that have not come."
        )
        self._reports_on_time = self._by_type(
            "bbaj_reports_on_time_share", "The share of them that came by their deadline."
        )

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, [label], registry=self.registry)

    def _by_type(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["type", "period"], registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["neighbour"], registry=self.registry)

    def reports_counted(
        self, type_: str, period: str, expected: int, received: int, on_time: int
    ) -> None:
        """Take note of how many reports of a period came; there was at least one to come."""
        self._reports_expected.labels(type_, period).set(expected)
        self._reports_missing.labels(type_, period).set(expected - received)
        self._reports_on_time.labels(type_, period).set(on_time / expected)

    def _plain(self, name: str, text: str) -> Gauge:
        """Return a gauge without labels; NaN until it is known."""
        gauge = Gauge(name, text, registry=self.registry)
        gauge.set(float("nan"))
        return gauge

    def room(self, used: int, free: int | None, days: int | None) -> None:
        """Take note of the disk."""
        self._database_bytes.set(used)
        self._free_bytes.set(float("nan") if free is None else free)
        self._days_left.set(float("nan") if days is None else days)

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
        for page in changes.rebuilt:
            missing = page.last - page.first + 1 - page.kept - page.objects
            for what, count in (("kept", page.kept), ("other", page.objects), ("missing", missing)):
                self._rebuilt.labels(what).inc(count)
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

    def came_again(self, neighbour: str, entries: int) -> None:
        """Count what came once it had been taken."""
        self._again.labels(neighbour).inc(entries)

    def noticed(self, event: str, *, level: str = "info", **facts: object) -> None:
        """Write one log line."""
        self._log.log(logging.getLevelNamesMapping()[level.upper()], event, **facts)
