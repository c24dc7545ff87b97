"""Prints one packet of each type in three languages, at the nodes that received them."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from nodes.cli.opening import reading
from nodes.cli.printouts import find, typeset
from nodes.config import load_config
from nodes.demo.commands import bbaj
from nodes.demo.messages import Plan
from nodes.demo.places import DISTRICT, FLOWS, LEAF
from nodes.errors import ServiceDown
from nodes.printing.dossier import Dossier
from nodes.printing.printout import make_printout
from nodes.printing.speaker import Speaker
from schemas.answers import CLOSING, PING, RECEIPT
from schemas.codes import Language
from schemas.documents.registry import NOTICE_RETURNED, TYPES
from store.reading import Filters

AT_ONCE = 2
EXPECTED = frozenset({*(flow.type for flow in FLOWS), NOTICE_RETURNED, RECEIPT, CLOSING, PING})
"""Types of which the demo has sent a packet; there may be others."""


async def print_demo(plan: Plan) -> tuple[dict[str, Any], list[str]]:
    """Print into the demo's folder `print`; return figures for the summary, and findings."""
    with contextlib.suppress(ServiceDown):  # then its packet is missed below
        await bbaj("ping", DISTRICT, "--wait=30", "--config", plan.stores[LEAF])
    began = time.monotonic()
    pages = await print_each(plan.stores, Path(plan.folder) / "print")
    missed = sorted(EXPECTED - pages.keys())
    figures = {
        "types": len(pages),
        "pages": sum(sum(each) for each in pages.values()),
        "took_s": round(time.monotonic() - began, 1),
    }
    return figures, [f"no packet of {name} was there to print" for name in missed]


async def print_each(stores: Mapping[str, str], folder: Path) -> dict[str, list[int]]:
    """Print a packet of each type in each language; return their pages by type.

    `stores` has the configurations of nodes by address, as a plan has them.
    """
    return await asyncio.to_thread(_print_all, await _one_of_each(stores), folder)


async def _one_of_each(stores: Mapping[str, str]) -> dict[str, Dossier]:
    """Return a packet of each type that some node has received for itself, by type."""
    found: dict[str, Dossier] = {}
    for address, path in stores.items():
        config = load_config(Path(path))
        async with reading(config) as desk:
            for name in TYPES.keys() - found.keys():
                page = await desk.list_packets(Filters(type_=name, recipient=address), limit=1)
                for line in page.packets:
                    found[name] = await find(config, str(line.packet.frame))
    return found


def _print_all(dossiers: Mapping[str, Dossier], folder: Path) -> dict[str, list[int]]:
    """Set every packet in every language, two at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as pool:
        jobs = {
            name: [
                pool.submit(_print_one, dossier, language, folder / file_name(name, language))
                for language in Language
            ]
            for name, dossier in sorted(dossiers.items())
        }
        return {name: [job.result() for job in each] for name, each in jobs.items()}


def file_name(type_name: str, language: Language) -> str:
    """Return what the print of a type is called."""
    return f"{type_name.replace('/', '-')}.{language}.pdf"


def _print_one(dossier: Dossier, language: Language, file: Path) -> int:
    data, pages = typeset(make_printout(dossier, Speaker(language)), as_pdf=True)
    file.write_bytes(data)
    assert pages is not None, "a PDF has pages"
    return pages
