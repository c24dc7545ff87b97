"""Turns the words of `bbaj invite` and `bbaj join` into what is wished for."""

from collections.abc import Sequence

from nodes.cli.errors import UsageFault
from nodes.cli.inviting import Wish


def wish_of(
    addresses: Sequence[str],
    *,
    tier: str | None,
    names: tuple[str | None, str | None, str | None],
    kato: tuple[str | None, str | None],
    bin_: str | None,
    types: Sequence[str],
    hours: float | None,
    urls: Sequence[str],
) -> Wish:
    """Return whom to invite, and what to say of them. Raises UsageFault."""
    if len(set(addresses)) < len(addresses):
        raise UsageFault("an address is named twice")
    if any(names) and not all(names):
        raise UsageFault("a card has a name in three languages: give --kk, --ru and --en")
    if any(kato) and not all(kato):
        raise UsageFault(
            "a place is a code and the edition it is read by: give both --kato options"
        )
    if len(addresses) > 1 and (any(names) or bin_ is not None):
        raise UsageFault("names and --bin are one body's own: invite it alone")
    kk, ru, en = names
    code, edition = kato
    return Wish(
        addresses=tuple(addresses),
        tier=tier,
        names={"kk": kk, "ru": ru, "en": en} if kk and ru and en else None,
        kato={"code": code, "edition": edition} if code and edition else None,
        bin_=bin_,
        types=tuple(types),
        hours=hours,
        urls=tuple(urls),
    )
