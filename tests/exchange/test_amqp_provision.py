"""Provisioning a real broker, and being told where it departs."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exchange.amqp import ParentEndpoint, PlainLogin, probe
from exchange.amqp.probing import check_version
from exchange.departures import Departure, Fault
from exchange.errors import AdministrationFailed, BrokerUnsupported, LoginRefused
from exchange.provision import Administration
from exchange.topology import link_key, plan_child, read_local_queues, read_queues
from harness import link_pki
from harness.link_broker import ADDRESS, FAST
from harness.links import Lives, States, nothing_dead, running, soon
from schemas.addresses import dns_name


def test_a_provisioned_broker_has_no_differences(broker):
    """What was applied is what is exported, limits and policies included."""
    assert broker.administration.check(broker.planned) == []


def test_applying_twice_changes_nothing(broker):
    """Provisioning is repeatable."""
    assert broker.administration.apply(broker.planned) == []


def test_a_widened_right_is_found(broker, child):
    """A right changed by hand is named by the check, and put right by applying again."""
    user = broker.names.child_user(child.label)
    broker.ctl("set_permissions", "-p", "bbaj", user, "^$", "^up$", ".*")
    found = broker.administration.check(broker.planned)
    planned = rf"^down\.{child.label}$"
    assert found == [
        Departure("permissions", f"{user} / bbaj", Fault.DIFFERENT, "read", ".*", planned)
    ]
    assert broker.administration.apply(broker.planned) == []


def test_withdrawing_a_child_takes_user_and_empty_queues(broker, child):
    """A withdrawn child's user and its empty queues are gone; provisioning brings them back."""
    kept = broker.administration.withdraw_child(broker.names, child.label)
    found = broker.administration.check(broker.planned)
    assert broker.administration.apply(broker.planned) == []
    assert kept == []
    assert Departure("users", broker.names.child_user(child.label), Fault.MISSING) in found
    assert Departure("queues", f"bbaj / up.{child.label}", Fault.MISSING) in found


MOVED = "kz.abai.school-9"
"""Hangs under the broker's node, and is called otherwise."""


@contextmanager
def newcomer(broker, address: str) -> Iterator[str]:
    """Provision one more child beside all others, and withdraw it after the block."""
    key = link_key(ADDRESS, address)
    assert broker.administration.apply(plan_child(broker.names, key)) == []
    try:
        yield key
    finally:
        assert broker.administration.withdraw_child(broker.names, key) == []


def endpoint_of(broker, tmp_path, address: str) -> ParentEndpoint:
    """Return the endpoint of a node that hangs under the broker's, whatever it is called."""
    authority = link_pki.make_authority(broker.root, "kz.bbaj.internal", address)
    files = link_pki.issue(tmp_path / address, authority, dns=(dns_name(address),))
    return ParentEndpoint(
        address=address,
        urls=[broker.tls_url],
        tls=broker.client_tls(files),
        parent=ADDRESS,
        backoff=FAST,
    )


def test_one_child_is_provisioned_beside_the_others(broker):
    """A child's plan makes its user, rights and queues, changes nothing else, and can be undone."""
    before = broker.administration.export()
    with newcomer(broker, f"{ADDRESS}.newcomer"):
        during = broker.administration.export()
    after = broker.administration.export()
    added = {user["name"] for user in during["users"]} - {user["name"] for user in before["users"]}
    assert added == {dns_name(f"{ADDRESS}.newcomer")}
    assert broker.administration.check(broker.planned) == []
    assert {user["name"] for user in after["users"]} == {user["name"] for user in before["users"]}


