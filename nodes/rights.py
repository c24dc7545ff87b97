"""Who may use which command: roles by a policy file that cites the act it rests on.

    [act]
    name = "On operators of the exchange"
    number = "17-b"
    date = "2026-09-01"

    [users]                      # logins of this machine
    duty = "operator"
    head = "approver"

Each role may do what those before it may. The policy binds who comes through the command; who can
read the node's keys and database passwords is bound by the rights on those files alone. A login
never leaves this machine, and stands in no log or leaf: there a person is a keyed digest.
"""

import hmac
import os
import pwd
import secrets
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from nodes.config import Config
from nodes.errors import ConfigurationFault, NotPermitted
from schemas.patterns import whole

KEY_FILE = "operators.key"
KEY_BYTES = 32
PSEUDONYM_CHARACTERS = 16
NOBODY_LOGGED_IN = 2**32 - 1


class Role(StrEnum):
    """What a person may do, lowest first."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    AUTHORITY = "authority"

    def includes(self, other: "Role") -> bool:
        """Say whether this role may do what the other one may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Need(msgspec.Struct, frozen=True):
    """What a command needs."""

    role: Role | None = None
    """None: nobody is asked."""
    leaf: bool = False
    """An act that must be seen later and is no instruction: the daemon journals it."""


_FREE = Need()
_VIEW = Need(Role.VIEWER)
_OPERATE = Need(Role.OPERATOR)
_APPROVE = Need(Role.APPROVER)

NEEDS: Mapping[str, Need] = {
    # who looks
    "list": _VIEW,
    "show": _VIEW,
    "overdue": _VIEW,
    "incidents": _VIEW,
    "instructions": _VIEW,
    "inbox list": _VIEW,
    "quarantine list": _VIEW,
    "link list": _VIEW,
    "keys list": _VIEW,
    "child list": _VIEW,
    "child show": _VIEW,
    "access list": _VIEW,
    "invitation list": _VIEW,
    "node check": _VIEW,
    "doctor": _VIEW,
    "store verify": _VIEW,
    "journal show": _VIEW,
    "journal stamps": _VIEW,
    "completeness expected": _VIEW,
    "completeness gaps": _VIEW,
    "completeness calendar": _VIEW,
    "archive counts": _VIEW,
    "retention show": _VIEW,
    "retention classes": _VIEW,
    "retention due": _VIEW,
    "hold list": _VIEW,
    "retention list": _VIEW,
    # who handles documents, and keeps the node running
    "send": _OPERATE,
    "ping": _OPERATE,
    "resend": _OPERATE,
    "return": _OPERATE,
    "inbox take": _OPERATE,
    "quarantine show": _OPERATE,
    "print": _OPERATE,
    "evidence export": _OPERATE,
    "track": _OPERATE,
    "reconcile": _OPERATE,
    "archive public": Need(Role.OPERATOR, leaf=True),
    "search": Need(Role.OPERATOR, leaf=True),  # who looks for a person sees personal data
    "journal export-tiles": _OPERATE,
    "journal note": _OPERATE,
    "journal stamp": _OPERATE,
    "journal renew": _OPERATE,
    "child suspend": _OPERATE,
    "child describe": _OPERATE,
    "keys renew": _OPERATE,
    "retention propose": _OPERATE,
    "hold set": _OPERATE,
    "link suspend": Need(Role.OPERATOR, leaf=True),
    "topology": Need(Role.OPERATOR, leaf=True),
    "store migrate": Need(Role.OPERATOR, leaf=True),
    "store partitions": Need(Role.OPERATOR, leaf=True),
    "store rebuild": Need(Role.OPERATOR, leaf=True),
    "backup": Need(Role.OPERATOR, leaf=True),
    # who vouches for others
    "invite": _APPROVE,
    "invitation withdraw": _APPROVE,
    "remove": _APPROVE,
    "revoke": _APPROVE,
    "child reinstate": _APPROVE,
    "child close": _APPROVE,
    "child move": _APPROVE,
    "child adopt": _APPROVE,
    "journal approve": _APPROVE,
    "retention approve": _APPROVE,
    "hold lift": _APPROVE,
    "retention act": _APPROVE,
    "link lift": Need(Role.APPROVER, leaf=True),
    "archive export": Need(Role.APPROVER, leaf=True),
    # who holds the keys of others, or gives up what a record has lost
    "journal recover": Need(Role.AUTHORITY),
    "rebuild": Need(Role.AUTHORITY),
    "keys escrow": Need(Role.AUTHORITY, leaf=True),
    "keys restore": Need(Role.AUTHORITY, leaf=True),
    "restore": Need(Role.AUTHORITY, leaf=True),
    "ca init": Need(Role.AUTHORITY, leaf=True),
    "ca genesis": Need(Role.AUTHORITY, leaf=True),
    "ca hand-over": Need(Role.AUTHORITY, leaf=True),
    "ca authority": Need(Role.AUTHORITY, leaf=True),
    "ca node": Need(Role.AUTHORITY, leaf=True),
    "ca revoke": Need(Role.AUTHORITY, leaf=True),
    "ca crl": Need(Role.AUTHORITY, leaf=True),
    # what is no node's: a table, a daemon's own start, a machine that is no node yet, sandboxes
    "exits": _FREE,
    "types": _FREE,
    "node run": _FREE,
    "join": _FREE,
    "demo": _FREE,
    "demo-negative": _FREE,
    "evidence verify": _FREE,
    "simulate": _FREE,
    "gauntlet": _FREE,
    "bench hop": _FREE,
    "bench backlog": _FREE,
    "bench idle": _FREE,
    "bench seal": _FREE,
    "bench cycle": _FREE,
    "bench archive": _FREE,
    "bench costs": _FREE,
    "bench journal": _FREE,
    "bench tiers": _FREE,
    "bench line": _FREE,
    "bench parts": _FREE,
    "bench soak": _FREE,
    "bench all": _FREE,
}
"""Every command, by its words, and what it needs."""


