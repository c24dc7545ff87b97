"""Rights of people: the table, the policy file, and what is kept of each use."""

import stat

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from nodes.cli.guarding import Guarded
from nodes.cli.main import app
from nodes.config import Config, Database, Keys, Rights
from nodes.errors import ConfigurationFault
from nodes.rights import (
    INSTRUCTED,
    KEY_FILE,
    NEEDS,
    Act,
    Policy,
    Role,
    judge,
    load_policy,
    login_name,
    pseudonym,
)

ACT = Act(name="On operators of the exchange", number="17-b", date="2026-09-01")
GOOD = """
[act]
name = "On operators of the exchange"
number = "17-b"
date = "2026-09-01"

[users]
duty = "operator"
head = "approver"
"""


def _commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(_commands(typer.main.get_command(app)))


def test_every_command_stands_in_the_table_of_rights_and_no_other():
    """A command that is forgotten in the table would be closed to all, or open to all."""
    assert set(NEEDS) == set(COMMANDS)


def test_every_command_is_asked_for_its_rights():
    """No command can be run round the guard."""
    assert {name for name, each in COMMANDS.items() if not isinstance(each, Guarded)} == set()


def test_instructions_need_an_operator_at_least():
    """What the daemon is told to do is nothing for who only looks."""
    needed = {NEEDS[each].role for each in INSTRUCTED}
    assert all(role is not None and role.includes(Role.OPERATOR) for role in needed)


def test_a_policy_is_read(tmp_path):
    """Act and users, each with a role."""
    path = tmp_path / "rights.toml"
    path.write_text(GOOD)
    assert load_policy(path) == Policy(ACT, {"duty": Role.OPERATOR, "head": Role.APPROVER})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('number = "17-b"\n', ""),
        ('name = "On operators of the exchange"\n', 'name = ""\n'),
        ('date = "2026-09-01"\n', 'date = "autumn"\n'),
        ('"operator"', '"tsar"'),
        ("[users]", "[userz]"),
        ("[act]", "[act"),
        (GOOD, ""),
    ],
    ids=["no number", "no name", "no date", "no role", "unknown section", "no TOML", "empty"],
)
def test_a_bad_policy_stops_every_command(tmp_path, old, new):
    """A policy that does not cite its act, or says what nobody knows, counts for nothing."""
    path = tmp_path / "rights.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigurationFault, match=r"rights\.policy"):
        load_policy(path)


def test_a_missing_policy_stops_every_command(tmp_path):
    """A policy that is named and not there is no leave for all."""
    with pytest.raises(ConfigurationFault, match=r"rights\.policy"):
        load_policy(tmp_path / "none.toml")


@given(role=st.sampled_from(Role), command=st.sampled_from(sorted(NEEDS)))
def test_a_role_may_do_what_the_roles_before_it_may(role, command):
    """Whoever is allowed, everybody of a higher role is, too; others are told who may."""
    needed = NEEDS[command].role
    order = list(Role)
    may = needed is None or order.index(role) >= order.index(needed)
    refusal = judge(command, Policy(ACT, {"me": role}), "rights.toml", "me")
    assert (refusal is None) == may
    if refusal is not None:
        assert f"`bbaj {command}` is for {needed}" in str(refusal)
        assert f"you are {role}" in str(refusal)


@pytest.mark.parametrize("command", ["list", "child suspend", "ca init"])
def test_who_stands_in_no_policy_may_nothing(command):
    """A login that is not named has no role."""
    refusal = judge(command, Policy(ACT, {"me": Role.AUTHORITY}), "rights.toml", "somebody")
    assert "you are none of the users" in str(refusal)


def test_a_command_that_stands_in_no_table_is_refused():
    """What has no row is for nobody."""
    assert judge("dance", Policy(ACT, {"me": Role.AUTHORITY}), "rights.toml", "me") is not None


# ------------------------------------------------------------------ pseudonyms


def config_in(folder):
    return Config(
        address="kz",
        data=folder / "data",
        keys=Keys(folder=folder, root=folder, authorities=folder, crls=folder),
        database=Database(url=""),
        rights=Rights(),
    )


def test_a_person_has_one_pseudonym_at_a_node(tmp_path):
    """The same login is the same pseudonym, another one another, and no login is in it."""
    config = config_in(tmp_path)
    assert pseudonym(config, "duty") == pseudonym(config, "duty")
    assert pseudonym(config, "duty") != pseudonym(config, "head")
    assert "duty" not in pseudonym(config, "duty")


def test_a_person_has_another_pseudonym_elsewhere(tmp_path):
    """Who does not hold the node's key cannot tell logins from pseudonyms by trying them."""
    one, other = config_in(tmp_path / "one"), config_in(tmp_path / "other")
    assert pseudonym(one, "duty") != pseudonym(other, "duty")


def test_the_key_of_pseudonyms_is_its_owners_alone(tmp_path):
    """Made at first use, kept, and readable by nobody else."""
    config = config_in(tmp_path)
    pseudonym(config, "duty")
    path = config.data / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    pseudonym(config, "head")
    assert path.read_bytes() == before
    assert [each.name for each in config.data.iterdir()] == [KEY_FILE]


def test_somebody_uses_the_command():
    """There is always a login to ask the policy for."""
    assert login_name()
