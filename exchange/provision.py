"""Bring our own broker to what was planned, and say where it departs, by its own command.

The command (`rabbitmqctl`, or what stands for it) works over a loopback administration channel;
the daemon itself has no right to configure anything.
"""

import subprocess
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from exchange.departures import Departure, differences
from exchange.errors import AdministrationFailed
from exchange.topology import Definitions, Names

TIMEOUT_S = 120


class Administration:
    """The broker's administration command, such as `("rabbitmqctl",)`.

    `environment` is all that the command sees, where given. Each call raises AdministrationFailed
    where the command fails.
    """

    def __init__(self, ctl: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._ctl = list(ctl)
        self._environment = dict(environment) if environment is not None else None

    def apply(self, planned: Definitions) -> list[Departure]:
        """Import the plan and return where the broker still departs from it, as `check`.

        What is missing is made and what differs is set, as far as a live broker can; nothing is
        deleted. Safe to repeat.
        """
        self._import(planned)
        return self._complete(planned, self.export())

    def apply_beside(self, planned: Definitions, gone: Collection[str]) -> list[Departure]:
        """As `apply` for a part of the plan; then delete the users of invitations that are over."""
        self._import(planned)
        exported = self.export()
        self._delete_guests([user["name"] for user in exported["users"]], gone)
        return self._complete(planned, exported)

    def _import(self, planned: Definitions) -> None:
        self._call("import_definitions", "--format", "json", given=msgspec.json.encode(planned))

    def _complete(self, planned: Definitions, exported: Definitions) -> list[Departure]:
        """Set what an import may have left out; return where the broker still departs."""
        limits = {user["name"]: user.get("limits") for user in exported["users"]}
        # Versions differ in whether an import takes limits.
        missed = [
            user for user in planned["users"] if user["limits"] != (limits.get(user["name"]) or {})
        ]
        for user in missed:
            wanted = msgspec.json.encode(user["limits"]).decode()
            self._call("set_user_limits", user["name"], wanted)
        return differences(planned, self.export() if missed else exported)

    def export(self) -> Definitions:
        """Return the broker's definitions."""
        raw = self._call("export_definitions", "-", "--format", "json")
        definitions: Definitions = msgspec.json.decode(raw[raw.index(b"{") :])
        return definitions

    def check(self, planned: Definitions) -> list[Departure]:
        """Return where the broker departs from the plan."""
        return differences(planned, self.export())

    def withdraw_child(self, names: Names, key: str) -> list[str]:
        """Delete a child's user, which closes its connections, then its queues where empty.

        Returns the queues that stay because something is in them.
        """
        self.withdraw_user(names.child_user(key))
        return self._delete_empty(names.vhost, [f"up.{key}", f"down.{key}"])

    def withdraw_user(self, user: str) -> None:
        """Delete a user, which closes its connections; harmless where there is none."""
        if any(row["user"] == user for row in self._rows("list_users")):
            self._call("delete_user", user)

    def withdraw_guests(self, gone: Collection[str]) -> None:
        """Delete the users of invitations that are over."""
        self._delete_guests([row["user"] for row in self._rows("list_users")], gone)

    def _delete_guests(self, users: Sequence[str], gone: Collection[str]) -> None:
        for user in set(users).intersection(gone):
            self._call("delete_user", user)

    def withdraw_system(self, names: Names, system: str) -> list[str]:
        """Delete a local system's user, then its queues where empty; returns those that stay."""
        self.withdraw_user(system)
        places = ("outbound", "inbox", "status")
        return self._delete_empty(names.local_vhost, [f"{place}.{system}" for place in places])

    def close_connections(self, user: str) -> None:
        """Close a user's connections: rights that were taken away still hold on open channels."""
        self._call("close_all_user_connections", user, "rights have changed")

    def _delete_empty(self, vhost: str, queues: Sequence[str]) -> list[str]:
        # Quorum queues know no --if-empty: the command refuses it, and ends with 0.
        messages = {
            row["name"]: row["messages"]
            for row in self._rows("list_queues", "-p", vhost, "name", "messages")
            if row["name"] in queues
        }
        for queue, count in messages.items():
            if count == 0:
                self._call("delete_queue", queue, "-p", vhost)
        return sorted(queue for queue, count in messages.items() if count)

    def _rows(self, *words: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = msgspec.json.decode(self._call(*words, "--formatter", "json"))
        return rows

    def _call(self, *words: str, given: bytes | None = None) -> bytes:
        try:
            done = subprocess.run(
                [*self._ctl, "--quiet", *words],
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=True,
                env=self._environment,
            )
        except subprocess.CalledProcessError as error:
            said = (error.stderr + error.stdout).decode(errors="replace").strip()
            raise AdministrationFailed(f"{words[0]}: {said[-500:]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AdministrationFailed(f"{words[0]}: {error}") from error
        return done.stdout
