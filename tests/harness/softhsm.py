"""A token of SoftHSM for tests, one a process."""

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from signing.pkcs11 import TokenPlace

PIN = "582913"
SECURITY_OFFICER_PIN = "771204"
TOKEN = "bbaj tests"
LABEL = "bbaj-packet"
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")


@cache
def the_token() -> TokenPlace:
    """Make a token, once a process: SoftHSM reads its configuration and tokens when it begins."""
    program = shutil.which("softhsm2-util")
    assert program is not None, "softhsm2 is not installed: run `make setup`"
    folder = Path(tempfile.mkdtemp(prefix="bbaj-softhsm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
        "log.level = ERROR\n",
        encoding="ascii",
    )
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    subprocess.run(
        [program, "--init-token", "--free", "--label", TOKEN, "--so-pin",
         SECURITY_OFFICER_PIN, "--pin", PIN],
        check=True, capture_output=True,
    )  # fmt: skip
    return TokenPlace(MODULE, TOKEN, LABEL)


def import_key(path: Path) -> None:
    """Bring a P-256 key of a PKCS#8 file into the token."""
    place = the_token()
    subprocess.run(
        ["softhsm2-util", "--import", path, "--token", place.token, "--label", place.label,
         "--id", os.urandom(8).hex(), "--pin", PIN],
        check=True, capture_output=True,
    )  # fmt: skip
