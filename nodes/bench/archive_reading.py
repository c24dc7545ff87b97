"""How long readers of a record wait: first pages of lists, and one packet on paper."""

import os
import statistics
from itertools import islice
from time import perf_counter

import msgspec

from exchange.batch import Batch
from exchange.sealing import read_payload
from nodes import samples
from nodes.bench.archive_load import Loader
from nodes.bench.archive_rows import HERE, Country, documents
from nodes.bench.journal_rows import Writer
from nodes.clock import now
from nodes.printing.dossier import Opened
from nodes.printing.gather import gather
from nodes.printing.printout import make_printout
from nodes.printing.speaker import Speaker
from schemas.codes import Language
from schemas.documents.registry import ATTENDANCE_DAILY
from schemas.frame import cut
from schemas.limits import SALT_BYTES
from signing.payload import make_payload
from store.reading import Filters, Reading

SEARCHES = 400
SEARCH_WARM_UP = 20
SEARCH_ROUNDS = 5
FIRST_PAGE = 50
STRIDE = 7919
"""A prime, so that steps of it come everywhere."""
PRINTS = 5


class Waits(msgspec.Struct, frozen=True):
    """How long first pages took, in milliseconds: at the first time, or at the best of all."""

    median_ms: float
    p99_ms: float
    best_ms: float
    """The median of the best times: what slows down the others is the machine."""


def searches(packets: int) -> list[Filters]:
    """Return what is looked for: organisation, type and period of documents among the first.

    Every second one asks for an oblast with all below it, the others for one school.
    """
    known = [
        each
        for each in islice(documents(Country()), packets // 3)
        if each.type_ == ATTENDANCE_DAILY
    ]
    found = []
    for number in range(SEARCHES):
        document = known[(STRIDE * number) % len(known)]
        sender = document.sender
        root = ".".join(sender.split(".")[:2]) if number % 2 else sender
        found.append(Filters(sender_under=root, type_=ATTENDANCE_DAILY, period=document.period))
    return found


async def search(part_url: str, whole_url: str, wanted: list[Filters]) -> tuple[Waits, Waits]:
    """Fetch the first page of each in two records in turn, round after round.

    Whatever else the machine does meanwhile falls on both.
    """
    async with Reading(part_url) as part, Reading(whole_url) as whole:
        for filters in wanted[:SEARCH_WARM_UP]:
            await _search(part, filters)
            await _search(whole, filters)
        rounds = [
            [(await _search(part, each), await _search(whole, each)) for each in wanted]
            for _ in range(SEARCH_ROUNDS)
        ]
    in_part, in_whole = ([[pair[end] for pair in took] for took in rounds] for end in (0, 1))
    return _waits(in_part), _waits(in_whole)


def _waits(rounds: list[list[float]]) -> Waits:
    first, best = rounds[0], map(min, zip(*rounds, strict=True))
    p99 = statistics.quantiles(first, n=100, method="inclusive")[-1]
    return Waits(
        median_ms=round(statistics.median(first), 2),
        p99_ms=round(p99, 2),
        best_ms=round(statistics.median(best), 3),
    )


async def _search(desk: Reading, filters: Filters) -> float:
    """Return the milliseconds of a page; one without any packet is a fault of the bench."""
    began = perf_counter()
    page = await desk.list_packets(filters, limit=FIRST_PAGE)
    took_ms = (perf_counter() - began) * 1e3
    assert page.packets, f"nothing was found of {filters}"
    return took_ms


async def print_page(url: str, loader: Loader, writer: Writer) -> float:
    """Store one order as a daemon would; return the milliseconds that a page of its PDF takes.

    From its name to the bytes of the file, once the typesetter is loaded.
    """
    from nodes.printing.page import make_page  # noqa: PLC0415 - heavy, as what it is for
    from nodes.printing.paper import make_pdf  # noqa: PLC0415 - heavy

    name = await _store_order(loader, writer)
    took = []
    async with Reading(url) as desk:

        async def open_frame(frame: int) -> Opened:
            packet, _, bucket, sealed = await desk.stored_frame(frame)
            assert packet is not None, "only the order is opened, and it was stored"
            assert bucket is not None, "it has a payload"
            assert sealed is not None, "which is here"
            raw = packet.head + writer.at_rest.open(bucket, packet.frame_sha256, sealed)
            return Opened(raw, read_payload(cut(raw), None))

        for _ in range(1 + PRINTS):
            began = perf_counter()
            dossier = await gather(desk, name, HERE, open_frame, now())
            _, sheets = make_pdf(make_page(make_printout(dossier, Speaker(Language.KK))))
            took.append((perf_counter() - began) * 1e3 / sheets)
    return round(statistics.median(took[1:]), 1)


async def _store_order(loader: Loader, writer: Writer) -> str:
    """Return the id of a packet with an order in it."""
    payload, coding = make_payload(samples.order(17, 1), os.urandom(SALT_BYTES))
    batch = Batch(loader.tails, now())
    writer.add_packet(batch, payload, coding)
    await loader.archive.commit(batch.changes)
    batch.adopt()
    return batch.changes.packets[-1].id
