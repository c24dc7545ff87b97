"""Turns the words of `bbaj child describe` and `bbaj revoke` into what the daemon is told."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from exchange.revoking import Revoke
from exchange.standing import Describe
from nodes.cli.errors import UsageFault

Shape = TypeVar("Shape", bound=msgspec.Struct)


def describe(
    address: str,
    *,
    names: tuple[str | None, str | None, str | None],
    kato: tuple[str | None, str | None],
    bin_: str | None,
    types: Sequence[str] | None,
    former: str | None,
) -> Describe:
    """Return what is to be changed. Raises UsageFault."""
    said: dict[str, Any] = {}
    if any(names):
        if not all(names):
            raise UsageFault("a card has a name in three languages: give --kk, --ru and --en")
        said["names"] = dict(zip(("kk", "ru", "en"), names, strict=True))
    if any(kato):
        if not all(kato):
            raise UsageFault("a KATO code is read by an edition: give --kato and --kato-edition")
        said["kato"] = dict(zip(("code", "edition"), kato, strict=True))
    if bin_ is not None:
        said["bin"] = bin_
    if types is not None:
        said["types"] = list(types)
    if former is not None:
        said["former"] = former
    if not said:
        raise UsageFault("nothing to change: name what the card should say")
    return _convert({"address": address, **said}, Describe)


def revoke(what: str, reason: str) -> Revoke:
    """Return what is to be revoked. Raises UsageFault."""
    return _convert({"what": what.replace(":", "").lower(), "reason": reason}, Revoke)


def _convert(said: dict[str, Any], shape: type[Shape]) -> Shape:
    try:
        return msgspec.convert(said, shape)
    except msgspec.ValidationError as error:
        raise UsageFault(str(error)) from error
