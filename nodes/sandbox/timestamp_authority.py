"""A time-stamp authority on this machine: key, own root, RFC 3161 over HTTP on a loopback port.

For demos and tests. Each answer is made by `openssl ts -reply`, so that what reads it was written
by others; without `-chain`, which OpenSSL 3.0 writes out of DER order. Its clock may be moved.
"""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from nodes.clock import now
from nodes.errors import ServiceDown
from schemas.moments import DAY, Instant, as_datetime
from signing.timestamps import REPLY_TYPE, TOKEN_BYTES_MAX

LIFE_US = 3650 * DAY
ROOT_LIFE_US = 2 * LIFE_US
ANSWER_S = 20.0
TokenKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CONFIG = """
[tsa]
serial = serial
default_policy = 2.25.28651248387173686311191581188344927570.100
digests = sha256, sha384, sha512
signer_digest = sha256
ess_cert_id_alg = sha256
accuracy = secs:1
tsa_name = yes
"""


class TimestampAuthority:
    """One authority: its files in `folder`, its answers, and the port that it serves them at."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        since: Instant | None = None,
        life_us: int = LIFE_US,
        rsa_bits: int | None = None,
    ) -> None:
        """Make root, key and certificate, which counts from `since` (now, by default) on.

        Its key is on P-256; with `rsa_bits` one of RSA.
        """
        self.name = name
        self.folder = folder
        self.root_path = folder / "root.pem"
        self.clock_at: Instant | None = None
        """What the time is for it; None: what this machine believes."""
        self.port = 0
        self._one_at_a_time = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        if not self.root_path.exists():
            self._make(since if since is not None else now(), life_us, _new_key(rsa_bits))

    @property
    def url(self) -> str:
        """Where it answers, while it serves."""
        return f"http://127.0.0.1:{self.port}/"

    def answer(self, query: bytes) -> bytes:
        """Return the TimeStampResp to a TimeStampReq. Raises ServiceDown."""
        with self._one_at_a_time:
            (self.folder / "query").write_bytes(query)
            self._run_openssl()
            return (self.folder / "reply").read_bytes()

    @contextmanager
    def serving(self, port: int = 0) -> Iterator["TimestampAuthority"]:
        """Serve over HTTP on a loopback port while the block runs; another one with `port` 0."""
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def config_lines(self, *, outside: bool = False, every_s: int | None = None) -> list[str]:
        """Return the section of a node's configuration that asks this authority."""
        return [
            "",
            "[[timestamps]]",
            f'name = "{self.name}"',
            f'url = "{self.url}"',
            f'root = "{self.root_path}"',
            f"outside = {'true' if outside else 'false'}",
            *([] if every_s is None else [f"every_s = {every_s}"]),
        ]

    def _run_openssl(self) -> None:
        command = [
            "openssl", "ts", "-reply", "-config", "tsa.cnf", "-section", "tsa",
            "-queryfile", "query", "-signer", "tsa.pem", "-inkey", "tsa.key", "-out", "reply",
        ]  # fmt: skip
        clock = {} if self.clock_at is None else _clock_at(self.clock_at)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={"PATH": os.defpath, "TZ": "UTC"} | clock,
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace")[-300:]
            raise ServiceDown(f"openssl ts ended with {done.returncode}: {said}")

    def _make(self, since: Instant, life_us: int, key: TokenKey) -> None:
        root_key = ec.generate_private_key(ec.SECP384R1())
        root_name, name = _name(f"{self.name} root"), _name(self.name)
        root = (
            _certificate(root_name, root_name, root_key.public_key(), since, ROOT_LIFE_US)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(root_key, hashes.SHA384())
        )
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        certificate = (
            _certificate(name, root_name, key.public_key(), since, life_us)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_signing_only(), critical=True)
            .add_extension(usage, critical=True)
            .sign(root_key, hashes.SHA384())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "tsa.key").touch(mode=0o600)
        (self.folder / "tsa.key").write_bytes(private)
        (self.folder / "tsa.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (self.folder / "tsa.cnf").write_text(CONFIG, encoding="ascii")
        self.root_path.write_bytes(root.public_bytes(Encoding.PEM))


def _clock_at(moment: Instant) -> dict[str, str]:
    """Return the variables under which a program believes that it is a moment.

    The library by itself: the program `faketime` fails where another of its number was killed.
    """
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        raise ServiceDown("faketime is not installed: run `make setup`")
    said = as_datetime(moment).strftime("@%Y-%m-%d %H:%M:%S")
    return {"LD_PRELOAD": str(library), "FAKETIME": said, "FAKETIME_DISABLE_SHM": "1"}


def _new_key(rsa_bits: int | None) -> TokenKey:
    if rsa_bits is None:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, rsa_bits)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _signing_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    since: Instant,
    life_us: int,
) -> x509.CertificateBuilder:
    begins, ends = as_datetime(since).replace(microsecond=0), as_datetime(since + life_us)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _handler(authority: TimestampAuthority) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one query a request."""

        def do_POST(self) -> None:
            """Answer a TimeStampReq with a TimeStampResp."""
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 < length <= TOKEN_BYTES_MAX:
                self.send_error(413)
                return
            try:
                reply = authority.answer(self.rfile.read(length))
            except (ServiceDown, subprocess.TimeoutExpired):
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", REPLY_TYPE)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Stay silent: the node that asks says how it went."""

    return Handler