INSTRUCTED = frozenset(
    {
        "child adopt",
        "child close",
        "child describe",
        "child move",
        "child reinstate",
        "child suspend",
        "hold lift",
        "hold set",
        "invitation withdraw",
        "invite",
        "journal approve",
        "journal recover",
        "journal renew",
        "journal stamp",
        "keys renew",
        "rebuild",
        "reconcile",
        "remove",
        "retention act",
        "retention approve",
        "retention propose",
        "revoke",
        "track",
    }
)
"""Administrative commands that the daemon carries out, and journals as it does."""


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The act that a policy rests on."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    number: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    date: Annotated[str, msgspec.Meta(pattern=whole(r"[0-9]{4}-[01][0-9]-[0-3][0-9]"))]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has which role, by login, and by which act."""

    act: Act
    users: dict[str, Role]

    def allows(self, login: str, role: Role) -> bool:
        """Say whether a user may do what needs a role."""
        return login in self.users and self.users[login].includes(role)


def load_policy(path: Path) -> Policy:
    """Return the policy in a file. Raises ConfigurationFault: no command goes on without it."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Policy)
    except OSError as error:
        raise ConfigurationFault([f"rights.policy: {path}: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationFault([f"rights.policy: {path}: {error}"]) from error


def judge(command: str, policy: Policy, path: Path, login: str) -> NotPermitted | None:
    """Return why a user may not use a command, saying who may; None where he may."""
    need = NEEDS.get(command)
    if need is None:
        return NotPermitted(f"`bbaj {command}` stands in no table of rights: report this")
    if need.role is None or policy.allows(login, need.role):
        return None
    may = [role for role in Role if role.includes(need.role)]
    has = policy.users.get(login)
    return NotPermitted(
        f"`bbaj {command}` is for {' and '.join(may)}, you are {has or 'none of the users'} in "
        f"{path}: ask one of those, or have the policy changed by its act"
    )


def login_name() -> str:
    """Return who uses the command: who logged in, whatever user he has become since."""
    try:
        audited = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        audited = NOBODY_LOGGED_IN
    user = os.getuid() if audited == NOBODY_LOGGED_IN else audited
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def pseudonym(config: Config, login: str) -> str:
    """Return what a person is called in logs and leaves: a digest under a key of this node."""
    digest = hmac.digest(_operators_key(config.data), b"operator\0" + login.encode(), "sha256")
    return f"op-{digest.hex()[:PSEUDONYM_CHARACTERS]}"


def _operators_key(data: Path) -> bytes:
    """Return the key of pseudonyms, made at first use for the data folder's own user."""
    path = data / KEY_FILE
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        give_to_owner(draft)
        try:
            os.link(draft, path)  # the first one made counts, whoever else makes one now
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


def give_to_owner(path: Path) -> None:
    """Let the data folder's own user have what the administrator has made in it."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
