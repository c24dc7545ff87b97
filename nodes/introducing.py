"""What the configuration's folders bring, at the start and later: CRLs, cards, certificates."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from exchange.gate import Gate
from exchange.jobs import Introduced
from nodes.card_files import card_files, certificate_files, load_statement, tier_by_depth
from nodes.clock import now
from nodes.config import Config
from nodes.keyring import KeyFolder
from nodes.wiring import crl_files, load_genesis
from schemas.codes import Tier
from schemas.records import OwnKey
from signing.chain import TrustStore
from signing.errors import KeyFileError
from signing.keys import key_digest, load_certificate, load_crl

OnFault = Callable[[KeyFileError], None]
T = TypeVar("T")


class Folders:
    """Looks at files again once they have changed; what cannot be read yet, each time."""

    def __init__(self, config: Config, trust: TrustStore, keys: KeyFolder) -> None:
        """Look at a node's folders; `trust` learns the certificates among what is new."""
        self._keys = keys
        self._config = config
        self._trust = trust
        self._stamps: dict[Path, tuple[int, int]] = {}

    def all(self) -> Introduced:
        """Return everything, what is trusted already included. Raises KeyFileError."""

        def fail(error: KeyFileError) -> None:
            raise error

        found = self._look(fail)
        known = [self._trust.ders_for(name)[0] for name in self._trust.fingerprints()]
        genesis = load_genesis(self._config)
        return Introduced(
            [self._trust.root, *known],
            found.crls,
            found.cards,
            own_keys=self._own_keys(),
            first=None if genesis is None else genesis.first,
        )

    def _own_keys(self) -> list[OwnKey]:
        """Return the public keys of the key folder: certificates of others are not ours."""
        return [
            OwnKey(key_digest(key), purpose.value, now())
            for purpose, key in self._keys.public_keys()
        ]

    def ready_cosigner(self, gate: Gate) -> None:
        """Let a witness at oblast or republic cosign with ML-DSA-44 as well.

        Its card tells the tier, else the configuration, else the depth of its address; the key is
        made at first use. Raises KeyFolderUnwritable, and KeyFileError.
        """
        if gate.cosigner is None or gate.cosigner.has_mldsa:
            return
        card = gate.registry.card(gate.here)
        known = self._config.tier if card is None else card.facts.tier
        tier = known or tier_by_depth(gate.here)
        if tier in {Tier.REPUBLIC, Tier.OBLAST}:
            self._keys.make_mldsa_key()
            gate.cosigner = self._keys.cosigner()

    def news(self, on_fault: OnFault) -> Introduced | None:
        """Return what has come since the last look; None where nothing has."""
        found = self._look(on_fault)
        return found if found.certificates or found.crls or found.cards else None

    def _look(self, on_fault: OnFault) -> Introduced:
        keys = self._config.keys
        certificates = self._read(certificate_files(keys.cards), load_certificate, on_fault)
        self._trust.add_certificates(certificates)
        crls = self._read(crl_files(self._config), load_crl, on_fault)
        cards = self._read(card_files(keys.cards), load_statement, on_fault)
        return Introduced(certificates, crls, cards)

    def _read(self, paths: Iterable[Path], load: Callable[[Path], T], on_fault: OnFault) -> list[T]:
        found = []
        for path in paths:
            try:
                stamp = _stamp(path)
                if self._stamps.get(path) != stamp:
                    found.append(load(path))
                    self._stamps[path] = stamp
            except KeyFileError as error:
                on_fault(error)
        return found


def _stamp(path: Path) -> tuple[int, int]:
    """Return what changes with a file's content; nothing that a file which has gone has."""
    try:
        facts = path.stat()
    except OSError:
        return (0, 0)
    return (facts.st_mtime_ns, facts.st_size)
