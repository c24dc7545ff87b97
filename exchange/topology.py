"""What a node's broker must hold, as RabbitMQ definitions. Pure: no I/O, no broker, no clock.

One topology for RabbitMQ 3.10 and 4.x. Arguments stand only where a policy cannot; rights are
written literally, user by user. A child declares nothing, writes one AMQP exchange under its own
routing key, reads one queue, and has no password: it logs in by its certificate's DNS name.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from schemas.addresses import LABEL_PATTERN, dns_name

NOTHING = "^$"
LINK_QUEUE_BYTES_MAX = 64_000_000
"""With windows, a link's queues stay near empty; this is a fuse."""
LOCAL_QUEUE_BYTES_MAX = 1024**3
OUTBOUND_MESSAGES_MAX = 10_000
DELIVERY_LIMIT = 1000
"""A bad line's days, not a poison's end: 4.x drops after 20 where nobody says otherwise."""
USER_LIMITS = {"max-connections": 2, "max-channels": 4}
HASHING = "rabbit_password_hashing_sha256"

Definitions = dict[str, Any]

_label = re.compile(LABEL_PATTERN)


class Names(msgspec.Struct, frozen=True, gc=False):
    """What a node's broker serves: its address and virtual hosts, and the daemon's user."""

    address: str
    daemon_user: str
    vhost: str = "bbaj"
    local_vhost: str = "bbaj-local"

    def child_user(self, label: str) -> str:
        """Return the user of a child: the DNS name that its link certificate bears."""
        return dns_name(f"{self.address}.{label}")


