"""The stock `openssl` command, as a stranger uses it."""

import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


def openssl(*words: str, cwd: Path | None = None) -> tuple[bool, str]:
    """Run a command; return whether it said yes, and all that it printed."""
    run = subprocess.run(["openssl", *words], capture_output=True, text=True, cwd=cwd, check=False)
    return run.returncode == 0, run.stdout + run.stderr


def pem(der: bytes) -> str:
    """Return a certificate as PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


def crl_pem(der: bytes) -> str:
    """Return a revocation list as PEM."""
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM).decode()