async def test_a_newcomer_is_served_while_the_others_are(broker, child, tmp_path):
    """A child provisioned and admitted while its parent runs speaks at once, beside a sibling."""
    lives, states = Lives(), States()
    own, address = broker.own_endpoint(), f"{ADDRESS}.late"
    async with running(own.run({child.label: lives.handle}, nothing_dead, states)):
        sibling = await lives.next()
        with newcomer(broker, address) as key:
            own.admit(key, lives.handle)
            receiver, below = await lives.next(), Lives()
            async with running(endpoint_of(broker, tmp_path, address).run(below.handle, States())):
                await (await below.next()).publish(b"first word")
                delivery = await soon(receiver)
                await receiver.settle_through(delivery)
            own.dismiss(key)
            await states.until("down", peer=key, text="stopped")
        async with running(broker.parent_endpoint(child).run((own_ := Lives()).handle, States())):
            await (await own_.next()).publish(b"as ever")
            again = await soon(sibling)
            await sibling.settle_through(again)
    assert (delivery.body, again.body) == (b"first word", b"as ever")


async def test_a_moved_child_speaks_under_its_whole_address(broker, tmp_path):
    """Both directions of the link of a node that hangs elsewhere than its name says."""
    above, below, own = Lives(), Lives(), broker.own_endpoint()
    with newcomer(broker, MOVED) as key:
        child = endpoint_of(broker, tmp_path, MOVED)
        async with running(
            own.run({key: above.handle}, nothing_dead, States()), child.run(below.handle, States())
        ):
            up, down = await below.next(), await above.next()
            await up.publish(b"up")
            await down.publish(b"down")
            received = await soon(down), await soon(up)
            await down.settle_through(received[0])
            await up.settle_through(received[1])
    assert [each.body for each in received] == [b"up", b"down"]
    assert received[0].user_id == dns_name(MOVED)


async def test_a_withdrawn_user_is_cut_off_and_its_queues_stay(broker, child):
    """Without its user a child is off at once; what waits for it is still there afterwards."""
    lives, states = Lives(), States()
    user = broker.names.child_user(child.label)
    async with running(broker.parent_endpoint(child).run(lives.handle, states)):
        await lives.next()
        broker.administration.withdraw_user(user)
        broker.administration.withdraw_user(user)  # harmless where there is none
        await states.until("down")
        found = broker.administration.check(broker.planned)
        assert broker.administration.apply(plan_child(broker.names, child.label)) == []
        await lives.next()
    assert Departure("users", user, Fault.MISSING) in found
    gone = [each.name for each in found if each.section == "queues"]
    assert not any(name.endswith(f".{child.label}") for name in gone)


def test_a_command_that_fails_says_why():
    """A failing administration command becomes an error of ours that names the command."""
    with pytest.raises(AdministrationFailed, match="export_definitions"):
        Administration(["/bin/false"]).export()


def test_a_command_that_is_not_there_says_so():
    """A missing administration command becomes the same error."""
    with pytest.raises(AdministrationFailed, match="No such file"):
        Administration(["/nowhere/rabbitmqctl"]).export()


async def test_probe_finds_nothing_amiss(broker, child, system):
    """A provisioned broker passes the probe in both virtual hosts."""
    links = read_queues([child.label])
    locals_ = read_local_queues([system.user])
    assert await probe(url=broker.url, vhost="bbaj", login=broker.login, queues=links) == []
    assert await probe(url=broker.url, vhost="bbaj-local", login=broker.login, queues=locals_) == []


async def test_probe_names_a_missing_queue(broker):
    """A queue that is not there is named."""
    (fault,) = await probe(
        url=broker.url, vhost="bbaj", login=broker.login, queues=["dead", "up.nobody"]
    )
    assert fault.startswith("probe up.nobody: no such queue")


async def test_probe_with_a_wrong_password(broker):
    """A wrong password is a refused login."""
    login = PlainLogin("daemon", "wrong")
    with pytest.raises(LoginRefused, match="no such login"):
        await probe(url=broker.url, vhost="bbaj", login=login, queues=[])


@pytest.mark.parametrize("version", ["4.2.6", "4.3.0"])
def test_versions_known_to_break_are_refused(version):
    """Two versions of RabbitMQ ask for rights that nobody should have."""
    with pytest.raises(BrokerUnsupported, match=version):
        check_version(version)


@pytest.mark.parametrize("version", ["3.10.8", "4.0.5", "4.2.7", "4.3.1"])
def test_other_versions_pass(version):
    """All other versions pass."""
    check_version(version)
