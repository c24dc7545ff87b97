"""Which algorithms are good, and until when: the policy table (docs/protocol.md clause 19.5).

    {"algorithms":{"ed25519":{"until":null},"rsa-2048":{"until":"2031-01-01T00:00:00.000000Z"}}}

What the table does not name is not allowed. Each version that a node decides by is kept, and is a
leaf of its journal; what is judged at a past moment is judged by the table as it is now, since a
break that became known later counts for what was never renewed before it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa

from schemas.errors import FormatError
from schemas.moments import Instant, InstantText, format_instant, parse_instant
from schemas.patterns import whole
from schemas.reasons import Reason
from schemas.wire import check_moment, describe

POLICY_NAME = "algorithms.json"
"""What a version of the table is called in the record and in its leaf."""
TABLE_BYTES_MAX = 64 * 1024

PACKET = "ecdsa-p256-sha256"
JOURNAL = "ed25519"
TREE = "sha-256"
TREE_RENEWED = "sha-512"
ML_DSA_44 = "ml-dsa-44"

AlgorithmName = Annotated[str, msgspec.Meta(pattern=whole(r"[a-z0-9][a-z0-9-]{0,63}"))]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    until: InstantText | None = None


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    algorithms: dict[AlgorithmName, _Entry]


class AlgorithmPolicy(msgspec.Struct, frozen=True):
    """One version of the table: the moment each algorithm ends at, None where none is set."""

    ends: Mapping[str, Instant | None]

    def allowed(self, name: str, moment: Instant) -> bool:
        """Say whether an algorithm is good at a moment; at its end it is not."""
        return name in self.ends and not self._has_ended(name, moment)

    def end_of(self, name: str) -> Instant | None:
        """Return when an algorithm ends; None where no end is set. Unknown ones ended in 1970."""
        return self.ends.get(name, 0)

    def first_end(self, names: Iterable[str]) -> Instant | None:
        """Return the earliest end of several algorithms; None where none of them has one."""
        return min((end for name in names if (end := self.end_of(name)) is not None), default=None)

    def _has_ended(self, name: str, moment: Instant) -> bool:
        end = self.ends[name]
        return end is not None and moment >= end


DEFAULT = AlgorithmPolicy(
    dict.fromkeys(
        (
            PACKET,
            "ecdsa-p256-sha384",
            "ecdsa-p256-sha512",
            "ecdsa-p384-sha256",
            "ecdsa-p384-sha384",
            "ecdsa-p384-sha512",
            JOURNAL,
            ML_DSA_44,
            "ml-dsa-65",
            "rsa-2048",
            "rsa-3072",
            "rsa-4096",
            TREE,
            "sha-384",
            TREE_RENEWED,
        )
    )
)
"""What counts where a node's configuration names no table of its own: no end is set."""

_FIXED: dict[type, str] = {
    ed25519.Ed25519PublicKey: JOURNAL,
    ed448.Ed448PublicKey: "ed448",
    mldsa.MLDSA44PublicKey: ML_DSA_44,
    mldsa.MLDSA65PublicKey: "ml-dsa-65",
}


def encode_policy(policy: AlgorithmPolicy) -> bytes:
    """Return the table as JSON; `decode_policy` reads it."""
    entries = {
        name: _Entry(None if end is None else format_instant(end))
        for name, end in policy.ends.items()
    }
    return msgspec.json.format(msgspec.json.encode(_Table(entries)), indent=1) + b"\n"


def decode_policy(raw: bytes) -> AlgorithmPolicy:
    """Return the table in JSON text. Raises FormatError, which names the first thing wrong."""
    if len(raw) > TABLE_BYTES_MAX:
        raise _fault(f"{len(raw)} bytes, limit {TABLE_BYTES_MAX}")
    try:
        table = msgspec.json.decode(raw, type=_Table)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise _fault(describe(error)) from error
    return AlgorithmPolicy({name: _end(name, entry) for name, entry in table.algorithms.items()})


def algorithms_of(public_key: object, hash_name: str | None) -> tuple[str, ...]:
    """Return the names of what a signature relies on, as the table has them.

    `hash_name` is as hashlib has it (`sha256`), None where the algorithm has one of its own. RSA is
    named by the largest of 2048, 3072 and 4096 bits that the key reaches, and its hash apart.
    """
    match public_key:
        case ec.EllipticCurvePublicKey():
            curve = public_key.curve.name.replace("secp", "p").removesuffix("r1")
            return (f"ecdsa-{curve}-{hash_name}",)
        case rsa.RSAPublicKey():
            reached = [bits for bits in (2048, 3072, 4096) if public_key.key_size >= bits]
            size = max(reached, default=public_key.key_size)
            return (f"rsa-{size}", digest_name(hash_name or ""))
        case _:
            return (_fixed_name(public_key),)


def digest_name(hash_name: str) -> str:
    """Return the table's name of a hash: `sha-256` for `sha256`."""
    return hash_name.replace("sha", "sha-", 1) if hash_name in hashlib.algorithms_available else ""


def _fixed_name(public_key: object) -> str:
    """Return the name of an algorithm that has one form only, or of one that no table names."""
    for kind, name in _FIXED.items():
        if isinstance(public_key, kind):
            return name
    return type(public_key).__name__.lower()


def _end(name: str, entry: _Entry) -> Instant | None:
    if entry.until is None:
        return None
    check_moment(f"algorithms.{name}.until", entry.until)
    return parse_instant(entry.until)


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, f"{POLICY_NAME}: {detail}")
