"""The authorities of the simulated country: they issue their lists each day, and revoke."""

import asyncio

from cryptography import x509

from exchange.jobs import Introduced
from harness.pki import Network
from schemas.moments import DAY, SECOND
from signing.authority import Revoked, issue_crl
from simulation.machine import Machine


class Authorities:
    """All of them, with their keys; their lists lie in the folder of the root's machine."""

    def __init__(self, network: Network, top: Machine) -> None:
        self._network = network
        self._top = top
        self._revoked: dict[str | None, list[Revoked]] = {}
        self._number = network.current_number

    async def run(self) -> None:
        """Issue new lists each day."""
        while True:
            await asyncio.sleep(DAY / SECOND)
            await self.issue()

    async def revoke(self, address: str) -> None:
        """Revoke a node's packet certificate, and tell at once."""
        certificate = x509.load_der_x509_certificate(
            self._network.nodes[address].packet.certificate
        )
        authority = self._network.authority_for(address)
        entry = Revoked(certificate.serial_number, self._top.watch.now(), "keyCompromise")
        self._revoked.setdefault(authority.subtree, []).append(entry)
        await self.issue()

    async def issue(self) -> None:
        """Put the next list of each authority into the root's folder."""
        self._number += 1
        issuers = (self._network.root, *self._network.authorities.values())
        self._top.crls = tuple(
            issue_crl(
                issuer, self._revoked.get(issuer.subtree, []), self._number, self._top.watch.now()
            )
            for issuer in issuers
        )
        if self._top.service is not None:
            await self._top.service.submit(Introduced([], list(self._top.crls), []))
