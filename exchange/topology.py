"""What a node's broker must hold, as RabbitMQ definitions. Pure: no I/O, no broker, no clock.

One topology for RabbitMQ 3.10 and 4.x. Arguments stand only where a policy cannot; rights are
written literally, user by user. A child declares nothing, writes one AMQP exchange under its own
routing key, reads one queue, and has no password: it logs in by its certificate's DNS name.

A child's *link key* names its queues and is its routing key: its label, or its whole address where
it hangs under a node that is not its parent by name.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from schemas.addresses import LABEL_PATTERN, dns_name, is_address, label_of, parent_of

NOTHING = "^$"
STRANGERS = "strangers"
"""The queue of the broker's own log lines; the daemon binds it, where the broker has its log."""
LOG_EXCHANGE = "amq.rabbitmq.log"
LINK_QUEUE_BYTES_MAX = 64_000_000
"""With windows, a link's queues stay near empty; this is a fuse."""
LOCAL_QUEUE_BYTES_MAX = 1024**3
STRANGERS_MESSAGES_MAX = 1000
"""So many log lines wait for the daemon; the oldest go first."""
OUTBOUND_MESSAGES_MAX = 10_000
DELIVERY_LIMIT = 1000
"""A bad line's days, not a poison's end: 4.x drops after 20 where nobody says otherwise."""
USER_LIMITS = {"max-connections": 3, "max-channels": 6}
"""Two connections are the link's; a third is for `bbaj doctor`, beside the daemon."""
HASHING = "rabbit_password_hashing_sha256"

Definitions = dict[str, Any]

_label = re.compile(LABEL_PATTERN)


class Names(msgspec.Struct, frozen=True, gc=False):
    """What a node's broker serves: its address and virtual hosts, and the daemon's user."""

    address: str
    daemon_user: str
    vhost: str = "bbaj"
    local_vhost: str = "bbaj-local"

    def child_user(self, key: str) -> str:
        """Return the user of a child: the DNS name that its link certificate bears."""
        return dns_name(key if "." in key else f"{self.address}.{key}")


def link_key(here: str, child: str) -> str:
    """Return the link key of a child of `here`."""
    return label_of(child) if parent_of(child) == here else child


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
    guests: Mapping[str, str] | None = None,
) -> Definitions:
    """Return the definitions of a node's broker; `systems` maps each name to a password hash.

    Children are named by their link keys. `guests` are users of invitations, each with the key of
    the link that it may use.
    Raises ValueError for names that are no keys or labels, or that would share a user.
    """
    _check_names(names, children, systems)
    logins = {names.child_user(key): key for key in children} | dict(guests or {})
    users = [_user(names.daemon_user, daemon_password_hash)]
    users += [_user(login, "", USER_LIMITS) for login in logins]
    users += [_user(system, password_hash) for system, password_hash in systems.items()]
    return {
        "users": users,
        "vhosts": [{"name": names.vhost}, {"name": names.local_vhost}],
        "permissions": [
            *_daemon_permissions(names),
            *_child_permissions(names, logins),
            *_system_permissions(names, systems),
        ],
        "topic_permissions": [
            *_child_topic_permissions(names, logins),
            *_system_topic_permissions(names, systems),
        ],
        "policies": list(_policies(names)),
        "exchanges": list(_exchanges(names)),
        "queues": [
            *_dead_queues(names),
            _queue(names.vhost, STRANGERS),
            *_child_queues(names, children),
            *_system_queues(names, systems),
        ],
        "bindings": [
            *_dead_bindings(names),
            *_child_bindings(names, children),
            *_system_bindings(names, systems),
        ],
    }


def plan_child(names: Names, key: str, *, user: str | None = None) -> Definitions:
    """Return the definitions of one child alone, to be imported beside all that is there.

    `user` is who logs in, where that is not the child: an invitation's DNS name. Raises ValueError
    for what is no link key.
    """
    _check_names(names, [key], ())
    logins = {user or names.child_user(key): key}
    return {
        "users": [_user(login, "", USER_LIMITS) for login in logins],
        "vhosts": [],
        "permissions": list(_child_permissions(names, logins)),
        "topic_permissions": list(_child_topic_permissions(names, logins)),
        "policies": [],
        "exchanges": [],
        "queues": list(_child_queues(names, [key])),
        "bindings": list(_child_bindings(names, [key])),
    }


