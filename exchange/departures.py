"""Where a broker departs from what was planned for it, thing by thing. Pure, as the plan is."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from exchange.topology import LOG_EXCHANGE, Definitions


class Fault(StrEnum):
    """How one thing at a broker may depart from the plan."""

    MISSING = "missing"
    UNPLANNED = "unplanned"
    OTHER_PASSWORD = "other-password"  # noqa: S105 - a fault's name
    NEEDLESS_PASSWORD = "needless-password"  # noqa: S105 - a fault's name
    DIFFERENT = "different"


class Departure(msgspec.Struct, frozen=True):
    """One thing that a broker has otherwise than planned; whoever shows it has words for it."""

    section: str
    """Of the definitions, like `queues`."""
    name: str
    fault: Fault
    fact: str = ""
    """Where it is another one than planned: which, with what is there and what is planned."""
    have: object = None
    want: object = None


class _Section(msgspec.Struct, frozen=True):
    """How one list of definitions is compared: what names a row, and what of it counts."""

    key: tuple[str, ...]
    facts: tuple[str, ...]


_SECTIONS: Mapping[str, _Section] = {
    "users": _Section(("name",), ("password_hash", "limits", "tags")),
    "vhosts": _Section(("name",), ()),
    "permissions": _Section(("user", "vhost"), ("configure", "write", "read")),
    "topic_permissions": _Section(("user", "vhost", "exchange"), ("write", "read")),
    "policies": _Section(("vhost", "name"), ("pattern", "apply-to", "definition")),
    "exchanges": _Section(("vhost", "name"), ("type", "durable", "internal")),
    "queues": _Section(("vhost", "name"), ("durable", "arguments")),
    "bindings": _Section(("vhost", "source", "destination", "routing_key"), ()),
}
_SECRET = "password_hash"  # noqa: S105 - the name of a field


def differences(planned: Definitions, exported: Definitions) -> list[Departure]:
    """Return what a broker has otherwise than planned, thing by thing; empty where nothing.

    Users and virtual hosts beyond the plan count only where they have rights in the plan's; what
    is bound to the broker's log is the daemon's own doing.
    """
    ours = {vhost["name"] for vhost in planned["vhosts"]}
    found: list[Departure] = []
    for section, rules in _SECTIONS.items():
        wanted = _indexed(planned[section], rules)
        present = _indexed(exported.get(section, ()), rules)
        for key, row in wanted.items():
            found.extend(_row_differences(section, _shown(key), row, present.get(key)))
        found.extend(
            Departure(section, _shown(key), Fault.UNPLANNED)
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
    section: str, name: str, wanted: Definitions, present: Definitions | None
) -> Iterator[Departure]:
    if present is None:
        yield Departure(section, name, Fault.MISSING)
        return
    for fact in _SECTIONS[section].facts:
        want, have = _plain(fact, wanted), _plain(fact, present)
        if want == have:
            continue
        if fact == _SECRET:
            yield Departure(section, name, _password_fault(str(want)))
        else:
            yield Departure(section, name, Fault.DIFFERENT, fact, have, want)


def _password_fault(want: str) -> Fault:
    return Fault.OTHER_PASSWORD if want else Fault.NEEDLESS_PASSWORD


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
