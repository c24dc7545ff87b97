"""One packet of 2026 is proven in 2056: keys, an authority, an algorithm and a hash ended between.

A district and the oblast above it run briefly once a year, over real records and a link in memory,
with the clock moved. The oblast holds the authority of both on line, and cosigns. Each year both
renew their keys, hear new CRLs, and what is new in the district's journal is cosigned and stamped;
in the end the folder is cut from the district's record alone.

    year  0       the packet, its receipt and closing; stamped by `first`, whose key is RSA-2048
    years 1 to 30 new keys for both nodes, asked for on line
    year  9       the root gives the authority its next certificate, and again in 18 and 27
    year 12       `second` stamps from now on; its first token covers the leaves of the other's
    year 14       RSA-2048 is broken: the policy ends it; in 15 its certificate ends too
    year 21       the policy is going to end SHA-256: `bbaj journal renew` has a second log stamped
    year 23       SHA-256 has ended
    year 30       the folder is written, and judged

The root has no successor in this network and lives for 31 years, not 25: a folder's seal is judged
on the day of the export. Its packet of year 0 needs no living root. All else has the life of its
profile. ECDSA with SHA-256 goes on: the table names it by itself, and packets know nothing else.
"""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from harness.forging import details, failing
from harness.long_life import HERE, PARENT, YEAR, Office
from harness.service_node import private_server
from harness.stock import run_all
from nodes.evidence.case import Terms
from nodes.evidence.reading import read_folder
from nodes.evidence.verify import verify
from nodes.evidence.write import write_evidence
from nodes.sandbox.timestamp_authority import ROOT_LIFE_US, TimestampAuthority
from schemas.limits import Limits
from schemas.moments import DAY, HOUR, format_instant, parse_instant
from signing.algorithms import TREE
from signing.keys import load_certificate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LAST = 30
NEXT_AUTHORITY = {9, 18, 27}
SECOND_SINCE, RSA_ENDS, FIRST_ENDS, HASH_RENEWED, HASH_ENDS = 12, 14, 15, 21, 23
FIRST, SECOND = "first", "second"
OTHER = Path(__file__).resolve().parents[2] / "deploy/verify/verify_evidence.py"


@pytest.fixture
async def office(tmp_path):
    async with private_server() as server:
        office = Office(tmp_path, LAST)
        await office.set_up(server)
        yield office


@pytest.fixture
def serving(office):
    """Return what lets a time-stamp authority serve, from a year on."""
    with ExitStack() as stack:

        def serve(name, year, **how):
            since = office.began + year * YEAR - DAY
            made = TimestampAuthority(office.folder / name, name, since=since, **how)
            return stack.enter_context(made.serving())

        yield serve


def judge(office, folder):
    """Return our verdict about a folder, on the terms of this year."""
    terms = Terms(
        root=load_certificate(office.root_path),
        policy=office.policy,
        now=office.now(),
        limits=Limits(),
    )
    return verify(read_folder(folder), terms)


def ask_the_other(office, folder):
    """Return what the second verifier says on the same terms."""
    done = subprocess.run(
        [
            *(sys.executable, "-I", str(OTHER), "--json", "--at", format_instant(office.now())),
            *("--root", str(office.root_path), "--policy", str(office.table), str(folder)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in {0, 1}, done.stderr
    return json.loads(done.stdout)


async def exchange(office):
    """Have a packet sent, received, closed; return its id."""
    (packet,) = await office.child.drop(PARENT, [1])
    await office.child.until(HERE, packet, "confirmed")
    await office.parent.until(HERE, packet, "closed")
    return packet


def without_second(dossier):
    """Return what would be there had nobody but the first authority stamped checkpoints."""
    return msgspec.structs.replace(
        dossier,
        checkpoints=[
            msgspec.structs.replace(
                each, stamps=[stamp for stamp in each.stamps if stamp.authority == FIRST]
            )
            for each in dossier.checkpoints
        ],
    )


async def live_through(office, first, serving):
    """Let thirty years go by; return the packet of the first."""
    async with office.living():
        packet = await exchange(office)
        await office.until_cosigned()
        async with office.stamping(first):
            await office.until_stamped(first)
    asked = first
    for office.year in range(1, LAST + 1):
        if office.year in NEXT_AUTHORITY:
            office.replace_authority()
        if office.year == SECOND_SINCE:
            asked = serving(SECOND, SECOND_SINCE, life_us=ROOT_LIFE_US)
        if office.year == RSA_ENDS:
            office.ends["rsa-2048"] = RSA_ENDS
        if office.year == HASH_RENEWED:
            office.ends[TREE] = HASH_ENDS
        before = office.packet_keys()
        async with office.living():
            await office.until_renewed(before)
            await office.until_cosigned()
            async with office.stamping(asked):
                await office.until_stamped(asked)
                if office.year == HASH_RENEWED:
                    assert await office.renew_hash() == ["sha-256", "sha-512"]
    return packet


def compare(office, folder):
    """Return our verdict, once the second verifier has said the same."""
    ours, other = judge(office, folder), ask_the_other(office, folder)
    faults = {each["check"] for each in other["checks"] if each["result"] == "fails"}
    assert (ours.holds, failing(ours)) == (other["holds"], faults), details(ours)
    assert (ours.existed, ours.existed_by) == (other["existed"], other["existed_by"])
    return ours


async def test_a_packet_is_proven_after_thirty_years(office, serving):
    """By its folder alone, for two verifiers and stock tools; and not without what renewed it."""
    first = serving(FIRST, 0, life_us=FIRST_ENDS * YEAR, rsa_bits=2048)
    packet = await live_through(office, first, serving)
    dossier = await office.gather(packet)
    whole, unrenewed, alone = (office.folder / name for name in ("whole", "unrenewed", "alone"))
    write_evidence(dossier, whole)
    write_evidence(without_second(dossier), unrenewed)
    write_evidence(msgspec.structs.replace(dossier, renewals=[]), alone)

    verdict = compare(office, whole)
    assert verdict.holds, details(verdict)
    assert (verdict.packet, verdict.existed_by) == (packet, "time-stamp")
    assert 0 <= parse_instant(verdict.existed) - office.began < HOUR
    stock = run_all(whole)
    assert stock.stdout.endswith("evidence: holds\n"), stock.stderr
    first_key, last_key = whole / "signer.pem", whole / "exporter" / "signer.pem"
    assert first_key.read_bytes() != last_key.read_bytes()

    verdict = compare(office, alone)
    assert not verdict.holds
    assert "proof" in failing(verdict)
    assert f"{TREE} is not allowed any more, and no second log has renewed it" in details(verdict)

    verdict = compare(office, unrenewed)
    assert not verdict.holds
    assert "stamp" in failing(verdict)
    assert "its chain ended" in details(verdict)
    office.year = RSA_ENDS  # that certificate still lives
    verdict = compare(office, unrenewed)
    assert not verdict.holds
    assert "rsa-2048 was not allowed" in details(verdict)
