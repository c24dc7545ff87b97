"""Rights of people at a real node: who may, who may not, and what is kept of each attempt."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.cli_run import Done, bbaj
from harness.network import private_network
from nodes.accesses import WAITING_FILE
from nodes.cli.registry_shapes import AccessLine, ChildDone
from nodes.cli.shapes import Failure
from nodes.rights import login_name
from nodes.sandbox.network import NodeSpec, PrivateNetwork
from nodes.wiring import database_url
from schemas.leaves import read_leaf
from store.reading import Reading

pytestmark = pytest.mark.slow

TOP, BELOW = "kz", "kz.akmola"
PATIENCE_S = 20.0
POLICY = """
[act]
name = "On operators of the exchange"
number = "17-b"
date = "2026-09-01"

[users]
{login} = "{role}"
"""


class Office:
    """The top node, run under a policy, and commands of people with any role."""

    def __init__(self, network: PrivateNetwork) -> None:
        self.network = network
        self.node = network.nodes[TOP]
        self.policy = self.node.folder / "rights.toml"
        self.give("operator")
        text = self.node.config_path.read_text(encoding="utf-8")
        self.node.config_path.write_text(f'{text}\n[rights]\npolicy = "rights.toml"\n')

    def give(self, role: str) -> None:
        """Let the policy give us a role."""
        self.policy.write_text(POLICY.format(login=login_name(), role=role), encoding="utf-8")

    async def __call__(
        self, *words: str, role: str | None = None, path: Path | None = None
    ) -> Done:
        if role is not None:
            self.give(role)
        return await bbaj(*words, config=path or self.node.config_path)

    async def accesses(self) -> list[AccessLine]:
        return (await self("access", "list", "--json", role="viewer")).shape(list[AccessLine])

    async def leaves(self, kind: str, **facts: str) -> list[dict[str, str]]:
        """Wait for leaves of a kind that say so; return them."""
        query = "SELECT record FROM leaf WHERE kind = $1 ORDER BY index"
        async with (
            Reading(database_url(self.node.config())) as desk,
            asyncio.timeout(PATIENCE_S),
        ):
            while True:
                found = [read_leaf(row["record"]) for row in await desk._rows(query, kind)]
                fitting = [leaf for leaf in found if facts.items() <= leaf.items()]
                if fitting:
                    return fitting
                await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
async def office() -> AsyncIterator[Office]:
    async with private_network([NodeSpec(TOP), NodeSpec(BELOW)]) as network:
        office = Office(network)
        await network.start(TOP, BELOW)
        yield office


async def test_who_may_not_is_told_who_may(office):
    """A viewer's attempt to suspend ends with its own code, changes nothing, and is kept."""
    refused = await office("child", "suspend", BELOW, "--json", role="viewer")
    assert refused.code == 81
    failure = Done(0, refused.err.encode(), "").read(Failure)
    assert failure.name == "not-permitted"
    assert "is for operator and approver and authority, you are viewer" in failure.errors[0]
    newest = (await office.accesses())[1]
    assert (newest.what, newest.allowed) == ("child suspend", False)
    [leaf, *_] = await office.leaves("operator", verdict="refused", what="command")
    assert leaf["detail"] == "not permitted: child suspend"
    assert leaf["who"] == newest.who


async def test_who_may_is_kept_under_a_pseudonym(office):
    """An operator's command is done; log and journal name a pseudonym, and no login."""
    done = (await office("child", "suspend", BELOW, "--json", role="operator")).shape(ChildDone)
    assert done.standing == "suspended"
    newest = (await office.accesses())[1]
    assert (newest.what, newest.allowed) == ("child suspend", True)
    assert re.fullmatch(r"op-[0-9a-f]{16}", newest.who)
    [leaf] = await office.leaves("operator", id=done.instruction)
    assert (leaf["who"], leaf["what"], leaf["verdict"]) == (newest.who, "suspend", "done")
    back = await office("child", "reinstate", BELOW, role="approver")
    assert back.code == 0


async def test_looking_is_kept_too_and_is_no_leaf(office):
    """A use that changes nothing stands in the log alone."""
    await office("incidents", role="viewer")
    assert (await office.accesses())[1].what == "incidents"
    leaves = await office.leaves("operator")
    assert all("incidents" not in leaf.get("detail", "") for leaf in leaves)


async def test_what_is_no_instruction_becomes_a_leaf_too(office):
    """An administrative command that works by itself is journaled by the daemon."""
    lifted = await office("link", "lift", BELOW, "--why", "a test", role="approver")
    assert lifted.code == 0
    [leaf, *_] = await office.leaves("operator", detail="link lift")
    assert (leaf["what"], leaf["verdict"]) == ("command", "done")


async def test_a_policy_is_journaled_when_it_changes(office):
    """Each policy that the daemon meets becomes a leaf with the digests of its bytes."""
    office.give("authority")
    with office.policy.open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    raw = office.policy.read_bytes()
    [leaf] = await office.leaves("policy", sha256=hashlib.sha256(raw).hexdigest())
    assert leaf["sha512"] == hashlib.sha512(raw).hexdigest()
    assert leaf["name"] == "rights.toml"


async def test_without_a_good_policy_nobody_does_anything(office):
    """A policy that cannot be read closes every command, and says what is wrong with it."""
    office.policy.write_text("[users]\n", encoding="utf-8")
    refused = await office("list")
    assert refused.code == 78
    assert "rights.policy" in refused.err


async def test_a_use_waits_for_a_database_that_is_away(office):
    """What cannot be recorded now is kept in a file, and brought by the next command."""
    text = office.node.config_path.read_text(encoding="utf-8")
    path = office.node.folder / "away.toml"
    path.write_text(re.sub(r"@127\.0\.0\.1:[0-9]+/", "@127.0.0.1:1/", text), encoding="utf-8")
    away = await office("overdue", role="viewer", path=path)
    assert away.code == 69
    waiting = office.node.config().data / WAITING_FILE
    assert b'"overdue"' in waiting.read_bytes()
    assert [each.what for each in await office.accesses()][:2] == ["access list", "overdue"]
    assert waiting.read_bytes() == b""


async def test_the_login_stands_nowhere_in_the_record(office):
    """Neither the log of uses, nor instructions, nor leaves hold who somebody is."""
    await office.accesses()
    login = login_name()
    query = """
        SELECT count(*) FROM (
            SELECT who AS text FROM access UNION ALL SELECT who FROM instruction
            UNION ALL SELECT convert_from(record, 'UTF8') FROM leaf WHERE kind = 'operator'
        ) AS kept WHERE text LIKE '%' || $1 || '%'
    """
    async with Reading(database_url(office.node.config())) as desk:
        assert await desk._value(query, login) == 0
        assert await desk._value("SELECT count(*) FROM access WHERE who LIKE 'op-%'") > 0
