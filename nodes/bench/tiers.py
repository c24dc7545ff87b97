"""`bbaj bench tiers`: five tiers up, idle; a school's files on their way to the republic.

    SCHOOL --> DISTRICT --> CITY --> OBLAST --> REPUBLIC, and the receipt all the way back

All five nodes are real daemons with databases, TLS and all checks; they share one broker. One
document at a time is dropped, so nothing waits for another; what counts is the time from the drop
to the journal's `confirmed`. Contents are random: nothing compresses.
"""

import os
import statistics
from hashlib import sha256

import msgspec

from nodes.bench.archive_load import Progress
from nodes.bench.leaf_door import LeafDoor, Letter, judge_closed
from nodes.bench.running import running
from nodes.bench.spent import Meter
from nodes.sandbox.network import NodeSpec
from schemas.documents.registry import DOCUMENT_FILE
from schemas.limits import PAYLOAD_BYTES_MAX

TIERS = {
    "kz": "republic",
    "kz.zhambyl": "oblast",
    "kz.zhambyl.taraz": "city",
    "kz.zhambyl.taraz.auliyeata": "district",
    "kz.zhambyl.taraz.auliyeata.school-7": "school",
}
REPUBLIC, *_, DISTRICT, SCHOOL = TIERS
AUTHORITIES = [REPUBLIC, "kz.zhambyl"]
KB = 1000
MIX = {2 * KB: 300, 10 * KB: 600, 100 * KB: 90, 2000 * KB: 9, 10_000 * KB: 1}
"""Bytes of a document, and how many of a thousand have so many."""
SECTION = "S06"
WARM_UP = 10


class TiersResult(msgspec.Struct, frozen=True):
    """What `--json` prints; times from the drop to delivered, in milliseconds."""

    packets: int
    median_ms: float
    p99_ms: float
    longest_ms: float
    median_ms_by_bytes: dict[str, float]
    left_out_bytes: list[int]
    """Classes of the mix that are larger than a packet may be; the others take their share."""
    cpu_ms: dict[str, float]
    """Processor time of each service for one exchange."""


async def run_tiers(*, packets: int, on_progress: Progress) -> TiersResult:
    """Measure one packet at a time. Raises JudgementFailed where one does not come to its end."""
    sizes = mix(packets)
    specs = [NodeSpec(address, tier=tier) for address, tier in TIERS.items()]
    served = [address for address in TIERS if address != SCHOOL]
    async with running(specs, served=served, authorities=AUTHORITIES) as services:
        async with LeafDoor(services.network.nodes[SCHOOL].config()) as door:
            for size in sizes[:WARM_UP]:
                await door.delivered_ms(await door.drop(_file(size)))
            meter = Meter(services.services())
            times = []
            for number, size in enumerate(sizes, 1):
                times.append(await door.delivered_ms(await door.drop(_file(size))))
                on_progress("packets", number, packets)
            spent = meter.spent_s()
        await judge_closed(services, list(TIERS), min(WARM_UP, packets) + packets)
    measured = list(zip(sizes, times, strict=True))
    return TiersResult(
        packets=packets,
        median_ms=round(statistics.median(times), 1),
        p99_ms=round(sorted(times)[int(0.99 * (packets - 1))], 1),
        longest_ms=round(max(times), 1),
        median_ms_by_bytes={
            str(size): round(statistics.median(ms for of, ms in measured if of == size), 1)
            for size in sorted(set(sizes))
        },
        left_out_bytes=[size for size in MIX if size >= PAYLOAD_BYTES_MAX],
        cpu_ms={name: round(1000 * each / packets, 2) for name, each in spent.items()},
    )


def mix(packets: int) -> list[int]:
    """Return the sizes of so many documents in their shares, in an order that tells nothing."""
    shares = {size: share for size, share in MIX.items() if size < PAYLOAD_BYTES_MAX}
    whole = sum(shares.values())
    sizes: list[int] = []
    reached = 0
    for size, share in shares.items():
        reached += share
        sizes += [size] * (round(packets * reached / whole) - len(sizes))
    order = sorted(range(packets), key=lambda place: sha256(place.to_bytes(8)).digest())
    return [sizes[place] for place in order]


def _file(size: int) -> Letter:
    return Letter(DOCUMENT_FILE, REPUBLIC, os.urandom(size), SECTION)
