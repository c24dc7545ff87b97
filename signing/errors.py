"""Errors of signing.

    FormatError
    └── CertificateError               a certificate does not count (becomes a refusal)
    Retryable
    ├── BucketKeyUnwritableError       a new at-rest key cannot be written now
    ├── KeyFolderUnwritable            the next keys cannot be written now
    └── TokenLost                      a PKCS#11 token does not answer
    Fatal
    ├── KeyFileError                   a key or certificate file cannot be used
    │   ├── KeyFileMissingError        no such file, or it may not be read            exit 66
    │   ├── KeyFileDamagedError        no key or certificate of the kind wanted       exit 65
    │   ├── KeyPassphraseError         the passphrase is wrong or missing             exit 77
    │   └── KeyFileExistsError         a new key would overwrite another one          exit 71
    ├── BucketKeyMissingError          the key of an at-rest bucket is gone           exit 66
    │   └── BucketDestroyedError       it was destroyed under an act                  exit 66
    ├── BucketDamagedError             what is at rest does not open under its key    exit 65
    └── IssueError                     a certificate that the profile does not allow  exit 64

All but the first are our own files' faults, never the peer's. `TrustStore.judge` and
`authenticate` raise none of these for what a peer sends: they return the refusal.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from schemas.errors import Fatal, FormatError, Retryable

MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises for DER that it cannot read, some of it only once a field is read."""


class CertificateError(FormatError):
    """A certificate departs from the profile: reason and detail of the refusal."""


class KeyFileError(Fatal):
    """A key or certificate file cannot be used."""


class KeyFileMissingError(KeyFileError):
    """The file is not there, or this user may not read it."""

    exit_code = 66


class KeyFileDamagedError(KeyFileError):
    """The file holds neither a key nor a certificate of the kind wanted."""

    exit_code = 65


class KeyPassphraseError(KeyFileError):
    """The passphrase is wrong or missing."""

    exit_code = 77


class KeyFileExistsError(KeyFileError):
    """A new key would overwrite another one."""

    exit_code = 71


class BucketKeyMissingError(Fatal):
    """The key file of an at-rest bucket is gone: destroyed with its class, or lost."""

    exit_code = 66


class BucketDestroyedError(BucketKeyMissingError):
    """The bucket was destroyed under an act: its key is gone for good."""


class BucketKeyUnwritableError(Retryable):
    """The key file of a new at-rest bucket cannot be written now: no room, or no right."""


class KeyFolderUnwritable(Retryable):
    """The key folder cannot be changed now: no room, or no right."""


class TokenLost(Retryable):
    """A PKCS#11 token does not answer: unplugged, or its session is over."""


class BucketDamagedError(Fatal):
    """Data at rest does not open under its bucket's key: damaged, or put elsewhere."""

    exit_code = 65


class IssueError(Fatal):
    """A certificate was asked for that the profile does not allow."""

    exit_code = 64