def read_queues(children: Iterable[str]) -> list[str]:
    """Return the queues of the links' virtual host that the daemon reads: what a probe asks for."""
    return [*(f"up.{key}" for key in children), "dead"]


def read_local_queues(systems: Iterable[str]) -> list[str]:
    """Return the queues of the local virtual host that the daemon reads."""
    return [*(f"outbound.{system}" for system in systems), "dead"]


def _check_names(names: Names, keys: Iterable[str], systems: Iterable[str]) -> None:
    for name in (*keys, *systems):
        is_key = _label.fullmatch(name) is not None or (name not in systems and is_address(name))
        if not is_key:
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


def _right(user: str, vhost: str, write: str, read: str) -> Definitions:
    return {"user": user, "vhost": vhost, "configure": NOTHING, "write": write, "read": read}


def _topic_right(user: str, vhost: str, exchange: str, key: str) -> Definitions:
    return {
        "user": user,
        "vhost": vhost,
        "exchange": exchange,
        "write": _exactly(key),
        "read": NOTHING,
    }


def _daemon_permissions(names: Names) -> Iterator[Definitions]:
    daemon = names.daemon_user
    log = literal(LOG_EXCHANGE)
    # Binding a queue asks for writing it, and for reading what it is bound to.
    write, read = f"^(down|{STRANGERS})$", rf"^(up\..*|dead|{STRANGERS}|{log})$"
    yield _right(daemon, names.vhost, write, read)
    yield _right(daemon, names.local_vhost, "^(inbox|status)$", r"^(outbound\..*|dead)$")


def _child_permissions(names: Names, logins: Mapping[str, str]) -> Iterator[Definitions]:
    for user, key in logins.items():
        yield _right(user, names.vhost, "^up$", _exactly(f"down.{key}"))


def _system_permissions(names: Names, systems: Iterable[str]) -> Iterator[Definitions]:
    for system in systems:
        read = rf"^(inbox|status)\.{literal(system)}$"
        yield _right(system, names.local_vhost, "^outbound$", read)


def _child_topic_permissions(names: Names, logins: Mapping[str, str]) -> Iterator[Definitions]:
    for user, key in logins.items():
        yield _topic_right(user, names.vhost, "up", key)


def _system_topic_permissions(names: Names, systems: Iterable[str]) -> Iterator[Definitions]:
    for system in systems:
        yield _topic_right(system, names.local_vhost, "outbound", system)


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
    yield {
        "vhost": names.vhost,
        "name": STRANGERS,
        "pattern": _exactly(STRANGERS),
        "apply-to": "queues",
        "priority": 0,
        "definition": {"max-length": STRANGERS_MESSAGES_MAX, "overflow": "drop-head"},
    }
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


def _queue(vhost: str, name: str, **arguments: object) -> Definitions:
    return {
        "name": name,
        "vhost": vhost,
        "durable": True,
        "auto_delete": False,
        "arguments": {"x-queue-type": "quorum", **arguments},
    }


def _dead_queues(names: Names) -> Iterator[Definitions]:
    yield from (_queue(vhost, "dead") for vhost in (names.vhost, names.local_vhost))


def _child_queues(names: Names, keys: Iterable[str]) -> Iterator[Definitions]:
    for key in keys:
        yield _queue(names.vhost, f"up.{key}")
        yield _queue(names.vhost, f"down.{key}", **{"x-single-active-consumer": True})


def _system_queues(names: Names, systems: Iterable[str]) -> Iterator[Definitions]:
    for system in systems:
        for place in ("outbound", "inbox", "status"):
            yield _queue(names.local_vhost, f"{place}.{system}")


def _binding(vhost: str, source: str, key: str) -> Definitions:
    return {
        "source": source,
        "vhost": vhost,
        "destination": f"{source}.{key}" if key else source,
        "destination_type": "queue",
        "routing_key": key,
        "arguments": {},
    }


def _dead_bindings(names: Names) -> Iterator[Definitions]:
    yield from (_binding(vhost, "dead", "") for vhost in (names.vhost, names.local_vhost))


def _child_bindings(names: Names, keys: Iterable[str]) -> Iterator[Definitions]:
    for key in keys:
        yield from (_binding(names.vhost, source, key) for source in ("up", "down"))


def _system_bindings(names: Names, systems: Iterable[str]) -> Iterator[Definitions]:
    for system in systems:
        yield from (
            _binding(names.local_vhost, place, system) for place in ("outbound", "inbox", "status")
        )
