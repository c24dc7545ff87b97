"""A daemon that cannot start: it waits and says so, or ends with its code and a line."""

import shutil

import pytest

from harness.daemons import daemon, replacing, variant

SPARE = "kz.zhambyl.spare"
CLOSED_PORT = "9"
"""Of the discard service, which nobody runs any more."""


def config_of(country):
    return country.network.nodes[SPARE].config_path


async def ended(country, name, change):
    """Return exit code and words of a daemon that should end by itself."""
    async with daemon(variant(config_of(country), name, change)) as running:
        return await running.exit_code(), running.said


async def test_an_unreachable_database_ends_the_start(country):
    """Without its database a daemon does not start: one line says so, its keeper retries."""
    change = replacing(r"(@127\.0\.0\.1:)\d+(/kz_zhambyl_spare)", rf"\g<1>{CLOSED_PORT}\2")
    code, said = await ended(country, "no-database", change)
    assert (code, "bbaj node check" in said, "Traceback" in said) == (69, True, False)


async def test_a_wrong_database_password_is_named(country):
    """A refused login at the database is told in one line, without a stack trace."""
    change = replacing(
        r'^(owner_url|url) = "postgresql://([^:]*):[^@]*@', r'\1 = "postgresql://\2:wrong@'
    )
    code, said = await ended(country, "password", change)
    assert (code, "password authentication failed" in said, "Traceback" in said) == (
        78,
        True,
        False,
    )


async def test_unreachable_brokers_are_waited_for(country):
    """Without brokers the daemon runs, and says of each connection that it is down, and why."""
    change = replacing(r"(amqps?://127\.0\.0\.1:)\d+", rf"\g<1>{CLOSED_PORT}")
    async with daemon(variant(config_of(country), "no-broker", change)) as running:
        said = await running.until_said('"state": "down"')
        code = await running.stop()
    assert ("Traceback" in said, code) == (False, 0)


async def test_a_wrong_broker_password_is_named(country):
    """A refused login at our own broker is told with what to do."""
    wrong = config_of(country).with_name("wrong.password")
    wrong.write_text("wrong\n", encoding="ascii")
    change = replacing(r'"broker.password"', '"wrong.password"')
    async with daemon(variant(config_of(country), "broker-password", change)) as running:
        said = await running.until_said("knows no such login")
    assert "Traceback" not in said


async def test_a_broker_without_our_queues_ends_the_daemon(country):
    """What is not provisioned is named, with the command that provisions it."""
    more = '[[systems]]\nname = "unheard-of"\npassword_file = "broker.password"\n'
    code, said = await ended(country, "topology", replacing(r"^\[limits\]$", f"{more}[limits]"))
    assert (code, "bbaj topology --apply" in said, "Traceback" in said) == (72, True, False)


@pytest.mark.parametrize(
    ("missing", "code"),
    [("packet.key", 66), ("journal.key", 66), ("packet.pem", 66)],
)
async def test_a_missing_key_file_is_named(country, missing, code):
    """A key that is not there ends the daemon with its code and the file's name."""
    found = await ended(country, f"no-{missing}", spoilt_keys(country, missing, None))
    assert (found[0], missing in found[1], "Traceback" in found[1]) == (code, True, False)


async def test_a_damaged_key_file_is_named(country):
    """A key file that holds no key ends the daemon with its code and the file's name."""
    code, said = await ended(country, "damaged", spoilt_keys(country, "packet.key", b"no key\n"))
    assert (code, "packet.key" in said, "Traceback" in said) == (65, True, False)


async def test_another_nodes_database_is_refused(country):
    """A daemon that finds another node's record stops before it touches it."""
    change = replacing("^address = .*$", 'address = "kz.zhambyl.other"')
    code, said = await ended(country, "other", change)
    assert (code, SPARE in said, "Traceback" in said) == (78, True, False)


async def test_every_fault_of_a_configuration_is_told_at_once(country):
    """Each wrong field is named, not only the first, and the code says configuration."""
    change = replacing(r"^port = 0$", 'port = "many"')
    more = replacing(r"^\[parent\]$", "[parents]")
    code, said = await ended(country, "faults", lambda text: more(change(text)))
    named = [word for word in ("http: ", "parents: ") if word in said]
    assert (code, named, "Traceback" in said) == (78, ["http: ", "parents: "], False)


async def test_a_configuration_that_is_no_toml_is_told(country):
    """Text that is no TOML ends the daemon with one line that names the file."""
    code, said = await ended(country, "no-toml", lambda _: "address = \n")
    assert (code, "no-toml.toml" in said, "Traceback" in said) == (78, True, False)


def spoilt_keys(country, name, content):
    """Return a change that points to a copy of the keys in which one file is missing or damaged."""
    node = country.network.nodes[SPARE]
    folder = node.folder / f"keys-without-{name}-{content is None}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(country.network.keys_of(SPARE), folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    return replacing('^folder = ".*"$', f'folder = "{folder}"')
