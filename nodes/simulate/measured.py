"""What one exchange costs at each node on its way: measured by `bbaj bench costs`, never guessed.

`measured.json` holds the last measurement as the bench printed it, with its day and its machine.
An exchange is a packet, its receipt and its closing.
"""

from importlib.resources import files
from typing import Literal

import msgspec

Place = Literal["sender", "relay", "recipient"]
ANSWER_TYPES = ("receipt/1", "closing/1")


class Processor(msgspec.Struct, frozen=True, gc=False):
    """Processor time in microseconds, by program."""

    daemon: float
    database: float
    broker: float

    @property
    def total(self) -> float:
        """All three together."""
        return self.daemon + self.database + self.broker

    def __add__(self, other: "Processor") -> "Processor":
        """Return both, program by program."""
        return Processor(
            self.daemon + other.daemon, self.database + other.database, self.broker + other.broker
        )

    def __sub__(self, other: "Processor") -> "Processor":
        """Return what is more than `other`; never less than nothing, which no program uses."""
        return Processor(
            max(0.0, self.daemon - other.daemon),
            max(0.0, self.database - other.database),
            max(0.0, self.broker - other.broker),
        )

    def __truediv__(self, count: float) -> "Processor":
        """Return an even share."""
        return Processor(self.daemon / count, self.database / count, self.broker / count)

    def rounded(self) -> "Processor":
        """Return it to a tenth."""
        return Processor(round(self.daemon, 1), round(self.database, 1), round(self.broker, 1))


class PlaceCosts(msgspec.Struct, frozen=True):
    """What a node bears at one place on the way."""

    burst_us: Processor
    """For an exchange among many, which share commits, bundles and notes."""
    alone_us: Processor
    """For an exchange that comes alone, checkpoints and cosignatures included."""
    idle_us_per_s: Processor
    """For each second in which nothing comes."""
    resident_mb: Processor
    """Memory after the measurement, in megabytes; shared pages of the database count once each."""
    stored_bytes: float
    """In the database for an exchange, less its payload."""
    stored_factor: float
    """In the database for each byte of payload as it travels."""


class LineCosts(msgspec.Struct, frozen=True):
    """What goes over a child's line with TLS and AMQP, in bytes, both directions together."""

    idle_bytes_per_s: float
    alone_bytes: float
    """For an exchange that comes alone, less its three frames."""
    burst_bytes: float
    """For an exchange among many, less its three frames."""
    greeting_bytes: float
    """For a connection that begins: TLS, AMQP and both hellos."""


class Waits(msgspec.Struct, frozen=True):
    """Time by the clock on lines without delay, in milliseconds, one exchange at a time."""

    one_hop_ms: float
    """From the drop to delivered between neighbours: three commits, two messages."""
    two_hops_ms: float
    """The same with a relay between: five commits, four messages."""


class Measured(msgspec.Struct, frozen=True):
    """One measurement, as `bbaj bench costs --json` prints it."""

    day: str
    machine: str
    exchanges: int
    """In each burst."""
    places: dict[Place, PlaceCosts]
    line: LineCosts
    waits: Waits
    greeting_us: Processor
    """At the parent, for a connection of a child that begins."""
    frame_bytes: dict[str, int]
    """By packet type: the median frame of made-up documents, sealed; answers too."""


def load() -> Measured:
    """Return the measurement that this version stands on."""
    raw = files("nodes.simulate").joinpath("measured.json").read_bytes()
    return msgspec.json.decode(raw, type=Measured)
