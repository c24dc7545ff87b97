"""The folder that a joining machine becomes a node by; each step can be repeated after a crash.

    DIR/
      node.toml                      the configuration, written last: until then nothing has joined
      keys/  root.pem                keys as nodes.keyring keeps them
      authorities/ crls/ cards/      what the parent has brought
      data/                          at-rest keys, the journal's last signed size
      *.password                     out of the URLs that the command was given
      .joining/                      the invitation's certificate and key, and what was asked for

What was asked for is written down before it is sent: a repeated command asks for the same.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from exchange.amqp import ClientTls
from exchange.enrolment import JOIN_PURPOSES
from nodes.config import load_config
from nodes.errors import ConfigurationFault
from nodes.invitations import ReceivedInvitation
from nodes.keyring import KeyFolder
from schemas.codes import Tier
from schemas.objects import pack_pieces, unpack_pieces
from signing.authority import address_of_request
from signing.encryption import NEWEST
from signing.keys import fingerprint, sync_folder, write_private_key
from signing.profiles import Purpose

BROKER_USER = "bbaj-daemon"


class Settings(msgspec.Struct, frozen=True):
    """What the operator says of the machine, beside the invitation."""

    database_url: str
    owner_url: str | None = None
    broker_url: str | None = None
    """Of the node's own broker, over loopback; None on a leaf."""
    http_port: int = 9464
    passphrase_file: Path | None = None


class Received(msgspec.Struct):
    """What the parent has brought, authenticated."""

    certificates: dict[Purpose, list[bytes]] = {}
    """Ours by purpose, each with its authority's (DER)."""
    vouchers: list[bytes] = []
    """Certificates of authorities and ancestors."""
    crls: dict[str, bytes] = {}
    """DER, by the fingerprint of the issuer's certificate."""
    cards: dict[str, bytes] = {}
    """Objects, by address."""


