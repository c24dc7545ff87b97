"""What the bodies of cards and key statements say (docs/protocol.md clause 13).

Their text has names in three languages, so it is UTF-8 and not ASCII as headers are; all other
rules of the one encoding hold.
"""

from typing import Annotated, Literal

import msgspec

from schemas import wire
from schemas.addresses import Address, Label
from schemas.codes import Names, Tier
from schemas.errors import FormatError
from schemas.header import Sha256Hex, Size, TypeName
from schemas.identifiers import Bin, Kato, check_bin, check_kato
from schemas.moments import InstantText
from schemas.patterns import whole
from schemas.reasons import Reason

Standing = Literal["active", "suspended", "closed"]
Base64Text = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9+/]*={0,2}"))]

CARD_BYTES_MAX = 32 * 1024
KEM = "MLKEM768_X25519"
ENROLMENT_LABEL = "enrolment"
"""The label under which a parent's invitations have their names; no node may bear it."""


class KatoCode(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A place by the national classifier, and the edition (year and month) that it is read by."""

    code: Kato
    edition: Annotated[str, msgspec.Meta(pattern=whole(r"[0-9]{4}-[0-9]{2}"))]


class EncryptionKey(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A public key to encrypt to; `id` is the SHA-256 of its bytes (ML-KEM-768, then X25519)."""

    id: Sha256Hex
    kem: Literal["MLKEM768_X25519"]
    public: Base64Text


class KeyFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A node's own keys, as it says itself: certificates by SHA-256, and what to encrypt to."""

    packet: Sha256Hex
    journal: Sha256Hex
    encryption: tuple[EncryptionKey, ...]
    """The first one is to be used; what was made for the others can still be opened."""


class EpochFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A new epoch of a node's journal, and the last that was witnessed of the one before."""

    epoch: Annotated[int, msgspec.Meta(ge=2)]
    since: InstantText
    """When its parent let it begin."""
    size: Size
    root: Sha256Hex
    """Of the last checkpoint that the parent holds of the epoch before; size 0: none."""


class CardFacts(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """What a parent vouches for about one node."""

    address: Address
    tier: Tier
    standing: Standing
    since: InstantText
    """When the parent last changed the card."""
    names: Names | None = None
    kato: KatoCode | None = None
    bin: Bin | None = None
    uplink: Address | None = None
    """The neighbour it hangs under, where that is not its parent by name."""
    former: Address | None = None
    successor: Address | None = None
    types: tuple[TypeName, ...] = ()
    """Types that it may send; empty: all."""
    keys: Base64Text | None = None
    """The node's own signed `Keys` object; None until the node has run."""
    epochs: tuple[EpochFacts, ...] = ()
    """The epochs opened after the first, oldest first."""


_cards = msgspec.json.Decoder(CardFacts)
_keys = msgspec.json.Decoder(KeyFacts)


def decode_card(body: bytes) -> CardFacts:
    """Return what a card says. Raises FormatError(format-invalid)."""
    card = wire.decode_text(body, _cards, CARD_BYTES_MAX)
    wire.check_moment("since", card.since)
    fault = None
    if card.bin is not None and (wrong := check_bin(card.bin)):
        fault = f"bin: {wrong}"
    if card.kato is not None and (wrong := check_kato(card.kato.code)):
        fault = f"kato: {wrong}"
    fault = _fault_of_epochs(card.epochs) or fault
    if fault is not None:
        raise FormatError(Reason.FORMAT_INVALID, wire.printable(fault))
    return card


def _fault_of_epochs(epochs: tuple[EpochFacts, ...]) -> str | None:
    for expected, opened in enumerate(epochs, 2):
        wire.check_moment("since", opened.since)
        if opened.epoch != expected:
            return f"epochs: {opened.epoch} where {expected} is next"
    return None


def decode_keys(body: bytes) -> KeyFacts:
    """Return what a node says of its keys. Raises FormatError(format-invalid)."""
    keys = wire.decode_text(body, _keys, CARD_BYTES_MAX)
    if not keys.encryption:
        raise FormatError(Reason.FORMAT_INVALID, "keys: no encryption key")
    return keys


def enrolment_address(parent: Address, invitation: Label) -> Address:
    """Return the name that an invitation's certificate bears, below the parent's own."""
    return f"{parent}.{ENROLMENT_LABEL}.{invitation}"
