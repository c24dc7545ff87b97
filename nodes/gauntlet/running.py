"""Runs the gauntlet: each case on a connection of its own, and says what the neighbour withstood.

The party is a node's identity from its configuration: its keys, and the broker between it and the
neighbour. No database is opened and no daemon of that address may run: the party keeps its streams
in memory, and takes the ends of its own from the neighbour's hello.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from exchange.amqp import LinkState
from exchange.sessions import Handler
from nodes.clock import now
from nodes.config import Config
from nodes.errors import ConfigurationFault, JudgementFailed
from nodes.gauntlet import bad_line, hostile
from nodes.gauntlet.field import Case, Chance, Field
from nodes.gauntlet.party import Party
from nodes.gauntlet.speaker import Connect
from nodes.wiring import load_crls, open_keys, open_trust, own_endpoint, parent_endpoint
from schemas.addresses import label_of, parent_of

CASES: dict[str, Case] = {
    "lose": bad_line.lose,
    "repeat": bad_line.repeat,
    "reorder": bad_line.reorder,
    "damage": bad_line.damage,
    "withhold": bad_line.withhold,
    "hang-up": bad_line.hang_up,
    "restore": bad_line.restore,
    "flood": bad_line.flood,
    "bad-packets": hostile.bad_packets,
    "bad-objects": hostile.bad_objects,
}
SUSPENDING: dict[str, Case] = {"fork": hostile.fork}
"""After these the neighbour's operator must lift a suspension: last, and only where asked for."""


MILLISECOND = 1000
"""In microseconds. Numbers of packets begin at the clock's: a run needs fewer than it lasts."""


class CaseResult(msgspec.Struct, frozen=True):
    """What came of one case."""

    name: str
    thrown: int
    """Messages, packets or cuts; what counts is the case's own."""
    seconds: float
    fault: str
    """What the neighbour did against the rules; empty where it withstood."""


class GauntletResult(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    address: str
    neighbour: str
    seed: int
    cases: list[CaseResult]
    withstood: bool


def open_party(config: Config, neighbour: str) -> Party:
    """Return the party of a configuration. Raises KeyFileError and ConfigurationFault."""
    trust = open_trust(config)
    for der in load_crls(config):
        trust.add_crl(der)
    return Party(
        config.address,
        neighbour,
        signer=open_keys(config).packet_signer(),
        trust=trust,
        connect=_connecting(config, neighbour),
        first_seq=now() // MILLISECOND,
    )


def _connecting(config: Config, neighbour: str) -> Connect:
    """Return what keeps up the link to the parent, or to a child at our own broker."""
    if neighbour == config.uplink:

        async def call(handler: Handler) -> None:
            endpoint = parent_endpoint(config)
            assert endpoint is not None, "who has an uplink has a parent"
            await endpoint.run(handler, _ignore)

        return call
    if parent_of(neighbour) == config.address and config.broker is not None:

        async def serve(handler: Handler) -> None:
            endpoint = own_endpoint(config)
            assert endpoint is not None, "who has a broker has its endpoint"
            await endpoint.run({label_of(neighbour): handler}, _no_dead, _ignore)

        return serve
    fault = f"{neighbour} is neither the parent of {config.address} nor a child at its own broker"
    raise ConfigurationFault([fault])


def _ignore(_: LinkState) -> None:
    """Cases cut connections themselves."""


async def _no_dead(body: bytes, _headers: object) -> None:
    raise JudgementFailed(f"a message of {len(body)} bytes was delivered too often: not settled")


async def run_gauntlet(
    party: Party,
    names: Sequence[str],
    *,
    seed: int,
    patience_s: float,
    on_progress: Callable[[str, int, int], None],
) -> GauntletResult:
    """Run cases by name, in this order; a fault in one does not keep the next from running."""
    known = CASES | SUSPENDING
    results = []
    for number, name in enumerate(names):
        on_progress("cases", number, len(names))
        field = Field(party, patience_s, Chance(seed))
        results.append(await _run_case(name, known[name], field))
    await party.stop()
    on_progress("cases", len(names), len(names))
    withstood = not any(each.fault for each in results)
    return GauntletResult(party.address, party.neighbour, seed, results, withstood)


async def _run_case(name: str, case: Case, field: Field) -> CaseResult:
    began = time.monotonic()
    thrown, fault = 0, ""
    try:
        with field.waiting("no greeting"):
            await field.party.begin()
        field.party.forget()
        thrown = await case(field)
        await field.quiet()
    except JudgementFailed as error:
        fault = str(error)
    return CaseResult(name, thrown, round(time.monotonic() - began, 1), fault)