class JoinFolder:
    """One machine's folder while it joins."""

    def __init__(self, folder: Path, passphrase: bytes | None) -> None:
        """Work on `folder`; `passphrase` is for the keys made here, None for none."""
        self.folder = folder.absolute()
        self.config = self.folder / "node.toml"
        self._passphrase = passphrase
        self._keys = self.folder / "keys"
        self._draft = self.folder / ".joining"
        self._asked = self._draft / "requests"

    @property
    def is_ready(self) -> bool:
        """Say whether this folder has joined already."""
        return self.config.exists()

    def check_joined(self, address: str) -> None:
        """Raise ConfigurationFault where the folder is another node's, or cannot be read."""
        joined = load_config(self.config)
        if joined.address != address:
            raise ConfigurationFault([f"{self.folder} is {joined.address}: name another folder"])
        self.clear()

    def prepare(self, address: str, tier: Tier) -> bytes:
        """Make the keys, once; return the requests for their certificates, as pieces.

        Raises ConfigurationFault where the folder belongs to another address.
        """
        for path in (self.folder, self._keys, self._draft):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._asked.exists():
            purposes = JOIN_PURPOSES if tier is not Tier.SCHOOL else JOIN_PURPOSES[:-1]
            requests = self._ring(address).prepare(purposes)
            write_whole(self._asked, pack_pieces([requests[each] for each in purposes]))
        if not (self._keys / NEWEST).exists():
            self._ring(address).renew_encryption()
        packed = self._asked.read_bytes()
        before = address_of_request(unpack_pieces(packed)[0][0])
        if before != address:
            raise ConfigurationFault([f"{self.folder} belongs to {before}: name another folder"])
        return packed

    def lay_out_login(self, invitation: ReceivedInvitation) -> ClientTls:
        """Write what the one-time login needs; return where."""
        self._draft.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = {name: self._draft / f"{name}.pem" for name in ("root", "enrolment", "key")}
        write_whole(paths["root"], pem_of([invitation.root]))
        write_whole(paths["enrolment"], pem_of(invitation.certificates[:-1]))
        paths["key"].unlink(missing_ok=True)
        write_private_key(paths["key"], invitation.key, None)
        return ClientTls(paths["root"], paths["enrolment"], paths["key"])

    def complete(
        self, invitation: ReceivedInvitation, received: Received, settings: Settings
    ) -> None:
        """Write what has come, take the keys into use, and last the configuration."""
        write_whole(self._keys / "root.pem", pem_of([invitation.root]))
        _write_all(self.folder / "authorities", _named(received.vouchers))
        crls = {f"{name[:16]}.pem": _crl_pem(der) for name, der in received.crls.items()}
        _write_all(self.folder / "crls", crls)
        _write_all(
            self.folder / "cards", {f"{each}.card": raw for each, raw in received.cards.items()}
        )
        (self.folder / "data").mkdir(mode=0o700, exist_ok=True)
        self._take_into_use(invitation.address, received.certificates)
        text = self._toml(invitation, settings)
        write_whole(self.config, text.encode())
        self.clear()

    def clear(self) -> None:
        """Forget the invitation: it has served."""
        shutil.rmtree(self._draft, ignore_errors=True)

    def _ring(self, address: str) -> KeyFolder:
        return KeyFolder(self._keys, address, self._passphrase)

    def _take_into_use(self, address: str, granted: Mapping[Purpose, list[bytes]]) -> None:
        ring = self._ring(address)
        ring.open()
        for purpose, chain in granted.items():
            if ring.certificates().get(purpose) != chain[0]:
                ring.grant(purpose, chain)
                ring.switch(purpose)

    # ------------------------------------------------------------------ the configuration

    def _toml(self, invitation: ReceivedInvitation, settings: Settings) -> str:
        """Return the configuration; passwords go into files of their own."""
        sections: dict[str, dict[str, object]] = {
            "": {
                "address": invitation.address,
                "tier": invitation.facts.tier.value,
                "data": "data",
            },
            "keys": {
                "folder": "keys",
                "root": "keys/root.pem",
                "authorities": "authorities",
                "crls": "crls",
                "cards": "cards",
            },
            "database": self._database(settings),
            "parent": {"urls": list(invitation.facts.urls), "vhost": invitation.facts.vhost},
            "http": {"port": settings.http_port},
        }
        if settings.passphrase_file is not None:
            sections["keys"]["passphrase_file"] = str(settings.passphrase_file.absolute())
        if settings.broker_url is not None:
            sections["broker"] = self._broker(settings.broker_url)
        return "\n".join(_section(name, values) for name, values in sections.items())

    def _database(self, settings: Settings) -> dict[str, object]:
        values: dict[str, object] = {}
        for field, url in (("", settings.database_url), ("owner_", settings.owner_url)):
            if url is None:
                continue
            values[f"{field}url"], password = without_password(url)
            if password is not None:
                name = f"{field or 'daemon_'}database.password".replace("_", "-")
                write_whole(self.folder / name, f"{password}\n".encode())
                values[f"{field}password_file"] = name
        return values

    def _broker(self, url: str) -> dict[str, object]:
        path = self.folder / "broker.password"
        bare, password = without_password(url)
        user = unquote(urlsplit(url).username or BROKER_USER)
        if password is not None or not path.exists():
            write_whole(path, f"{password or secrets.token_urlsafe(24)}\n".encode())
        parts = urlsplit(bare)
        place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        return {"url": place, "user": user, "password_file": path.name}


def without_password(url: str) -> tuple[str, str | None]:
    """Return a URL less its password, and the password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, None
    host = parts.netloc.rpartition("@")[2]
    bare = urlunsplit(parts._replace(netloc=f"{parts.username}@{host}"))
    return bare, unquote(parts.password)


def pem_of(ders: Iterable[bytes]) -> bytes:
    """Return certificates as PEM, one behind the other."""
    parsed = (x509.load_der_x509_certificate(der) for der in ders)
    return b"".join(each.public_bytes(Encoding.PEM) for each in parsed)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one step, mode 0600, durable on return; what was there is replaced."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def _named(ders: Iterable[bytes]) -> dict[str, bytes]:
    return {f"{fingerprint(der)[:16]}.pem": pem_of([der]) for der in ders}


def _crl_pem(der: bytes) -> bytes:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, data in files.items():
        write_whole(folder / name, data)


def _section(name: str, values: Mapping[str, object]) -> str:
    """Return a section of TOML; JSON's texts, numbers and lists of texts are TOML's too."""
    lines = [f"[{name}]"] if name else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
