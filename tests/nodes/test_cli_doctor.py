"""The doctor on real nodes: all green on healthy ones, and the fault named on each broken one.

    kz ── kz.akmola ── kz.akmola.burabay

Each broken node is a copy of kz.akmola's configuration with one thing wrong; what is changed in
the broker or in a shared file is put right again.
"""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from harness.cli_run import bbaj
from harness.network import private_network
from harness.spoken import strangers
from nodes.cli.registry_shapes import Examination, Finding
from nodes.clock import now
from nodes.doctor import brokers
from nodes.doctor.findings import finding_of
from nodes.rights import login_name
from nodes.sandbox.network import NodeSpec, PrivateNetwork, database_name
from nodes.sandbox.timestamp_authority import TimestampAuthority
from nodes.texts import text
from schemas.addresses import dns_name
from schemas.codes import Language
from schemas.moments import DAY

pytestmark = pytest.mark.slow

TOP, HOME, CHILD = "kz", "kz.akmola", "kz.akmola.burabay"
POLICY = """
[act]
name = "On operators of the exchange"
number = "17-b"
date = "2026-09-01"

[users]
{login} = "authority"
"""


class Clinic:
    """The network, and a healthy configuration of each of its nodes."""

    def __init__(self, network: PrivateNetwork) -> None:
        self.network = network
        self.folder = network.folder / "clinic"
        self.folder.mkdir(mode=0o711)
        self.stamp = self.folder / "backup.stamp"
        self.stamp.touch()
        self.policy = self.folder / "rights.toml"
        self.policy.write_text(POLICY.format(login=login_name()), encoding="utf-8")
        self.broker = network._brokers[HOME]
        self.time = TimestampAuthority(self.folder / "time", "national")

    def healthy(self, address: str, change: Callable[[str], str] = str) -> Path:
        """Write a node's configuration with all that the doctor wants; return where."""
        node = self.network.nodes[address]
        text = node.config_path.read_text(encoding="utf-8")
        text = text.replace('password_file = "', f'password_file = "{node.folder}/')
        text = text.replace("port = 0", f"port = {node.http_port}")
        text += f'\n[rights]\npolicy = "{self.policy}"\n'
        text += f'\n[backup]\nstamp = "{self.stamp}"\n'
        if address == TOP:
            text += "\n".join(self.time.config_lines(outside=True)) + "\n"
        text += "\n[doctor]\nntp = false\nfree_bytes_least = 1048576\n"
        path = self.folder / f"{address}.toml"
        path.write_text(change(text), encoding="utf-8")
        return path

    async def examine(self, address: str, change: Callable[[str], str] = str) -> Examination:
        done = await bbaj("doctor", "--json", config=self.healthy(address, change))
        found = done.read(Examination)
        fails = [each.name for each in found.findings if each.state == "fail"]
        assert done.code == (1 if fails else 0), done.err
        return found

    async def broken(self, change: Callable[[str], str] = str) -> dict[str, Finding]:
        """Return what is not as it should be at a broken node."""
        found = await self.examine(HOME, change)
        assert not found.healthy
        return {each.name: each for each in found.findings if each.state != "ok"}

    def copy_of(self, folder: Path, name: str) -> Path:
        copy = self.folder / name
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        copy.chmod(0o700)
        return copy


@pytest.fixture(scope="module")
async def clinic() -> AsyncIterator[Clinic]:
    specs = [NodeSpec(TOP), NodeSpec(HOME), NodeSpec(CHILD)]
    async with private_network(specs) as network:
        for end, name in (("key", "key.pem"), ("pem", "cert.pem")):
            there = network.keys_of(TOP) / f"authority.{end}"
            shutil.copy(network.folder / "ca" / "authorities" / TOP / name, there)
            there.chmod(0o600)
        await network.start(*network.nodes)
        yield Clinic(network)


