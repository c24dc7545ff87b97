"""What shuts ended machines out of our broker: the lists it reads, and the connections they hold.

RabbitMQ looks at a certificate once, when a connection begins. So lists come first; then those
connections are closed by the broker's own command, where this process may use it.
"""

import asyncio
from pathlib import Path

from exchange.errors import AdministrationFailed
from exchange.provision import Administration
from exchange.topology import link_key
from nodes.broker_lists import BrokerLists
from nodes.config import Config
from nodes.telemetry import Telemetry
from nodes.wiring import broker_names
from signing.chain import TrustStore
from signing.keys import fingerprint


class BrokerDoor:
    """The door of a node's broker; without a broker it does nothing."""

    def __init__(self, config: Config, trust: TrustStore, telemetry: Telemetry) -> None:
        """Stand at the broker of a configuration."""
        self._config = config
        self._trust = trust
        self._telemetry = telemetry
        self._lists = lists_of(config, fingerprint(trust.root))
        self._replaced: set[str] = set()

    def replaced(self, address: str) -> None:
        """Remember that a machine ended whose child now runs on another."""
        self._replaced.add(address)

    async def tend(self) -> None:
        """Write the lists that count now, then hang up on machines that were replaced."""
        if self._lists is None:
            return
        try:
            self._lists.update(self._trust.crls_with_issuers())
        except OSError as error:
            self._telemetry.noticed("broker_lists_unwritten", level="error", why=str(error))
            return
        while self._replaced:
            await asyncio.to_thread(self._hang_up, self._replaced.pop())

    def _hang_up(self, address: str) -> None:
        try:
            closed = close_connections(self._config, address)
        except AdministrationFailed as error:
            do = f"`bbaj child suspend {address}`, then reinstate it: that closes its connections"
            self._telemetry.noticed(
                "replaced_machine_connected", level="warning", child=address, why=str(error), do=do
            )
        else:
            self._telemetry.noticed("replaced_machine_cut", child=address, user=closed)


def lists_of(config: Config, root: str) -> BrokerLists | None:
    """Return the folder that our broker reads; None where we have no broker."""
    folder = broker_crls(config)
    return None if folder is None else BrokerLists(folder, root)


def broker_crls(config: Config) -> Path | None:
    """Return where our broker looks for revocation lists; None where we have no broker."""
    if config.broker is None:
        return None
    return config.broker.crls or config.data / "broker-crls"


def close_connections(config: Config, address: str) -> str:
    """Close a child's connections at our broker; return its user. Raises AdministrationFailed."""
    assert config.broker is not None, "the caller has looked"
    user = broker_names(config).child_user(link_key(config.address, address))
    Administration(config.broker.ctl).close_connections(user)
    return user
