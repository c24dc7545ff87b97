"""The command line without a node: words, options, exit codes, errors, moments, tables."""

import asyncio
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from datetime import timedelta, timezone

import msgspec
import pytest
import typer

import exchange
import nodes
import schemas
import signing
import store
from exchange.core.registry import Registry
from exchange.dropped import Drop
from harness.cli_run import ROOT
from harness.dossier import Exchange
from harness.pki import SCHOOL
from nodes.cli import drawing, failures, handing, moments, output, shapes, trouble_tables
from nodes.cli.errors import DocumentFault, PacketRefused, UsageFault, WrongUser
from nodes.cli.exits import EXITS, exit_code_of, exit_of, leaf_of
from nodes.cli.main import app, run
from nodes.cli.options import WAIT_S, spell_out
from nodes.cli.reports import address, next_step, state
from nodes.cli.shelf import Shelf, check_user
from nodes.config import Config, Database, Keys
from nodes.errors import ConfigurationFault, NotDelivered, NotFound
from schemas.codes import Language
from schemas.errors import BbajError, Fatal, FormatError, OutcomeUnknown, Retryable
from schemas.moments import parse_instant
from schemas.reasons import NEXT_STEP, Reason
from store.errors import LockHeld, StoreUnavailable
from store.standing import State


def sending(**changes) -> shapes.Sending:
    """Return a sending of a packet on its way, but for the changes."""
    facts = {
        "drop_id": "d-1",
        "state": "in custody",
        "known_before": False,
        "type_": "ping/1",
        "to": "kz",
        "packet": "01a2",
        "sent": None,
        "since": None,
        "overdue": False,
        "holder": "kz",
        "reason": None,
        "problem": None,
        "next_step": None,
    }
    return shapes.Sending(**facts | changes)


# ------------------------------------------------------------------ words and options


@pytest.mark.parametrize(
    ("words", "spelt"),
    [
        (["ping", "kz", "--wait"], ["ping", "kz", f"--wait={WAIT_S}"]),
        (["ping", "kz", "--wait", "5"], ["ping", "kz", "--wait=5"]),
        (["ping", "kz", "--wait", "2.5"], ["ping", "kz", "--wait=2.5"]),
        (["ping", "--wait", "kz"], ["ping", f"--wait={WAIT_S}", "kz"]),
        (["ping", "--wait", "--json", "kz"], ["ping", f"--wait={WAIT_S}", "--json", "kz"]),
        (["ping", "kz", "--wait=7"], ["ping", "kz", "--wait=7"]),
        (["send", "--", "--wait"], ["send", "--", "--wait"]),
        ([], []),
    ],
)
def test_wait_may_leave_its_seconds_out(words, spelt):
    """A bare `--wait` waits for its default; a number behind it is its seconds."""
    assert spell_out(words) == spelt


def _commands(group, path=()):
    """Yield every command with the words that lead to it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(_commands(typer.main.get_command(app)))
WITHOUT_JSON = {("node", "run")}
WITHOUT_NODE = {"ca", "bench", "demo", "demo-negative", "exits", "join", "simulate", "types"}
ABOUT_FILES = {("evidence", "verify")}
"""Commands that stand in a node's group, and need none."""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_takes_the_common_options(words):
    """Every command takes --json, and every one about a node takes --config."""
    options = {option for each in COMMANDS[words].params for option in each.opts}
    assert "--json" in options or words in WITHOUT_JSON
    assert "--config" in options or words[0] in WITHOUT_NODE or words in ABOUT_FILES


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_does(words):
    """Every command has help, in one sentence first."""
    assert COMMANDS[words].help.splitlines()[0].endswith(".")


def test_unknown_words_end_with_usage(capsys):
    """A command that there is not ends with 64 and one line."""
    assert run(["lst"]) == 64
    assert capsys.readouterr().err.count("\n") == 1


def test_errors_of_usage_come_as_json_too(capsys):
    """With --json among the words, the error is one JSON object."""
    assert run(["list", "--json", "--nonsense"]) == 64
    assert json.loads(capsys.readouterr().err)["name"] == "usage"