@pytest.mark.parametrize("address", [TOP, HOME, CHILD])
async def test_a_healthy_node_is_all_green(clinic, address):
    """Every finding at a node that runs as it should is ok, and says what was looked at."""
    found = await clinic.examine(address)
    assert [each for each in found.findings if each.state != "ok"] == []
    assert found.healthy
    assert {each.what_to_do for each in found.findings} == {None}


async def test_what_is_forbidden_is_tried_at_both_ends(clinic):
    """A child tries at its parent's broker; an authority tries as a child at its own."""
    at_home = {each.name: each for each in (await clinic.examine(HOME)).findings}
    assert "forbidden things tried, each refused" in at_home[f"rights at {TOP}"].found
    at_top = {each.name: each for each in (await clinic.examine(TOP)).findings}
    assert "forbidden things tried, each refused" in at_top[f"rights of {HOME}, tried"].found


@pytest.mark.parametrize("language", Language)
async def test_findings_are_spoken(clinic, language):
    """What was found at a real node stands in the table in the language spoken, all of it."""
    config = clinic.healthy(HOME)
    done = await bbaj("doctor", config=config, variables={"BBAJ_LANG": language})
    said = done.out.decode()
    assert done.code == 0, done.err
    for key in ("doctor.durable", "doctor.found.no-suspended", "checks.found.partitions"):
        assert text(key, language) in said
    kinds = ("checks.found", "doctor.found", "doctor.advice", "look")
    assert strangers(said, language, *kinds) == set()


# ------------------------------------------------------------------ nine broken ones


async def test_a_key_that_others_may_read(clinic):
    """1. Rights on files: a key that is not its owner's alone."""
    keys = clinic.network.keys_of(HOME)
    copy = clinic.copy_of(keys, "open-keys")
    (copy / "packet.key").chmod(0o644)
    found = await clinic.broken(
        lambda text: text.replace(f'folder = "{keys}"', f'folder = "{copy}"')
    )
    assert list(found) == ["rights on keys"]
    assert "packet.key" in found["rights on keys"].found
    assert "chmod 600" in found["rights on keys"].what_to_do


async def test_certificates_of_another_node(clinic):
    """2. Names: the files of another node in this one's folder."""
    keys = clinic.network.keys_of(HOME)
    copy = clinic.copy_of(keys, "other-names")
    for name in ("journal.key", "journal.pem"):
        shutil.copy(clinic.network.keys_of(CHILD) / name, copy / name)
    found = await clinic.broken(
        lambda text: text.replace(f'folder = "{keys}"', f'folder = "{copy}"')
    )
    assert found["names"].found == f"journal.pem names {CHILD}"
    assert found["names"].state == "fail"


async def test_a_revoked_certificate(clinic):
    """3. Chains: a certificate that its authority has revoked."""
    network = clinic.network
    ours = clinic.copy_of(network.folder / "ca", "ca-revoked")
    authority = type(network.authority)(ours)
    authority.revoke(HOME, "keyCompromise", now())
    authority.write_crls(now())
    crls = network.folder / "ca" / "crls"
    found = await clinic.broken(
        lambda text: text.replace(f'crls = "{crls}"', f'crls = "{ours / "crls"}"')
    )
    assert found["packet certificate"].found == "certificate is on CRL 2"
    assert found["packet certificate"].state == "fail"


async def test_a_stale_revocation_list(clinic):
    """4. Freshness of CRLs: the newest one is past its grace."""
    network = clinic.network
    ours = clinic.copy_of(network.folder / "ca", "ca-stale")
    shutil.rmtree(ours / "crls")
    type(network.authority)(ours).write_crls(now() - 30 * DAY)
    crls = network.folder / "ca" / "crls"
    found = await clinic.broken(
        lambda text: text.replace(f'crls = "{crls}"', f'crls = "{ours / "crls"}"')
    )
    stale = [each for name, each in found.items() if name.startswith("crl of ")]
    assert stale
    assert all("past due" in each.found for each in stale)


