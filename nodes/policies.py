"""The policies that a node decides by: each version is a leaf of the journal (19.5).

The table of algorithms, the roots of time-stamp authorities and the policy on retention are kept as
well: evidence and destruction rest on them. Of the policy on rights, which names logins, only
digests are. A version is told to the daemon as an instruction, so that it and its leaf are one
commit.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from exchange.identity import new_packet_id
from exchange.ports import Archive
from exchange.standing import PolicySeen
from nodes.config import Config
from nodes.errors import ConfigurationFault
from schemas import retention
from schemas.errors import FormatError
from schemas.moments import Instant
from schemas.records import InstructionRow
from schemas.report_calendar import CALENDAR_NAME, Calendar, decode_calendar
from schemas.retention import RetentionPolicy
from signing.algorithms import (
    DEFAULT,
    POLICY_NAME,
    AlgorithmPolicy,
    decode_policy,
    encode_policy,
)
from signing.timestamps import load_roots

DAEMON = "daemon"
"""Who says that a policy counts: it was put there by somebody whom only files' rights know."""
KIND = "policy"


def root_policy_name(authority: str) -> str:
    """Return what the record calls the roots of a time-stamp authority."""
    return f"timestamps-{authority}.pem"


def open_algorithms(config: Config) -> AlgorithmPolicy:
    """Return the table of algorithms. Raises OSError, and FormatError naming what is wrong."""
    path = config.policies.algorithms
    return DEFAULT if path is None else decode_policy(path.read_bytes())


def open_retention(config: Config) -> RetentionPolicy:
    """Return the policy on retention. Raises ConfigurationFault naming what is wrong in it."""
    try:
        return retention.decode_policy(retention_bytes(config))
    except FormatError as error:
        raise ConfigurationFault([f"retention.policy: {error.detail}"]) from error
    except OSError as error:
        raise ConfigurationFault([f"retention.policy: {error.strerror}"]) from error


def retention_bytes(config: Config) -> bytes:
    """Return the text of the policy on retention. Raises OSError."""
    path = config.retention.policy
    return retention.encode_policy(retention.DEFAULT) if path is None else path.read_bytes()


def open_calendar(config: Config) -> Calendar:
    """Return the calendar of expected reports. Raises ConfigurationFault saying what to do."""
    path = config.completeness.calendar
    if path is None:
        hint = "`bbaj completeness calendar --sample` prints one to begin with"
        raise ConfigurationFault([f"completeness.calendar: missing: {hint}"])
    try:
        return decode_calendar(path.read_bytes())
    except FormatError as error:
        raise ConfigurationFault([f"completeness.calendar: {error.detail}"]) from error
    except OSError as error:
        raise ConfigurationFault([f"completeness.calendar: {path}: {error.strerror}"]) from error


class Policies:
    """Tells the daemon of each version that is not the one told last."""

    def __init__(self, config: Config, archive: Archive) -> None:
        """Look at the files that a configuration names."""
        self._config = config
        self._archive = archive
        self._told: dict[str, str] | None = None

    async def announce(self, at: Instant) -> list[str]:
        """Tell of what is new; return its names.

        Raises OSError and FormatError where a file cannot be used; those before it are told.
        """
        if self._told is None:
            self._told = await self._told_before()
        names = []
        for seen in self._policies():
            name = seen.name
            if self._told.get(name) != seen.sha256:
                said = msgspec.json.encode(seen)
                await self._archive.instruct(
                    InstructionRow(new_packet_id(at), at, DAEMON, KIND, said)
                )
                self._told[name] = seen.sha256
                names.append(name)
        return names

    async def _told_before(self) -> dict[str, str]:
        """Return the digest told last of each policy."""
        rows = await self._archive.instructions_of(KIND)
        seen = [msgspec.json.decode(row.content, type=PolicySeen) for row in rows]
        return {each.name: each.sha256 for each in seen}

    def _policies(self) -> Iterator[PolicySeen]:
        """Go through the policies that count, each checked."""
        rights: Path | None = self._config.rights.policy
        if rights is not None:
            yield _seen(rights.name, rights.read_bytes(), is_kept=False)
        table = self._config.policies.algorithms
        raw = encode_policy(DEFAULT) if table is None else table.read_bytes()
        decode_policy(raw)
        yield _seen(POLICY_NAME, raw)
        terms = retention_bytes(self._config)
        retention.decode_policy(terms)
        yield _seen(retention.POLICY_NAME, terms)
        calendar = self._config.completeness.calendar
        if calendar is not None:
            raw = calendar.read_bytes()
            decode_calendar(raw)
            yield _seen(CALENDAR_NAME, raw)
        for place in self._config.timestamps:
            pem = place.root.read_bytes()
            load_roots(pem)
            yield _seen(root_policy_name(place.name), pem)


def _seen(name: str, content: bytes, *, is_kept: bool = True) -> PolicySeen:
    return PolicySeen(
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        sha512=hashlib.sha512(content).hexdigest(),
        content=content if is_kept else b"",
    )
