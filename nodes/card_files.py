"""Cards as files: made where a parent's keys lie, read where a node begins.

    FOLDER/
      <address>.card   what its parent vouches for about a node, signed; the root's own by itself
      <address>.pem    the node's packet certificate: cards, and the keys in them, need it

A node takes what lies there at its start and whatever is put there later. The highest number of an
address counts, so a card is changed by writing a newer one in its place.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from exchange.core.registry import KnownCard, Registry
from exchange.vouching import keys_text, read_card
from schemas import wire
from schemas.addresses import parent_of
from schemas.cards import CardFacts, EncryptionKey, KeyFacts
from schemas.codes import Tier
from schemas.errors import FormatError
from schemas.moments import Instant, format_instant
from schemas.object_header import Body
from schemas.statements import Card, Keys
from signing.errors import (
    IssueError,
    KeyFileDamagedError,
    KeyFileError,
    KeyFileMissingError,
)
from signing.keys import Signer, load_packet_signer
from signing.seal import sign_object

EPOCH = 1
"""Files are there before a node's first epoch ends."""


def card_path(folder: Path, address: str) -> Path:
    """Return where an address's card lies."""
    return folder / f"{address}.card"


def card_files(folder: Path | None) -> list[Path]:
    """Return the signed statements of a folder, those of shorter addresses first."""
    return [] if folder is None else _files_of(folder, "card")


def statements_in(folder: Path | None) -> list[bytes]:
    """Return what a folder's files have, in that order. Raises KeyFileMissingError."""
    return [load_statement(path) for path in card_files(folder)]


def load_statement(path: Path) -> bytes:
    """Return a signed statement's bytes. Raises KeyFileMissingError."""
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"card {path} cannot be read ({error.strerror})"
        raise KeyFileMissingError(f"{what}: let this user read it") from error


def certificate_files(folder: Path | None) -> list[Path]:
    """Return the certificates that a folder of cards has, those of shorter addresses first."""
    return [] if folder is None else _files_of(folder, "pem")


def _files_of(folder: Path, suffix: str) -> list[Path]:
    found = folder.glob(f"[!.]*.{suffix}")
    return sorted(found, key=lambda path: (path.name.count("."), path.name))


def registry_from(here: str, statements: Iterable[bytes]) -> Registry:
    """Return the tree that cards make; no signature is checked, other statements are passed by."""
    registry = Registry(here)
    for raw in statements:
        with suppress(FormatError):
            registry.take(read_card(raw))
    return registry


def load_card(folder: Path, address: str) -> KnownCard | None:
    """Return an address's card; None where there is none. Raises KeyFileError."""
    path = card_path(folder, address)
    if not path.exists():
        return None
    try:
        return read_card(load_statement(path))
    except FormatError as error:
        raise KeyFileDamagedError(f"{path} is no card: have it made again, or remove it") from error


class CardFolder:
    """The folder of cards of a network whose nodes' keys lie together: one process at a time."""

    def __init__(self, folder: Path, nodes: Path) -> None:
        """Write into `folder`; `nodes` has a folder of keys for each address."""
        self.folder = folder
        self._nodes = nodes

    def check_tier(self, address: str, tier: Tier | None) -> None:
        """Raise IssueError where a tier is not strictly below the parent's (R-6)."""
        parent = parent_of(address)
        above = None if parent is None else load_card(self.folder, parent)
        if tier is not None and above is not None and not above.facts.tier.is_above(tier):
            what = f"{address} cannot be of tier {tier}"
            raise IssueError(f"{what}: its parent's is {above.facts.tier}, and must be above it")

    def vouch_for(
        self, address: str, tier: Tier | None, now: Instant, passphrase: bytes | None
    ) -> None:
        """Write the card of a new node, and those of its children that have waited for its key.

        Where the parent's key is not here, or does not open, there is none: the parent vouches for
        the node elsewhere, or later.
        """
        changes: dict[str, object] = {} if tier is None else {"tier": tier}
        for each in (address, *self._waiting_for(address)):
            with suppress(KeyFileError):
                self.write(each, now, changes if each == address else {}, passphrase)

    def _waiting_for(self, address: str) -> list[str]:
        below = (path.name for path in self._nodes.glob(f"{address}.*") if path.name != address)
        return sorted(
            each
            for each in below
            if parent_of(each) == address and not card_path(self.folder, each).exists()
        )

    def write(
        self, address: str, now: Instant, changes: Mapping[str, object], passphrase: bytes | None
    ) -> Path:
        """Write the next card of an address; `changes` are fields of `CardFacts`.

        Raises KeyFileError where the parent's key is not here or does not open, IssueError for a
        tier that does not fit.
        """
        if "tier" in changes:
            self.check_tier(address, Tier(str(changes["tier"])))
        keys = self._nodes / (parent_of(address) or address)
        signer = load_packet_signer(keys / "packet.key", keys / "packet.pem", passphrase)
        before = load_card(self.folder, address)
        facts = self._facts_of(address, before, now)
        number = now if before is None else max(now, before.number + 1)
        card = make_card(msgspec.structs.replace(facts, **changes), signer, number)
        path = card_path(self.folder, address)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        draft.write_bytes(card)
        draft.replace(path)
        return path

    def _facts_of(self, address: str, before: KnownCard | None, now: Instant) -> CardFacts:
        since = format_instant(now)
        if before is not None:
            facts = msgspec.structs.replace(before.facts, since=since)
        else:
            tier = tier_by_depth(address)
            facts = CardFacts(address=address, tier=tier, standing="active", since=since)
        stated = self._nodes / address / "keys.statement"
        if stated.exists():
            facts = msgspec.structs.replace(facts, keys=keys_text(stated.read_bytes()))
        return facts


def make_card(facts: CardFacts, signer: Signer, number: int) -> bytes:
    """Return a card signed by whose key it is: the parent's, at the root its own."""
    body = wire.encode(facts)
    header = Card(
        from_=parent_of(facts.address) or facts.address,
        to=facts.address,
        epoch=EPOCH,
        number=number,
        certificate=signer.fingerprint,
        body=_body_of(body),
    )
    return sign_object(header, signer, body)


def make_keys(
    address: str, signer: Signer, journal: str, encryption: tuple[EncryptionKey, ...], now: Instant
) -> bytes:
    """Return a node's statement of its own keys; `journal` is that certificate's SHA-256, hex."""
    facts = KeyFacts(packet=signer.fingerprint, journal=journal, encryption=encryption)
    body = wire.encode(facts)
    header = Keys(
        from_=address,
        to=address,
        epoch=EPOCH,
        number=now,
        certificate=signer.fingerprint,
        body=_body_of(body),
    )
    return sign_object(header, signer, body)


def tier_by_depth(address: str) -> Tier:
    """Return the tier that an address most likely has: the fourth label and below are schools."""
    tiers = (Tier.REPUBLIC, Tier.OBLAST, Tier.DISTRICT, Tier.SCHOOL)
    return tiers[min(address.count("."), len(tiers) - 1)]


def _body_of(body: bytes) -> Body:
    return Body(hashlib.sha256(body).hexdigest(), len(body))
