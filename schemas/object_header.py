"""What every link object and every statement begins with (docs/protocol.md clause 6)."""

from typing import Annotated

import msgspec

from schemas.addresses import Address
from schemas.header import Count, Sha256Hex, Size
from schemas.patterns import whole

Detail = Annotated[str, msgspec.Meta(pattern=whole(r"[ !#-\[\]-~]*"), max_length=300)]


class ObjectHeader(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"from_": "from"},
):
    """What every kind begins with; `number` rises with each object of an issuer and kind."""

    from_: Address
    to: Address
    epoch: Count
    number: Count
    certificate: Sha256Hex


class Body(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The digest and size (bytes) of what follows the signature."""

    sha256: Sha256Hex
    size: Size