async def test_a_child_with_rights_too_wide(clinic):
    """5. Broker rights: seen at the parent's broker, and by who has them."""
    user, vhost = dns_name(HOME), f"bbaj-{TOP}"
    before = ("^$", "^up$", "^down\\.akmola$")
    await clinic.broker.ctl("set_permissions", "-p", vhost, user, ".*", ".*", ".*")
    try:
        at_child = await clinic.broken()
        at_parent = {each.name: each for each in (await clinic.examine(TOP)).findings}
    finally:
        await clinic.broker.ctl("set_permissions", "-p", vhost, user, *before)
    queues = await clinic.broker.ctl("list_queues", "-p", vhost, "name")
    assert "doctor-" not in queues, "what was let through leaves nothing behind"
    assert "declare a queue" in at_child[f"rights at {TOP}"].found
    assert "read the queue up.akmola" in at_child[f"rights at {TOP}"].found
    assert user in at_parent["broker's rights"].found
    assert "declare a queue" in at_parent[f"rights of {HOME}, tried"].found


async def test_a_parent_that_cannot_be_reached(clinic):
    """6. Reachability: nobody listens where the parent's broker should be."""
    url = f"amqps://127.0.0.1:{clinic.broker.amqps_port}"
    found = await clinic.broken(
        lambda text: text.replace(
            f'urls = ["{url}"]\nvhost', 'urls = ["amqps://127.0.0.1:1"]\nvhost'
        )
    )
    assert list(found) == [f"rights at {TOP}"]
    assert "127.0.0.1:1" in found[f"rights at {TOP}"].found


async def test_a_database_that_does_not_keep_its_word(clinic):
    """7. The database: a role whose commits are not waited for."""
    database = database_name(HOME)
    await clinic.network._postgres.psql(f"ALTER DATABASE {database} SET synchronous_commit = off")
    try:
        found = await clinic.broken()
    finally:
        await clinic.network._postgres.psql(f"ALTER DATABASE {database} RESET synchronous_commit")
    assert "synchronous_commit is off" in found["database"].found


async def test_an_old_backup(clinic):
    """8. Backup: the stamp of the last good one is days old."""
    days_ago = (now() - 3 * DAY) / 1e6
    os.utime(clinic.stamp, (days_ago, days_ago))
    try:
        found = await clinic.broken()
    finally:
        clinic.stamp.touch()
    assert list(found) == ["backup"]
    assert "3 d 0 h old, at most 26 h allowed" in found["backup"].found


async def test_a_disk_without_room(clinic):
    """9. Room: less is free than the configuration wants."""
    found = await clinic.broken(
        lambda text: text.replace("free_bytes_least = 1048576", f"free_bytes_least = {10**17}")
    )
    assert list(found) == ["disk"]
    assert "make room" in found["disk"].what_to_do


async def test_a_configuration_that_is_wrong(clinic):
    """What cannot be read is named, fault by fault."""
    done = await bbaj(
        "doctor",
        "--json",
        config=clinic.healthy(HOME, lambda text: text.replace("[doctor]", "[nurse]")),
    )
    assert done.code == 1
    [fault] = done.read(Examination).findings
    assert (fault.name, fault.state) == ("configuration", "fail")
    assert "nurse" in fault.found


def test_a_broker_whose_log_nobody_reads():
    """Strangers would be seen by nobody: what to write into its configuration is said."""
    found = finding_of(brokers._strangers({"bindings": []}, "bbaj"))
    assert (found.name, found.state) == ("strangers", "warn")
    assert "default_vhost = bbaj" in found.what_to_do


async def test_a_republic_that_stamps_its_own_time(clinic):
    """12. Time: its only authority is its own, whose word proves nothing against it."""
    found = await clinic.examine(TOP, lambda text: text.replace("outside = true", ""))
    [finding] = [each for each in found.findings if each.state != "ok"]
    assert finding.name == "time from outside"
    assert "outside = true" in finding.what_to_do