def test_a_wrong_language_is_told_before_anything_is_done(monkeypatch, capsys):
    """What is done and cannot be told would be done again."""
    monkeypatch.setenv("BBAJ_LANG", "kz")
    assert run(["exits"]) == 78
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "bbaj: BBAJ_LANG: kz: write kk, ru or en\n")


def test_a_group_alone_shows_its_commands(capsys):
    """A group's name alone shows its help on standard error, and ends with 64."""
    assert run(["store"]) == 64
    assert "verify" in capsys.readouterr().err


def test_a_missing_configuration_names_the_option(capsys, tmp_path):
    """A configuration that is not there ends with 78, and --config is named."""
    assert run(["list", "--config", str(tmp_path / "none.toml")]) == 78
    assert "--config" in capsys.readouterr().err


def test_assertions_must_not_be_stripped():
    """Under `python -O` nothing runs."""
    done = subprocess.run(
        [sys.executable, "-O", "-c", "from nodes.cli.main import main; main()", "exits"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (64, "")
    assert "-O" in done.stderr


def test_help_imports_nothing_heavy():
    """`bbaj --help` loads neither cryptography nor a driver."""
    code = (
        "import sys; from nodes.cli.main import run; run(['--help'])\n"
        "print([name for name in ('cryptography', 'asyncpg', 'aio_pika', 'exchange') "
        "if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"


def test_a_reader_who_leaves_is_no_fault():
    """Where the reader of the output is gone, a command ends quietly with 141."""
    command = f"{sys.executable} -c 'from nodes.cli.main import main; main()' exits"
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("141\n", "")


# ------------------------------------------------------------------ exit codes and errors


def _fatal_classes():
    """Return every Fatal class of the product that sets an exit code of its own."""
    for package in (schemas, signing, store, exchange, nodes):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    waiting, found = [Fatal], []
    while waiting:
        each = waiting.pop()
        waiting += each.__subclasses__()
        if "exit_code" in vars(each) and each is not Fatal:
            found.append(each)
    return [each for each in found if each.__module__.partition(".")[0] != "tests"]


def test_every_error_stands_in_the_table():
    """Each class that sets an exit code is named in the row of that code, and only there."""
    named = {name: row.code for row in EXITS for name in row.errors}
    strays = {
        each.__name__: each.exit_code
        for each in _fatal_classes()
        if named.get(each.__name__) != each.exit_code
    }
    assert strays == {}


def test_exit_codes_are_told_once():
    """No code and no name stands in the table twice."""
    assert len({row.code for row in EXITS}) == len(EXITS)
    assert len({row.name for row in EXITS}) == len(EXITS)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), 66),
        (Retryable("x"), 69),
        (OutcomeUnknown("x"), 69),
        (FormatError(Reason.FORMAT_INVALID, "x"), 65),
        (Fatal("x"), 70),
        (BbajError("x"), 70),
    ],
)
def test_errors_have_their_codes(error, code):
    """Each disposition has an exit code."""
    assert exit_code_of(error) == code


def test_exits_prints_the_table(capsysbinary):
    """`bbaj exits --json` is the table."""
    assert run(["exits", "--json"]) == 0
    rows = msgspec.json.decode(capsysbinary.readouterr().out, type=list[shapes.Exit])
    assert [row.code for row in rows] == [row.code for row in EXITS]


def test_an_error_of_ours_is_found_within_groups():
    """Of a group of errors, the one of ours is told."""
    ours = NotFound("x")
    group = ExceptionGroup("tasks", [ValueError("y"), ExceptionGroup("more", [ours])])
    assert leaf_of(group) is ours


def test_every_fault_of_a_configuration_is_told(capsys):
    """A configuration's faults come one a line."""
    assert failures.explain(ConfigurationFault(["a: 1", "b: 2"]), as_json=False) == 78
    assert capsys.readouterr().err == "bbaj: a: 1\nbbaj: b: 2\n"


