"""Machines replaced and removed, logins that go, and what operators get wrong."""

import pytest

from harness.cli_run import bbaj
from harness.joining import is_revoked, send
from nodes.cli import inviting
from nodes.cli.invitation_shapes import JoinDone, Removed
from nodes.clock import now
from nodes.config import load_config
from nodes.invitations import read_invitation
from schemas.addresses import dns_name
from signing.keys import fingerprint, load_certificate

pytestmark = pytest.mark.slow

DISTRICT = "kz.zhambyl.taraz"
NOT_ADMITTED = 82


async def test_a_replaced_machine_goes_on_and_its_old_keys_end(joiner, district):
    """A second invitation moves an address to another machine; the first one's keys end."""
    old = await joiner.invited()
    assert (await old.join()).code == 0
    old.hurry()
    async with old.running():
        assert (await send(old, DISTRICT)).state in {"delivered", "closed"}

        async def stated():
            cards = await (await district.reading()).cards()
            return any(row.address == old.address and b'"keys"' in row.object for row in cards)

        await district.until(stated)
    [made] = await joiner.invite(old.address)
    assert not made.new
    new = await joiner.machine(old.address, made.text, old.urls)
    done = (await new.join("--json")).shape(JoinDone)
    assert done.replaces
    (old.folder / "data").rename(new.folder / "brought")
    (new.folder / "data").rmdir()
    (new.folder / "brought").rename(new.folder / "data")
    new.hurry()
    ended = load_certificate(old.folder / "keys" / "packet.pem")
    await district.until(lambda: is_revoked(district, ended))
    async with new.running():
        assert (await send(new, DISTRICT)).state in {"delivered", "closed"}
    fresh = load_certificate(new.folder / "keys" / "packet.pem")
    assert fingerprint(fresh) != fingerprint(ended)
    assert not await is_revoked(district, fresh)


async def test_a_removed_school_is_out(joiner, district):
    """`bbaj remove` closes the card, takes login and queues, and ends the certificates."""
    machine = await joiner.invited()
    assert (await machine.join()).code == 0
    words = ("remove", machine.address, "--successor", "kz.zhambyl.shu", "--json")
    done = (await bbaj(*words, config=joiner.config_path)).shape(Removed)
    assert (done.standing, done.successor) == ("closed", "kz.zhambyl.shu")
    certificate = load_certificate(machine.folder / "keys" / "packet.pem")
    await district.until(lambda: is_revoked(district, certificate))
    async with machine.running() as running:
        await running.until_said("certificate revoked")
    refused = await bbaj("invite", machine.address, "--tier", "school", config=joiner.config_path)
    assert (refused.code, "closed" in refused.err) == (80, True)


async def test_logins_of_invitations_go(joiner):
    """Logins of invitations that are over go with the next command at the broker."""
    broker = joiner.network._brokers[DISTRICT]
    machine = await joiner.invited()
    user = dns_name(read_invitation(machine.text, now()).enrolment)
    assert user in await broker.ctl("list_users")
    invitation = read_invitation(machine.text, now()).header.invitation
    await inviting.instruct(load_config(joiner.config_path), "uninvite", {"invitation": invitation})
    await joiner.invite(joiner.address())
    assert user not in await broker.ctl("list_users")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["invite", "kz.zhambyl", "--tier", "school"], "is no child of"),
        (["invite", f"{DISTRICT}.new"], "give --tier"),
        (["invite", f"{DISTRICT}.new", "--tier", "village"], "use one of"),
        (["invite", f"{DISTRICT}.new", "--tier", "district"], "is not below district"),
        (["invite", f"{DISTRICT}.a", f"{DISTRICT}.b", "--tier", "school", "--bin", "1"], "alone"),
        (["invite", f"{DISTRICT}.new", "--tier", "school", "--kk", "Мектеп"], "three languages"),
    ],
)
async def test_wrong_words_are_named(joiner, words, said):
    """What the operator got wrong is said before anything is made."""
    done = await bbaj(*words, config=joiner.config_path)
    assert (done.code, said in done.err) == (64, True), done.err


async def test_what_the_daemon_declines(joiner):
    """What the node declines is said with its reason, and leaves nothing at the broker."""
    address = joiner.address()
    words = ("invite", address, "--tier", "school", "--bin", "123456789012")
    done = await bbaj(*words, config=joiner.config_path)
    assert (done.code, "bin" in done.err) == (80, True), done.err
    listed = await joiner.network._brokers[DISTRICT].ctl("list_users")
    assert dns_name(address) not in listed
