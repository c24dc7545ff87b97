"""Packet keys in a PKCS#11 token: they sign there and cannot be taken out.

A `TokenKey` is an EC private key as `cryptography` means it, so that it stands behind
`PacketSigner` and certificate requests like a key from a file. Needs the extra `pkcs11`: whoever
imports this is ready for an ImportError.

All packet keys of a node have one label in the token; which of them belongs to a certificate is
told by its public key.
"""

import hashlib
import os
import threading
from pathlib import Path
from typing import NoReturn, Protocol, cast

import msgspec
import pkcs11
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute
from pkcs11.util.ec import encode_named_curve_parameters

from signing.errors import KeyFileDamagedError, KeyFileMissingError, KeyPassphraseError, TokenLost

_COORDINATE_BYTES = 32
_POINT_BYTES = 1 + 2 * _COORDINATE_BYTES
_ID_BYTES = 16
_WRONG_PIN = (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked)


class _Handle(Protocol):
    """A private key as python-pkcs11 gives it, of a token that can sign."""

    def sign(self, data: bytes, *, mechanism: pkcs11.Mechanism) -> bytes: ...


class TokenPlace(msgspec.Struct, frozen=True):
    """Where the packet keys are; `module` is the token's library."""

    module: Path
    token: str
    label: str


class TokenKey(ec.EllipticCurvePrivateKey):
    """A P-256 private key that a token holds; safe to use from several threads."""

    def __init__(
        self, handle: _Handle, public_key: ec.EllipticCurvePublicKey, lock: threading.Lock
    ) -> None:
        """Hold the token's handle of the key."""
        self._handle = handle
        self._public_key = public_key
        self._lock = lock

    def __repr__(self) -> str:
        return "<packet key in a token>"

    def __copy__(self) -> "TokenKey":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "TokenKey":
        return self

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Bits of the key."""
        return self._public_key.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return self._public_key

    def sign(
        self,
        data: bytes | bytearray | memoryview,
        signature_algorithm: ec.EllipticCurveSignatureAlgorithm,
    ) -> bytes:
        """Return the signature over the SHA-256 of `data` in DER, of either S. Raises TokenLost.

        Tokens choose their nonce themselves, so the same data may be signed differently each time.
        """
        assert isinstance(signature_algorithm, ec.ECDSA), "packet keys sign with ECDSA"
        assert isinstance(signature_algorithm.algorithm, hashes.SHA256), "and SHA-256"
        digest = hashlib.sha256(data).digest()
        try:
            with self._lock:
                raw = self._handle.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        except pkcs11.PKCS11Error as error:
            raise _lost(error) from error
        r, s = raw[:_COORDINATE_BYTES], raw[_COORDINATE_BYTES:]
        return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))

    def exchange(self, *_: object) -> NoReturn:
        """Refuse: packet keys sign only."""
        raise _stays_inside()

    def private_numbers(self) -> NoReturn:
        """Refuse: the key stays in its token."""
        raise _stays_inside()

    def private_bytes(self, *_: object) -> NoReturn:
        """Refuse: the key stays in its token."""
        raise _stays_inside()


class Token:
    """The packet keys of one token, behind one session; safe to use from several threads."""

    def __init__(self, place: TokenPlace, pin: str) -> None:
        """Open a session. Raises KeyFileError: each says what to do."""
        self._place = place
        self._lock = threading.Lock()
        self._session = _open_session(place, pin)

    def __repr__(self) -> str:
        return f"<token {self._place.token}>"

    def find(self, public_key: ec.EllipticCurvePublicKey) -> TokenKey | None:
        """Return the private key to a public one, or None. Raises TokenLost."""
        wanted = _point(public_key)
        label = {Attribute.KEY_TYPE: pkcs11.KeyType.EC, Attribute.LABEL: self._place.label}
        publics = {**label, Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY}
        privates = {**label, Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
        try:
            with self._lock:
                named = [
                    public[Attribute.ID]
                    for public in self._session.get_objects(publics)
                    if _point_of(public) == wanted
                ]
                for private in self._session.get_objects(privates):
                    if private[Attribute.ID] in named:
                        return TokenKey(cast("_Handle", private), public_key, self._lock)
        except pkcs11.PKCS11Error as error:
            raise _lost(error) from error
        return None

    def make(self) -> TokenKey:
        """Make a key in the token, which keeps it. Raises TokenLost."""
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        try:
            with self._lock:
                parameters = self._session.create_domain_parameters(
                    pkcs11.KeyType.EC, curve, local=True
                )
                public, private = parameters.generate_keypair(
                    id=os.urandom(_ID_BYTES),
                    label=self._place.label,
                    store=True,
                    private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
                )
                point = _point_of(public)
        except pkcs11.PKCS11Error as error:
            raise _lost(error) from error
        public_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        return TokenKey(cast("_Handle", private), public_key, self._lock)

    def close(self) -> None:
        """End the session."""
        with self._lock:
            self._session.close()


def _open_session(place: TokenPlace, pin: str) -> pkcs11.Session:
    try:
        token = pkcs11.lib(str(place.module)).get_token(token_label=place.token)
        try:
            return token.open(user_pin=pin, rw=True)
        except pkcs11.UserAlreadyLoggedIn:  # by an earlier session of this process
            return token.open(rw=True)
    except _WRONG_PIN as error:
        raise KeyPassphraseError(
            f"the PIN does not open token {place.token} ({type(error).__name__}): correct the "
            "file that keys.pkcs11.pin_file names; a token locks itself after a few attempts",
        ) from error
    except (pkcs11.NoSuchToken, pkcs11.MultipleTokensReturned) as error:
        raise KeyFileMissingError(
            f"{place.module} has not one token {place.token} ({type(error).__name__}): plug it "
            "in, or correct keys.pkcs11.token",
        ) from error
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise KeyFileDamagedError(
            f"token {place.token} of {place.module} cannot be opened ({type(error).__name__}): "
            "try the library with its own tools first",
        ) from error


def _point_of(public: pkcs11.Object) -> bytes:
    """Return a public key's point, without the DER of an octet string that it stands in."""
    return bytes(public[Attribute.EC_POINT])[-_POINT_BYTES:]


def _point(public_key: ec.EllipticCurvePublicKey) -> bytes:
    return public_key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def _lost(error: Exception) -> TokenLost:
    return TokenLost(f"token does not answer ({type(error).__name__}): is it plugged in?")


def _stays_inside() -> KeyFileDamagedError:
    return KeyFileDamagedError("the key is in a token, which only signs with it")