def test_what_may_be_repeated_is_said_to_be(capsys):
    """A service that does not answer is told with what to do; the exit code is 69."""
    assert failures.explain(StoreUnavailable("no answer"), as_json=False) == 69
    step = exit_of(69).next_step(Language.EN)
    assert capsys.readouterr().err == f"bbaj: no answer: {step}\n"


def test_words_that_advise_stand_alone(capsys):
    """An error that says itself what to do is told as it is."""
    failures.explain(LockHeld("stop the daemon first"), as_json=False)
    assert capsys.readouterr().err == "bbaj: stop the daemon first\n"


def test_a_fault_of_ours_shows_no_stack(capsys):
    """An unexpected error is one line that says where it arose."""
    with pytest.raises(KeyError) as caught:
        {}["frame\nnumber"]
    code = failures.explain(caught.value, as_json=False)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert (code, err.count("\n")) == (70, 1)
    assert "test_cli_words.py" in err


def test_errors_of_files_name_the_file(capsys):
    """An error of the file system ends with 71 and names the path."""
    error = PermissionError(13, "Permission denied", "/var/x")
    assert failures.explain(error, as_json=False) == 71
    assert capsys.readouterr().err.startswith("bbaj: /var/x: Permission denied")


@pytest.mark.parametrize(
    ("result", "wait_s", "error"),
    [
        (sending(state="fault", problem="$.x: y"), None, DocumentFault),
        (sending(state="refused", reason="busy", next_step="z"), 1.0, PacketRefused),
        (sending(state="expired"), 1.0, PacketRefused),
        (sending(), 1.0, NotDelivered),
        (sending(overdue=True), 1.0, NotDelivered),
        (sending(packet=None, state="handed over"), 1.0, NotDelivered),
    ],
)
def test_a_wait_ends_with_what_became_of_it(result, wait_s, error):
    """A sending that did not end well raises what its exit code is to be."""
    with pytest.raises(error):
        handing.judge(result, wait_s)


@pytest.mark.parametrize(
    ("result", "wait_s"), [(sending(state="delivered"), 1.0), (sending(), None)]
)
def test_a_good_end_raises_nothing(result, wait_s):
    """Delivered is well, and without a wait everything but a fault is."""
    assert handing.judge(result, wait_s) is None


# ------------------------------------------------------------------ drops


@pytest.mark.parametrize(
    "changes",
    [{"to": "kz.a"}, {"type": "x/2"}, {"body": b"b"}, {"period": "2026"}, {"re": "1"}],
)
def test_a_drop_id_covers_all_that_is_sent(changes):
    """Whatever differs makes another drop; the same words make the same one."""
    drop = Drop("command", "", "x/1", "kz", b"a")
    assert handing.drop_id_of(drop) == handing.drop_id_of(drop)
    assert handing.drop_id_of(msgspec.structs.replace(drop, **changes)) != handing.drop_id_of(drop)


def config_of(tmp_path) -> Config:
    keys = Keys(folder=tmp_path, root=tmp_path, authorities=tmp_path, crls=tmp_path)
    return Config(address=SCHOOL, data=tmp_path, keys=keys, database=Database(url="postgresql:///"))


def test_the_daemon_opens_what_a_command_has_sealed(tmp_path):
    """Bucket and additional data of a drop's body are those that the gate opens it with."""
    gate = Exchange(tmp_path).gates[SCHOOL]
    moment = parse_instant("2026-11-30T23:59:59.000000Z")
    config = msgspec.structs.replace(config_of(tmp_path), data=tmp_path)
    (tmp_path / "at-rest").symlink_to(tmp_path / SCHOOL)
    (tmp_path / SCHOOL).mkdir(exist_ok=True)
    row = Shelf(config).seal_body("command", "d-1", "R5", moment, b"body")
    assert row["bucket"] == gate.bucket("R5", None, moment)
    assert gate.open_rest(row["bucket"], b"command/d-1", row["sealed"]) == b"body"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_another_users_folder_gets_no_keys(tmp_path):
    """Where the data belong to another user, nothing is sealed: the daemon could not read it."""
    (tmp_path / "at-rest").mkdir()
    os.chown(tmp_path / "at-rest", 12345, 12345)
    with pytest.raises(WrongUser, match="12345"):
        Shelf(config_of(tmp_path)).seal_body("command", "d-1", "R5", 0, b"body")


