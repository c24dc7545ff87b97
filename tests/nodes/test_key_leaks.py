"""Keys and passphrases are in no log, dump or error text, whatever goes wrong with them."""

import base64
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness.cli_run import ROOT
from harness.key_node import PASSPHRASE, config_of, make_key_node
from harness.key_search import find_secrets, forms_of, raw_private, secrets_of
from signing.keys import load_private_key, write_private_key

DAEMONS = """
import sys
from nodes.cli.main import run

for config in sys.argv[1:]:
    code = run(["node", "run", "--config", config])
    print(f"exit {code}", file=sys.stderr, flush=True)
"""
DUMPS = """
import asyncio, faulthandler, gc, os, signal, sys, threading, time
from pathlib import Path
from nodes.config import load_config
from nodes.daemon import Daemon
from nodes.running import forbid_core_dumps
from nodes.telemetry import configure_logs
from nodes.wiring import open_vault, own_endpoint, parent_endpoint

OURS = ("schemas", "signing", "store", "exchange", "nodes", "cryptography")

def show_all():
    # Whatever is reachable: structs that the collector does not track as well.
    seen, todo = set(), list(gc.get_objects())
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if str(type(each).__module__).partition(".")[0] in OURS:
            shown.add(repr(each))
            fields = getattr(type(each), "__struct_fields__", ())
            todo.extend(getattr(each, name, None) for name in fields)
        if not isinstance(each, (str, bytes, int, type)):
            todo.extend(gc.get_referents(each))

shown = set()
forbid_core_dumps()
config = load_config(Path(sys.argv[1]))
configure_logs(config.log)
vault = open_vault(config)
ends = [parent_endpoint(config), own_endpoint(config)]
vault.gate._signer.sign(b"warm")

async def run():
    daemon = Daemon(config)
    task = asyncio.create_task(daemon.run())
    for _ in range(6):
        await asyncio.sleep(0.3)
        show_all()
    faulthandler.dump_traceback(all_threads=True)
    daemon._stop.set()
    await task

asyncio.run(run())
for text in sorted(shown):
    print(text)
print(Path("/proc/self/limits").read_text())
faulthandler.enable()
os.kill(os.getpid(), signal.SIGABRT)
"""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Make a node's files once."""
    folder = tmp_path_factory.mktemp("leaks")
    make_key_node(folder)
    return folder


def copy_of(pristine: Path, folder: Path) -> Path:
    """Copy a node's files; return its configuration file."""
    shutil.copytree(pristine, folder)
    config = folder / "node.toml"
    config.write_text(config.read_text().replace(str(pristine), str(folder)))
    return config


@pytest.fixture
def node(pristine, tmp_path):
    """Copy a node's files; return its configuration file."""
    return copy_of(pristine, tmp_path / "node")


def run(program: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-X", "faulthandler", "-c", program, *map(str, words)],
        cwd=ROOT, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def wrong_passphrase(keys: Path) -> None:
    (keys.parents[2] / "keys.passphrase").write_text(PASSPHRASE + "x")


def open_passphrase(keys: Path) -> None:
    (keys.parents[2] / "keys.passphrase").chmod(0o644)


def unencrypted_and_damaged(keys: Path) -> None:
    lines = pem(keys, "PKCS8").splitlines()
    (keys / "packet.key").write_bytes(b"\n".join([*lines[:-2], lines[-2][:-9], lines[-1]]))


def old_form(keys: Path) -> None:
    (keys / "packet.key").write_bytes(pem(keys, "TraditionalOpenSSL"))


def another_pair(keys: Path) -> None:
    (keys / "packet.key").unlink()
    write_private_key(keys / "packet.key", ec.generate_private_key(ec.SECP256R1()), None)


def swapped(keys: Path) -> None:
    shutil.copy(keys / "journal.key", keys / "packet.key")


def half_an_encryption_key(keys: Path) -> None:
    path = keys / "encryption.key"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def key_for_certificate(keys: Path) -> None:
    (keys / "packet.pem").write_bytes(pem(keys, "PKCS8"))


def pem(keys: Path, form: str) -> bytes:
    return load_private_key(keys / "packet.key", PASSPHRASE.encode()).private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.NoEncryption(),
    )


FAULTS: list[Callable[[Path], None]] = [
    wrong_passphrase,
    open_passphrase,
    unencrypted_and_damaged,
    old_form,
    another_pair,
    swapped,
    half_an_encryption_key,
    key_for_certificate,
]


@pytest.fixture(scope="module")
def said_of(pristine, tmp_path_factory):
    """Run the daemon on each fault; return what it said before each end, by the fault's name."""
    folder = tmp_path_factory.mktemp("faults")
    configs = []
    for fault in FAULTS:
        configs.append(copy_of(pristine, folder / fault.__name__))
        fault(config_of(configs[-1]).keys.folder)
    done = run(DAEMONS, *configs)
    ends = (done.stderr + done.stdout).split(b"exit ")
    names = [fault.__name__ for fault in FAULTS]
    return {
        name: before.partition(b"\n")[2] + b"exit " + end[:3]
        for name, before, end in zip(names, [b"\n" + ends[0], *ends[1:]], ends[1:], strict=False)
    }


@pytest.mark.parametrize("fault", [fault.__name__ for fault in FAULTS])
def test_a_daemon_with_a_bad_key_ends_and_shows_none(pristine, said_of, fault):
    """The daemon says which file is at fault and what to do, and not a byte of any key."""
    said = said_of[fault]
    assert said.startswith(b"bbaj: "), said
    assert said.endswith((b"exit 65\n", b"exit 77\n")), said
    assert b"Traceback" not in said
    secrets = secrets_of(config_of(pristine / "node.toml").keys.folder, PASSPHRASE)
    assert find_secrets(said, secrets) == []


def test_a_running_daemon_dumps_no_key(node):
    """Its logs, the text of every object, and a dump at its death show no key; no core is left."""
    config = config_of(node)
    secrets = secrets_of(config.keys.folder, PASSPHRASE)
    done = run(DUMPS, node)
    said = done.stdout + done.stderr
    assert done.returncode == -6, said[-2000:]
    for sign in (b"Fatal Python error: Aborted", b"ClientTls(", b"life_ended", b"KeyFolder"):
        assert sign in said.replace(b"<keys in ", b"KeyFolder"), said[-3000:]
    assert b"Max core file size        0                    0" in said
    assert find_secrets(said, secrets) == []


def test_the_search_finds_what_is_shown(node):
    """Each form of each secret is found where it is: the search itself works."""
    secrets = secrets_of(config_of(node).keys.folder, PASSPHRASE)
    assert {"passphrase", "packet.key", "journal.key", "link.key"} < secrets.keys()
    for name, secret in secrets.items():
        for form, look in forms_of(secret).items():
            assert f"{name} as {form}" in find_secrets(b"before " + look + b" behind", secrets)
    key = load_private_key(config_of(node).keys.folder / "packet.key", PASSPHRASE.encode())
    text = pem(config_of(node).keys.folder, "PKCS8")
    assert any("packet.key as base64" in each for each in find_secrets(text, secrets))
    shown = f"<key {base64.b64encode(b'id' + raw_private(key)).decode()}>".encode()
    assert find_secrets(shown, secrets) != []
