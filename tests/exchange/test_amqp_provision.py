"""Provisioning a real broker, and being told where it departs."""

import pytest

from exchange.amqp import PlainLogin, probe
from exchange.amqp.probing import check_version
from exchange.errors import AdministrationFailed, BrokerUnsupported, LoginRefused
from exchange.provision import Administration
from exchange.topology import read_local_queues, read_queues


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
    assert found == [
        f"rights of {user} / bbaj has read '.*', planned '^down\\\\.{child.label}$'",
    ]
    assert broker.administration.apply(broker.planned) == []


def test_withdrawing_a_child_takes_user_and_empty_queues(broker, child):
    """A withdrawn child's user and its empty queues are gone; provisioning brings them back."""
    kept = broker.administration.withdraw_child(broker.names, child.label)
    found = broker.administration.check(broker.planned)
    assert broker.administration.apply(broker.planned) == []
    assert kept == []
    assert f"user {broker.names.child_user(child.label)} is missing" in found
    assert f"queue bbaj / up.{child.label} is missing" in found


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