def test_a_folder_that_is_not_there_yet_may_be_made(tmp_path):
    """Before the daemon's first start the user's own folder serves."""
    assert check_user(tmp_path / "at-rest") is None


def test_a_document_over_the_limit_is_not_handed_over(tmp_path):
    """What would not fit a packet is told at once."""
    body = os.urandom(1_100_000)
    drop = Drop("command", "d", "document.file/1", "kz.akmola", body, section="S01")
    with pytest.raises(DocumentFault, match="limit"):
        handing.check(config_of(tmp_path), Registry(SCHOOL), drop)


def test_reasons_are_checked_before_anything_is_read(tmp_path):
    """A reason that is on no list is refused without asking the database."""
    with pytest.raises(UsageFault, match="incomplete"):
        asyncio.run(handing.notice(config_of(tmp_path), "id", "ugly", "", []))


# ------------------------------------------------------------------ moments, tables, shapes


ALMATY = timezone(timedelta(hours=5))


def test_moments_show_utc_and_zone():
    """A moment is shown in UTC and in the local zone with its offset."""
    shown = moments.utc_and_local("2026-11-23T03:32:06.123456Z", ALMATY)
    assert shown == "2026-11-23 03:32:06 UTC (08:32:06 +05:00)"


def test_another_local_day_is_named():
    """Where the local day is another one, it is shown."""
    shown = moments.utc_and_local("2026-11-23T23:00:00.000000Z", ALMATY)
    assert shown == "2026-11-23 23:00:00 UTC (2026-11-24 04:00:00 +05:00)"


def test_narrow_columns_have_two_lines():
    """In a column the local time stands below UTC."""
    shown = moments.utc_over_local("2026-11-23T03:32:06.000000Z", ALMATY)
    assert shown == "2026-11-23 03:32:06 UTC\n08:32:06 +05:00"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.25 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3_700, "1 h 1 min"),
        (200_000, "2 d 7 h"),
        (-61, "-1 min 1 s"),
    ],
)
def test_durations_show_two_units(seconds, text):
    """A span of time is shown in its two largest units."""
    assert moments.duration(seconds) == text


def test_texts_of_others_do_not_steer_the_terminal():
    """Control characters and direction marks are shown as question marks."""
    assert drawing.plain("a\x1b[31mb\u202ec\n") == "a?[31mb?c?"


def test_markup_in_texts_is_text(capsys):
    """Square brackets in a detail are shown as they are."""
    row = shapes.Incident(
        at="2026-11-23T03:32:06.000000Z", kind="k", neighbour="n", detail="[bold]x[/]", frame=None
    )
    output.show(False, [row], lambda: trouble_tables.incidents([row]))
    assert "[bold]x[/]" in capsys.readouterr().out


def test_shapes_print_the_words_of_the_protocol():
    """Fields whose names Python keeps for itself are printed without their underscore."""
    assert b'"type":"ping/1"' in msgspec.json.encode(sending())


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_its_next_step(reason):
    """Each reason for refusal is shown with what to do."""
    assert next_step(reason) == NEXT_STEP[reason]


def test_other_words_have_no_next_step():
    """What is no reason for refusal, such as what a held frame waits for, has none."""
    assert next_step("certificate") is None


def test_states_are_written_with_a_hyphen_too():
    """`in-custody` needs no quotes on a command line."""
    assert state("in-custody") is State.IN_CUSTODY


def test_unknown_states_and_addresses_are_faults_of_usage():
    """A state or an address that cannot be is told before anything is read."""
    with pytest.raises(UsageFault, match="in-custody"):
        state("lost")
    with pytest.raises(UsageFault, match="kz"):
        address("kz..a")