def hash_password(user: str, password: str) -> str:
    """Return RabbitMQ's salted SHA-256 of a password.

    The salt is the user's, so that planning twice gives one plan; passwords here are drawn by
    machine, so a salt has nothing to add against guessing. Raises ValueError for no password.
    """
    if not password:
        raise ValueError(f"user {user!r} has an empty password: is its file missing?")
    salt = hashlib.sha256(user.encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def plan(
    names: Names,
    children: Sequence[str],
    systems: Mapping[str, str],
    *,
    daemon_password_hash: str,
) -> Definitions:
    """Return the definitions of a node's broker; `systems` maps each name to a password hash.

    Raises ValueError for names that are no labels, or that would share a user.
    """
    _check_names(names, children, systems)
    users = [_user(names.daemon_user, daemon_password_hash)]
    users += [_user(names.child_user(label), "", USER_LIMITS) for label in children]
    users += [_user(system, password_hash) for system, password_hash in systems.items()]
    return {
        "users": users,
        "vhosts": [{"name": names.vhost}, {"name": names.local_vhost}],
        "permissions": list(_permissions(names, children, systems)),
        "topic_permissions": list(_topic_permissions(names, children, systems)),
        "policies": list(_policies(names)),
        "exchanges": list(_exchanges(names)),
        "queues": list(_queues(names, children, systems)),
        "bindings": list(_bindings(names, children, systems)),
    }


def read_queues(children: Iterable[str]) -> list[str]:
    """Return the queues of the links' virtual host that the daemon reads: what a probe asks for."""
    return [*(f"up.{label}" for label in children), "dead"]


def read_local_queues(systems: Iterable[str]) -> list[str]:
    """Return the queues of the local virtual host that the daemon reads."""
    return [*(f"outbound.{system}" for system in systems), "dead"]


def _check_names(names: Names, children: Iterable[str], systems: Iterable[str]) -> None:
    for name in (*children, *systems):
        if _label.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no label: a-z, 0-9 and inner -, at most 32 characters")
    if names.daemon_user in systems:
        raise ValueError(f"local system {names.daemon_user!r} has the name of the daemon's user")


def _user(name: str, password_hash: str, limits: Mapping[str, int] | None = None) -> Definitions:
    return {
        "name": name,
        "password_hash": password_hash,
        "hashing_algorithm": HASHING,
        "tags": [],
        "limits": dict(limits or {}),
    }


def _permissions(
    names: Names, children: Iterable[str], systems: Iterable[str]
) -> Iterator[Definitions]:
    def row(user: str, vhost: str, write: str, read: str) -> Definitions:
        return {
            "user": user,
            "vhost": vhost,
            "configure": NOTHING,
            "write": write,
            "read": read,
        }

    yield row(names.daemon_user, names.vhost, "^down$", r"^(up\..*|dead)$")
    yield row(names.daemon_user, names.local_vhost, "^(inbox|status)$", r"^(outbound\..*|dead)$")
    for label in children:
        yield row(names.child_user(label), names.vhost, "^up$", _exactly(f"down.{label}"))
    for system in systems:
        name = literal(system)
        yield row(system, names.local_vhost, "^outbound$", rf"^(inbox|status)\.{name}$")


def _topic_permissions(
    names: Names, children: Iterable[str], systems: Iterable[str]
) -> Iterator[Definitions]:
    def row(user: str, vhost: str, exchange: str, key: str) -> Definitions:
        return {
            "user": user,
            "vhost": vhost,
            "exchange": exchange,
            "write": _exactly(key),
            "read": NOTHING,
        }

    for label in children:
        yield row(names.child_user(label), names.vhost, "up", label)
    for system in systems:
        yield row(system, names.local_vhost, "outbound", system)


def literal(text: str) -> str:
    """Return a pattern that matches `text` alone; of a label's characters none needs more."""
    return text.replace(".", r"\.")


def _exactly(text: str) -> str:
    return f"^{literal(text)}$"


def _policies(names: Names) -> Iterator[Definitions]:
    def row(vhost: str, name: str, pattern: str, **limits: int) -> Definitions:
        return {
            "vhost": vhost,
            "name": name,
            "pattern": pattern,
            "apply-to": "queues",
            "priority": 0,
            "definition": {
                "delivery-limit": DELIVERY_LIMIT,
                "dead-letter-exchange": "dead",
                "dead-letter-strategy": "at-least-once",
                "overflow": "reject-publish",
                **{key.replace("_", "-"): value for key, value in limits.items()},
            },
        }

    yield row(names.vhost, "links", r"^(up|down)\..*", max_length_bytes=LINK_QUEUE_BYTES_MAX)
    yield row(
        names.local_vhost,
        "drops",
        r"^outbound\..*",
        max_length=OUTBOUND_MESSAGES_MAX,
        max_length_bytes=LOCAL_QUEUE_BYTES_MAX,
    )
    yield row(
        names.local_vhost,
        "answers",
        r"^(inbox|status)\..*",
        max_length_bytes=LOCAL_QUEUE_BYTES_MAX,
    )


def _exchanges(names: Names) -> Iterator[Definitions]:
    kinds = (
        # topic, not direct: on a direct one topic rights are not asked and the key is free.
        (names.vhost, "up", "topic"),
        (names.vhost, "down", "direct"),
        (names.vhost, "dead", "fanout"),
        (names.local_vhost, "outbound", "topic"),
        (names.local_vhost, "inbox", "topic"),
        (names.local_vhost, "status", "topic"),
        (names.local_vhost, "dead", "fanout"),
    )
    for vhost, name, kind in kinds:
        yield {
            "name": name,
            "vhost": vhost,
            "type": kind,
            "durable": True,
            "auto_delete": False,
            "internal": False,
            "arguments": {},
        }


def _queues(names: Names, children: Iterable[str], systems: Iterable[str]) -> Iterator[Definitions]:
    def row(vhost: str, name: str, **arguments: object) -> Definitions:
        return {
            "name": name,
            "vhost": vhost,
            "durable": True,
            "auto_delete": False,
            "arguments": {"x-queue-type": "quorum", **arguments},
        }

    yield row(names.vhost, "dead")
    yield row(names.local_vhost, "dead")
    for label in children:
        yield row(names.vhost, f"up.{label}")
        yield row(names.vhost, f"down.{label}", **{"x-single-active-consumer": True})
    for system in systems:
        for place in ("outbound", "inbox", "status"):
            yield row(names.local_vhost, f"{place}.{system}")


def _bindings(
    names: Names, children: Iterable[str], systems: Iterable[str]
) -> Iterator[Definitions]:
    def row(vhost: str, source: str, key: str) -> Definitions:
        return {
            "source": source,
            "vhost": vhost,
            "destination": f"{source}.{key}" if key else source,
            "destination_type": "queue",
            "routing_key": key,
            "arguments": {},
        }

    yield row(names.vhost, "dead", "")
    yield row(names.local_vhost, "dead", "")
    for label in children:
        yield from (row(names.vhost, source, label) for source in ("up", "down"))
    for system in systems:
        yield from (row(names.local_vhost, s, system) for s in ("outbound", "inbox", "status"))


# ------------------------------------------------------------------ comparing


class _Section(msgspec.Struct, frozen=True):
    """How one list of definitions is compared: what names a row, and what of it counts."""

    title: str
    key: tuple[str, ...]
    facts: tuple[str, ...]


_SECTIONS: Mapping[str, _Section] = {
    "users": _Section("user", ("name",), ("password_hash", "limits", "tags")),
    "vhosts": _Section("virtual host", ("name",), ()),
    "permissions": _Section("rights of", ("user", "vhost"), ("configure", "write", "read")),
    "topic_permissions": _Section(
        "topic rights of", ("user", "vhost", "exchange"), ("write", "read")
    ),
    "policies": _Section("policy", ("vhost", "name"), ("pattern", "apply-to", "definition")),
    "exchanges": _Section("AMQP exchange", ("vhost", "name"), ("type", "durable", "internal")),
    "queues": _Section("queue", ("vhost", "name"), ("durable", "arguments")),
    "bindings": _Section("binding", ("vhost", "source", "destination", "routing_key"), ()),
}
_SECRET = "password_hash"  # noqa: S105 - the name of a field


def differences(planned: Definitions, exported: Definitions) -> list[str]:
    """Return what a broker has otherwise than planned, one sentence each; empty where nothing.

    Users and virtual hosts beyond the plan count only where they have rights in the plan's.
    """
    ours = {vhost["name"] for vhost in planned["vhosts"]}
    found: list[str] = []
    for section, rules in _SECTIONS.items():
        wanted = _indexed(planned[section], rules)
        present = _indexed(exported.get(section, ()), rules)
        for key, row in wanted.items():
            found.extend(_row_differences(rules, key, row, present.get(key)))
        found.extend(
            f"{rules.title} {_shown(key)} is not planned"
            for key, row in present.items()
            if key not in wanted and row.get("vhost") in ours
        )
    return found


def _indexed(rows: Iterable[Definitions], rules: _Section) -> dict[tuple[str, ...], Definitions]:
    return {tuple(str(row.get(part, "")) for part in rules.key): row for row in rows}


def _row_differences(
    rules: _Section, key: tuple[str, ...], wanted: Definitions, present: Definitions | None
) -> Iterator[str]:
    if present is None:
        yield f"{rules.title} {_shown(key)} is missing"
        return
    for fact in rules.facts:
        want, have = _plain(fact, wanted), _plain(fact, present)
        if want == have:
            continue
        if fact == _SECRET:
            yield f"{rules.title} {_shown(key)} has {_password_fault(str(want))}"
        else:
            yield f"{rules.title} {_shown(key)} has {fact} {have!r}, planned {want!r}"


def _password_fault(want: str) -> str:
    return "another password than planned" if want else "a password, and must have none"


def _plain(fact: str, row: Definitions) -> object:
    """Return a fact as every version writes it: tags were text once, empty may be left out."""
    value = row.get(fact)
    normal: Callable[[Any], object] | None = _NORMAL.get(fact)
    return normal(value) if normal else value


_NORMAL: Mapping[str, Callable[[Any], object]] = {
    "tags": lambda tags: sorted(filter(None, tags.split(","))) if isinstance(tags, str) else tags,
    "limits": lambda limits: dict(limits or {}),
    "password_hash": lambda value: value or "",
    "internal": bool,
}


def _shown(key: tuple[str, ...]) -> str:
    return " / ".join(part or "''" for part in key)
