"""Where a broker departs from what was planned for it, one sentence each. Pure, as the plan is."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from exchange.topology import LOG_EXCHANGE, Definitions


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

    Users and virtual hosts beyond the plan count only where they have rights in the plan's; what
    is bound to the broker's log is the daemon's own doing.
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
    return {
        tuple(str(row.get(part, "")) for part in rules.key): row
        for row in rows
        if row.get("source") != LOG_EXCHANGE
    }


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
