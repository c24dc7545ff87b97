"""Which files the format of an evidence folder knows (clauses 20.2 to 20.12)."""

import re
from collections.abc import Container

from nodes.evidence.reading import inside

_N = r"[1-9][0-9]{0,17}"
_INDEX = r"(?:0|[1-9][0-9]{0,17})"
_KEY = r"signer\.pem|authority\.pem|roots_and_crls\.pem|crls_after\.pem|attime\.txt"
_SIGNED = r"signed\.txt|signature\.bin"
_CHAIN = rf"{_KEY}|issued\.der|issued\.proof|issued_journal/(?:{_KEY}|{_SIGNED})"
_PIECES = r"signed\.bin|header\.json|signature\.der"
_HEAD = rf"note\.txt|{_SIGNED}|proofs/{_INDEX}\.proof"
_STAMP = r"note\.txt|token\.der|chain\.pem|root\.pem|authority\.txt"
_LEAF = rf"{_INDEX}-[a-z-]+\.txt"
_WHOLE = r"packet\.p7s|frame\.bin|payload\.bin|content|clear\.bin"
_WITNESS = r"cosigned\.txt|cosigned\.bin|signature\.bin|vkey\.txt|object\.bin"
FRAME = r"(?:receipt|closing)(?:-(?:[2-9]|[1-9][0-9]{1,3}))?"
"""The name of a frame folder but the packet's, which is the top."""
_FORMS = (
    r"VERIFY\.md|inflate\.awk|root\.pem|timeline\.(?:kk|ru|en)\.txt",
    r"SHA256SUMS|manifest\.json|manifest\.p7s",
    rf"exporter/(?:{_CHAIN})",
    rf"(?:{FRAME}/)?(?:{_CHAIN}|{_PIECES}|head\.bin|{_WHOLE}|leaves/{_LEAF})",
    rf"records/{_LEAF}",
    r"policies/[0-9a-f]{64}\.json",
    rf"checkpoints/{_N}/(?:{_CHAIN}|{_HEAD})",
    rf"checkpoints/{_N}/witnesses/{_N}/(?:{_CHAIN}|{_WITNESS})",
    rf"checkpoints/{_N}/stamps/{_N}/(?:{_STAMP})",
    rf"custody/{_N}/(?:{_CHAIN}|{_PIECES}|note\.bin|chain\.txt)",
    rf"tracked/{_N}/(?:{_CHAIN}|{_PIECES}|object\.bin|body\.bin)",
    rf"renewals/{_N}/(?:{_CHAIN}|{_HEAD}|{_STAMP})",
)
_KNOWN = re.compile("|".join(f"(?:{form})" for form in _FORMS))
_OF_FRAME = re.compile(rf"({FRAME})/.*")


def is_known(name: str, present: Container[str] | None = None) -> bool:
    """Say whether the format knows a file of this name.

    With the names that are `present`, a folder that could be a frame's has to have a head: what is
    no frame nobody judges.
    """
    frame = _OF_FRAME.fullmatch(name)
    if frame is not None and present is not None and inside(frame[1], "head.bin") not in present:
        return False
    return _KNOWN.fullmatch(name) is not None
