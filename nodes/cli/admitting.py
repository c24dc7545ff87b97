"""`bbaj join`: words become settings, steps become lines, and the end a shape."""

import sys
from collections.abc import Callable
from pathlib import Path

from nodes.cli.errors import FileFault, UsageFault
from nodes.cli.invitation_shapes import JoinDone
from nodes.clock import now
from nodes.errors import NotAdmitted
from nodes.invitations import ReceivedInvitation, read_changed, read_invitation
from nodes.join_folder import JoinFolder, Settings
from nodes.joining import Joined, Step, join, warn
from nodes.passphrases import read_passphrase_file
from nodes.texts import text
from schemas.codes import Language
from schemas.invitations import PREFIX, JoinReason
from schemas.moments import SECOND, Instant
from signing.keys import fingerprint, load_certificate

STANDARD_INPUT = "-"
TEXT_BYTES_MAX = 64 * 1024


async def admit(
    invitation: str,
    folder: Path,
    settings: Settings,
    *,
    root_sha256: str | None,
    wait_s: float,
    say: Callable[[Step], None],
) -> JoinDone:
    """Join by an invitation's text. Raises what nodes.joining does."""
    began = now()
    received = await _read(_text_of(invitation), began, root_sha256)
    passphrase = settings.passphrase_file and read_passphrase_file(settings.passphrase_file)
    place = JoinFolder(folder, passphrase or None)
    done = await join(received, place, settings, say, wait_s)
    return _shown(received, place, done, (now() - began) / SECOND)


async def _read(text: str, moment: Instant, root_sha256: str | None) -> ReceivedInvitation:
    """Return an invitation that holds; of a changed one tell its parent where that can be known."""
    try:
        return read_invitation(text, moment, root_sha256)
    except NotAdmitted as error:
        if error.reason is not JoinReason.FORGED or root_sha256 is None:
            raise
        changed = read_changed(text, moment, root_sha256)
        if changed is None or not await warn(changed):
            raise
        what = f"{error.detail}, and {changed.parent} has been told"
        raise NotAdmitted(error.reason, what) from error


def root_of(file: Path | None, sha256: str | None) -> str | None:
    """Return the fingerprint of the root that the operator vouches for. Raises UsageFault."""
    if file is not None and sha256 is not None:
        raise UsageFault("--root and --root-sha256: one of them is enough")
    if file is not None:
        return fingerprint(load_certificate(file))
    return None if sha256 is None else sha256.replace(":", "").lower()


def speaker(language: Language, *, quiet: bool) -> Callable[[Step], None]:
    """Return what tells each step on standard error, in one of the network's languages."""

    def say(step: Step) -> None:
        if not quiet:
            print(f"bbaj: {text(f'joining.{step}', language)}", file=sys.stderr, flush=True)

    return say


def _text_of(given: str) -> str:
    """Return an invitation's text: as given, out of a file, or from standard input."""
    if given.lstrip().startswith(PREFIX):
        return given
    try:
        if given == STANDARD_INPUT:
            return sys.stdin.read(TEXT_BYTES_MAX)
        with Path(given).open(encoding="utf-8", errors="replace") as file:
            return file.read(TEXT_BYTES_MAX)
    except OSError as error:
        what = f"{given[:80]}: {error.strerror}"
        raise FileFault(
            f"{what}: give the text, which begins with {PREFIX}, or its file"
        ) from error


def _shown(
    received: ReceivedInvitation, place: JoinFolder, done: Joined, took_s: float
) -> JoinDone:
    return JoinDone(
        address=received.address,
        tier=received.facts.tier.value,
        parent=received.parent,
        config=str(place.config),
        root_sha256=fingerprint(received.root),
        again=done.state == "known",
        replaces=done.replaces,
        took_s=round(took_s, 3),
    )
