"""What an evidence folder is judged by, and whose word in it counts: keys, chains, algorithms.

`Case` is handed to every check; nothing in it changes while a folder is judged.
"""

from functools import cached_property

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from nodes.evidence.names import is_known
from nodes.evidence.reading import Folder, PieceFault, inside
from nodes.evidence.verdict import Finding, Warned
from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.moments import SECOND, Instant, format_instant
from schemas.reasons import Reason
from signing.algorithms import PACKET, AlgorithmPolicy
from signing.certificates import named_address, parse_certificate, public_key_of
from signing.past import Answer, Claim, Papers, Question, judge_past
from signing.past_lists import Lists
from signing.profiles import is_p256
from signing.seal import check_signature

SECONDS_MAX = 253_402_300_799
"""The last second that a moment can name, of the year 9999."""

_ANYBODY_SINCE = (
    "nobody proves when it was signed: whoever has had the key since can have written that moment"
)

_FILE_OF: dict[Question, str] = {
    "issuers": "authority.pem",
    "path": "signer.pem",
    "shape": "signer.pem",
    "life": "signer.pem",
    "algorithm": "signer.pem",
    "crl": "roots_and_crls.pem",
    "crl-after": "crls_after.pem",
    "revocation": "signer.pem",
}
"""Which file of a chain folder an answer is about."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader brings: whom and what it trusts, and its clock. Roots are DER."""

    root: bytes
    policy: AlgorithmPolicy
    now: Instant
    limits: Limits
    stamp_roots: tuple[bytes, ...] = ()
    """Of time-stamp authorities; none: those in the folder are taken, and shown."""


class Case:
    """One folder, and the reader's terms."""

    def __init__(self, folder: Folder, terms: Terms) -> None:
        """Keep them together."""
        self.folder = folder
        self.root = terms.root
        self.policy = terms.policy
        self.now = terms.now
        self.limits = terms.limits
        self.stamp_roots = terms.stamp_roots
        self._lists = Lists()

    @cached_property
    def crls(self) -> tuple[bytes, ...]:
        """Every revocation list of the folder that can be read, each once."""
        found: dict[bytes, None] = {}
        for name in self.folder.files:
            is_list = name.rpartition("/")[2] in {"roots_and_crls.pem", "crls_after.pem"}
            if is_list and is_known(name, self.folder.files):
                try:
                    found.update(dict.fromkeys(self.folder.pem(name, "X509 CRL")))
                except PieceFault:
                    continue  # the check of the chain that it belongs to names it
        return tuple(found)

    def certificate(self, folder: str) -> bytes:
        """Return the certificate that a chain folder is about. Raises PieceFault."""
        return self.folder.certificate(inside(folder, "signer.pem"))

    def address(self, folder: str) -> str:
        """Return the address that this certificate names. Raises PieceFault."""
        address = named_address(self.certificate(folder))
        if address is None:
            raise PieceFault(inside(folder, "signer.pem"), "names no address of the network")
        return address

    def attime(self, folder: str) -> Instant:
        """Return the moment written in a chain folder. Raises PieceFault."""
        name = inside(folder, "attime.txt")
        text = self.folder.line(name)
        if not (text.isascii() and text.isdigit()) or str(int(text[:12])) != text:
            raise PieceFault(name, "is not a number of seconds")
        return seconds(int(text), name)

    def papers(self, folder: str) -> Papers:
        """Return what the certificate of a chain folder is judged by. Raises PieceFault."""
        lists = inside(folder, "roots_and_crls.pem")
        if self.folder.pem(lists, "CERTIFICATE") != [self.root]:
            raise PieceFault(lists, "has another root than the one that is trusted")
        then = self.folder.pem(lists, "X509 CRL")
        name = inside(folder, "crls_after.pem")
        after = self.folder.pem(name, "X509 CRL") if name in self.folder else []
        return Papers(
            certificate=self.certificate(folder),
            authority=self.folder.certificate(inside(folder, "authority.pem")),
            root=self.root,
            crls=then,
            after=after,
            elsewhere=[each for each in self.crls if each not in then and each not in after],
        )

    def judge_chain(self, folder: str, claim: Claim, *, proven: bool) -> Finding:
        """Return what is worth saying of a certificate that counts. Raises PieceFault, all said.

        `proven`: somebody else than its owner says that the moment claimed was the one.
        """
        answers = judge_past(claim, self.papers(folder), self.policy, self.limits, self._lists)
        faults = [each for each in answers if not each.holds]
        if faults:
            raise PieceFault(inside(folder, _FILE_OF[faults[0].question]), _said(faults))
        said = _said([each for each in answers if each.question in {"life", "revocation"}])
        revoked = any(each.question == "revocation" and each.detail for each in answers)
        return Warned(f"{said}; {_ANYBODY_SINCE}") if revoked and not proven else said

    def packet_key(self, folder: str) -> ec.EllipticCurvePublicKey:
        """Return the P-256 key of a chain folder's certificate. Raises PieceFault."""
        key = self._key(folder)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not is_p256(key):
            raise PieceFault(inside(folder, "signer.pem"), "its key is not on P-256")
        return key

    def log_key(self, folder: str) -> bytes:
        """Return the Ed25519 key of a chain folder's certificate. Raises PieceFault."""
        key = self._key(folder)
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise PieceFault(inside(folder, "signer.pem"), "its key is not Ed25519")
        return key.public_bytes_raw()

    def _key(self, folder: str) -> object:
        parsed = parse_certificate(self.certificate(folder))
        return None if parsed is None else public_key_of(parsed)

    def check_signed(
        self, folder: str, where: str, signature: bytes, signed: bytes, relied_at: Instant
    ) -> None:
        """Raise PieceFault at `where` unless the folder's packet key made the signature."""
        reason = check_signature(self.packet_key(folder), signature, signed)
        if reason is Reason.FORMAT_INVALID:
            raise PieceFault(where, "its signature is not strict DER with a low S")
        if reason is not None:
            raise PieceFault(where, "its signature does not hold")
        self.allow(where, PACKET, relied_at)

    def allow(self, where: str, algorithm: str, moment: Instant) -> None:
        """Raise PieceFault where an algorithm was not good at a moment."""
        if not self.policy.allowed(algorithm, moment):
            detail = f"{algorithm} was not allowed at {format_instant(moment)}"
            raise PieceFault(where, detail)


def seconds(number: int, where: str) -> Instant:
    """Return the moment of a number of seconds since 1970. Raises PieceFault beyond year 9999."""
    if not 0 <= number <= SECONDS_MAX:
        raise PieceFault(where, "names a second that no calendar has")
    return number * SECOND


def at(where: str, error: FormatError) -> PieceFault:
    """Return an error of a format as one of a file of the folder."""
    return error if isinstance(error, PieceFault) else PieceFault(where, error.detail)


def _said(answers: list[Answer]) -> str:
    return "; ".join(dict.fromkeys(each.detail for each in answers if each.detail))
