#!/usr/bin/env python3
"""Verifies an evidence folder, format bbaj-evidence/1, with Python's standard library and openssl.

    python3 -I verify_evidence.py FOLDER [--json] [--at MOMENT] [--root FILE] [--policy FILE]
                                  [--stamp-root FILE ...]

Written from docs/protocol.md alone (clauses are cited as "cl."); shares no code with the software
that makes such folders. Needs Python 3.9 or later and the `openssl` command, 3.0 or later; no
network, no keys, nothing installed. Hashes, trees, notes, frames and encodings are judged here;
each signature and each certificate path is judged by openssl. OpenSSL 3.0 knows no ML-DSA: such a
cosignature is reported as "unsupported" and proves nothing here.

Exit code: 0 the evidence holds, 1 it does not, 2 it could not be judged (usage).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime as dt
import functools
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import zlib

CHECKS = (
    "files unknown manifest pieces payload content signature chain answer leaf proof checkpoint "
    "witness stamp custody tracked issued existence renewal timeline"
).split()
ARC = "2.25.28651248387173686311191581188344927570"  # cl. 11.2
PURPOSES = {"packet": ARC + ".1", "journal": ARC + ".2", "witness": ARC + ".3"}
FILE_BYTES_MAX = 100_663_296  # cl. 20.1
FILES_MAX = 50_000
HEADER_BYTES_MAX = 16_384
CONTENT_BYTES_MAX = 67_108_864
CLOCK_AHEAD_US = 600_000_000  # one clock may be so far ahead of another (cl. 9.2)
DEFAULT_POLICY = dict.fromkeys(  # cl. 19.5: algorithms and when they end
    [f"ecdsa-{curve}-sha{bits}" for curve in ("p256", "p384") for bits in (256, 384, 512)]
    + "ed25519 ml-dsa-44 ml-dsa-65 rsa-2048 rsa-3072 rsa-4096 sha-256 sha-384 sha-512".split()
)


class Fault(Exception):  # noqa: N818 - most are no errors of a program
    """Something does not hold; the text says what, `path` in which file, if it is one."""

    result = "fails"

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(text)
        self.path = path


class Unsupported(Fault):
    """Something that openssl and this file cannot check: it proves nothing here, nor does harm."""

    result = "unsupported"


def need(condition: object, text: str, path: str = "") -> None:
    if not condition:
        raise Fault(text, path)


@contextlib.contextmanager
def at(path: str):
    """What does not hold, or cannot be read, in this block is the fault of that file."""
    try:
        yield
    except Fault as fault:
        raise type(fault)(str(fault), fault.path or path) from fault
    except Exception as error:  # damage that no rule foresaw is damage all the same
        raise Fault(f"cannot be read: {type(error).__name__} {error}", path) from error


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# --- the verdict (cl. 21) ----------------------------------------------------------------------


def attempt(what, *arguments):
    """What a function returns, and the fault for which it could not: one of the two."""
    try:
        with at(""):
            return what(*arguments), None
    except Fault as fault:
        return None, fault


class Verdict:
    """Every check with its result: what a check needs and cannot read makes it fail, not crash."""

    def __init__(self) -> None:
        self.entries: list[dict] = []
        self.doubtful = False
        """Set while a check runs that holds by a word which nobody proves: the reader is warned."""

    def add(self, check: str, where: str, result: str, detail: str) -> bool:
        printable = "".join(c if c.isprintable() else "?" for c in detail)[:600]
        self.entries.append({"check": check, "where": where, "result": result, "detail": printable})
        return result in ("holds", "warns")

    def judge(self, check: str, where: str, what, *arguments) -> bool:
        """Run one check. It returns its detail, or (result, detail); it raises where it fails."""
        self.doubtful = False
        found, fault = attempt(what, *arguments)
        if fault:
            place = where if isinstance(fault, Unsupported) else fault.path or where
            return self.add(check, place, fault.result, str(fault))
        stands = "warns" if self.doubtful else "holds"
        result, detail = found if isinstance(found, tuple) else (stands, found or "")
        return self.add(check, where, result, detail)

    def ordered(self) -> list[dict]:
        return sorted(self.entries, key=lambda entry: CHECKS.index(entry["check"]))


# --- the folder (cl. 20) -----------------------------------------------------------------------


def one_of(names: str) -> str:
    """A pattern that any of these names fits."""
    return "(" + "|".join(map(re.escape, names.split())) + ")"


def natural(path: str) -> list:
    """A sort key: numbers in a path by size."""
    parts = re.split(r"([0-9]+)", path)
    return [(int(part), "") if at % 2 else (-1, part) for at, part in enumerate(parts)]


class Folder:
    """Reads files of one folder by their names within it; follows no link, leaves it never."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: set[str] = set()
        self.others: list[str] = []
        """Links, devices, empty folders: nothing of that may be there."""
        for place, folders, files in os.walk(root):
            below = os.path.relpath(place, root)
            prefix = "" if below == "." else below.replace(os.sep, "/") + "/"
            if prefix and not folders and not files:
                self.others.append(prefix[:-1])
            for name in folders + files:
                mode = os.lstat(os.path.join(place, name)).st_mode
                if stat.S_ISREG(mode):
                    self.files.add(prefix + name)
                elif not stat.S_ISDIR(mode):
                    self.others.append(prefix + name)

    def read(self, path: str) -> bytes:
        need(path in self.files, "is missing", path)
        with at(path), open(os.path.join(self.root, path), "rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        need(len(data) <= FILE_BYTES_MAX, f"has more than {FILE_BYTES_MAX} bytes", path)
        return data

    def text(self, path: str) -> str:
        with at(path):
            return self.read(path).decode("utf-8")

    def numbered(self, folder: str) -> list[str]:
        """The folders FOLDER/1, FOLDER/2 ... that have any file, by number."""
        found = {f[len(folder) + 1 :].partition("/")[::2] for f in self.under(folder)}
        names = {name for name, rest in found if rest and re.fullmatch(NUMBER, name)}
        return sorted((f"{folder}/{name}" for name in names), key=natural)

    def with_file(self, *names: str) -> list[str]:
        """The folders that have a file of one of these names."""
        found = {f.rpartition("/")[0] for f in self.files if f.rpartition("/")[2] in names}
        return sorted((folder or "." for folder in found), key=natural)

    def under(self, folder: str) -> list[str]:
        return sorted((f for f in self.files if f.startswith(folder + "/")), key=natural)


# Which files the format knows (cl. 20.2 to 20.12): by folder, the names in it.
NUMBER, INDEX = r"[1-9][0-9]{0,17}", r"(0|[1-9][0-9]{0,17})"
ANSWER = r"(receipt|closing)(-([2-9]|[1-9][0-9]{1,3}))?"
CHAIN_FILES = "signer.pem authority.pem roots_and_crls.pem crls_after.pem attime.txt"
HEAD_FILES = "note.txt signed.txt signature.bin"
STAMP_FILES = "note.txt token.der chain.pem root.pem authority.txt"
PIECE_FILES = "signed.bin header.json signature.der"
LEAF_FILES = INDEX + r"-[a-z-]+\.txt"
CHAIN_FOLDERS = {  # chain folders, and what else is in them
    r"exporter/": "",
    rf"({ANSWER}/)?": f"{PIECE_FILES} head.bin packet.p7s frame.bin payload.bin content clear.bin",
    rf"checkpoints/{NUMBER}/": HEAD_FILES,
    rf"checkpoints/{NUMBER}/witnesses/{NUMBER}/": (
        "cosigned.txt cosigned.bin signature.bin vkey.txt object.bin"
    ),
    rf"custody/{NUMBER}/": f"{PIECE_FILES} note.bin chain.txt",
    rf"tracked/{NUMBER}/": f"{PIECE_FILES} object.bin body.bin",
    rf"renewals/{NUMBER}/": f"{HEAD_FILES} {STAMP_FILES}",
}
OTHER_FILES = [
    r"(VERIFY\.md|inflate\.awk|root\.pem|timeline\.(kk|ru|en)\.txt)",
    r"(SHA256SUMS|manifest\.json|manifest\.p7s)",
    rf"(({ANSWER}/)?leaves|records)/{LEAF_FILES}",
    rf"policies/{'[0-9a-f]' * 64}\.json",
    rf"(checkpoints|renewals)/{NUMBER}/proofs/{INDEX}\.proof",
    rf"checkpoints/{NUMBER}/stamps/{NUMBER}/" + one_of(STAMP_FILES),
]


IN_CHAIN = "|".join(
    (
        one_of("issued.der issued.proof"),
        "issued_journal/" + one_of(CHAIN_FILES + " signed.txt signature.bin"),
    )
)
KNOWN = re.compile(
    "|".join(
        [
            rf"{folder}({one_of(f'{CHAIN_FILES} {more}')}|{IN_CHAIN})"
            for folder, more in CHAIN_FOLDERS.items()
        ]
        + OTHER_FILES
    )
)


def is_known(path: str, files: set[str]) -> bool:
    """Whether the format knows such a file; what has no head.bin is no frame."""
    answer = re.match(ANSWER + "/", path)
    if answer and answer.group() + "head.bin" not in files:
        return False
    return KNOWN.fullmatch(path) is not None


def inside(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"


# --- encodings (cl. 1.3, 3.1, 10) --------------------------------------------------------------


def moment_us(text: str) -> int:
    """Microseconds since 1970 of a moment (cl. 1.3)."""
    need(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text, re.A), "no moment")
    when = dt.datetime.strptime(text[:-1] + "+0000", "%Y-%m-%dT%H:%M:%S.%f%z")
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    return (when - epoch) // dt.timedelta(microseconds=1)


def moment_text(us: int) -> str:
    epoch = dt.datetime(1970, 1, 1)
    when = epoch + dt.timedelta(microseconds=us)
    return when.isoformat(timespec="microseconds") + "Z"


def one_encoding(data: bytes) -> dict:
    """Decode JSON that is in the one encoding of cl. 3.1."""
    need(len(data) <= HEADER_BYTES_MAX, "JSON of more than 16,384 bytes")
    need(all(0x20 <= b <= 0x7E and b != 0x5C for b in data), "a byte that cl. 3.1 does not allow")
    bare = re.sub(rb'"[^"]*"', b"", data)  # no text can hold a quote: what is left is no text
    need(re.fullmatch(rb"[][{}:,0-9-]*", bare), "null, true, false, a fraction or white space")
    need(all(int(n) < 2**53 for n in re.findall(rb"[0-9]{16,}", bare)), "an integer too large")
    value = json.loads(data)
    need(isinstance(value, dict), "JSON that is no object")
    again = json.dumps(value, separators=(",", ":"))
    need(again.encode() == data, "a field that comes twice, or no one encoding of a number")
    return value


LABEL = r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
ADDRESS = rf"(?=.{{1,200}}\Z){LABEL}(?:\.{LABEL}){{0,7}}"
UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
HEX32 = r"[0-9a-f]{64}"
DETAIL = r"[ !#-\[\]-~]{0,300}"
CODING = r"salt(\+deflate)?(\+hpke|\+pad\+hpke)?"
PAYLOAD_FIELDS = {
    "sha256": HEX32,
    "sha512": r"[0-9a-f]{128}",
    "size": 0,
    "media_type": r"(?=.{1,100}\Z)[a-z0-9]+/[a-z0-9][a-z0-9.+-]*",
    "coding": CODING,
    "clear_sha256?": HEX32,
}
HEADER_FIELDS = {  # cl. 4.1: a text is a pattern, a number the least integer
    "id": UUID7,
    "type": r"(?=.{1,64}\Z)[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)*/[1-9][0-9]{0,3}",
    "from": ADDRESS,
    "to": ADDRESS,
    "sent": MOMENT,
    "epoch": 1,
    "seq?": 1,
    "period?": r"[0-9]{4}(-([0-9]{2}(-[0-9]{2})?|Q[1-4]))?",
    "section": r"S[0-9]{2}|net",
    "class": r"[A-Z][A-Z0-9]{0,7}",
    "flow": r"info|admin|oper|tech|result",
    "re?": UUID7,
    "certificate": HEX32,
    "payload": PAYLOAD_FIELDS,
    "expires?": MOMENT,
    "part?": {"of": UUID7, "number": 1},
    "ext?": dict,
}
NAME_FIELDS = {"from": ADDRESS, "epoch": 1, "id": UUID7}
MANIFEST_FIELDS = {
    "format": r"bbaj-evidence/1",
    "packet": NAME_FIELDS,
    "by": ADDRESS,
    "exported": MOMENT,
    "sums": HEX32,
    "frames": list,
    "checkpoints": list,
}
RECEIPT_FIELDS = {  # cl. 8.2
    "packet": NAME_FIELDS,
    "head_sha256": HEX32,
    "frame_sha256": HEX32,
    "verdict": r"accepted|refused",
    "reason?": r"[a-z-]{1,40}",
    "detail?": DETAIL,
    "refused_by?": ADDRESS,
    "received": MOMENT,
    "epoch": 1,
    "index": 0,
}
CLOSING_FIELDS = {  # cl. 8.3
    "packet": NAME_FIELDS,
    "receipt": NAME_FIELDS,
    "receipt_head_sha256": HEX32,
    "confirmed": MOMENT,
}
OBJECT_FIELDS = {"from": ADDRESS, "to": ADDRESS, "epoch": 1, "number": 1, "certificate": HEX32}
POSITION_FIELDS = {"lane": r"fast|bulk", "epoch": 1, "up_to": 0, "chain": HEX32, "seen": 0}


def fits(value: object, fields: dict, name: str = "header") -> dict:
    """Compare an object with its table: fields in order, none else, each of its form."""
    need(isinstance(value, dict), f"{name} is no object")
    present = [k for k in fields if not k.endswith("?") or k[:-1] in value]
    need([k.rstrip("?") for k in present] == list(value), f"{name} has other fields than its table")
    for key in present:
        form, member = fields[key], value[key.rstrip("?")]
        label = f"{name}: {key.rstrip('?')}"
        if isinstance(form, dict):
            fits(member, form, label)
        elif isinstance(form, type):
            need(isinstance(member, form), f"{label} is of another type")
        elif isinstance(form, int):
            need(isinstance(member, int) and member >= form, f"{label} is no integer from {form}")
        else:
            need(
                isinstance(member, str) and re.fullmatch(form, member), f"{label} has no such form"
            )
            if form is MOMENT:
                moment_us(member)
    return value


def unbase64(text: str, size: int | None = None) -> bytes:
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 not in its one form")
    need(size is None or len(data) == size, f"{len(data)} bytes where {size} were due")
    return data


def dns_name(address: str) -> str:
    """cl. 2.5."""
    return ".".join(reversed(address.split("."))) + ".bbaj.internal"


def read_leaf(record: bytes) -> dict[str, str]:
    """The lines of a journal leaf by key (cl. 10.1)."""
    lines = record.decode("ascii").split("\n")
    need(lines[0] == "bbaj-leaf/1" and lines[-1] == "" and len(lines) > 2, "no bbaj-leaf/1 record")
    pairs = [line.partition(" ") for line in lines[1:-1]]
    need(all(re.fullmatch(r"[a-z0-9-]+", key) and value for key, _, value in pairs), "a bad line")
    leaf = {key: value for key, _, value in pairs}
    need(len(leaf) == len(pairs) and pairs[0][0] == "kind", "a line comes twice, or no kind first")
    need(len(record) <= 65_535, "a leaf of more than 65,535 bytes")
    return leaf


# --- DER (X.690): the least that reading certificates, lists and tokens takes ------------------


class Der:
    """One element: its tag byte, its value, and all its bytes."""

    def __init__(self, data: bytes, *, whole: bool = True) -> None:
        need(len(data) >= 2 and data[0] & 0x1F != 0x1F, "DER that ends early, or a high tag")
        self.tag, size, at = data[0], data[1], 2
        if size & 0x80:
            count = size & 0x7F
            need(1 <= count <= 4 and len(data) >= 2 + count, "DER with a bad length")
            size, at = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
            need(size >= 0x80 and data[2] != 0, "DER with a length that is not minimal")
        need(len(data) >= at + size, "DER that ends early")
        need(not whole or len(data) == at + size, "bytes behind the DER")
        self.value, self.raw = data[at : at + size], data[: at + size]

    def all(self, tag: int | None = None) -> list[Der]:
        """The elements within."""
        need(tag is None or self.tag == tag, f"DER with tag {self.tag:#x} for {tag}")
        found, rest = [], self.value
        while rest:
            found.append(Der(rest, whole=False))
            rest = rest[len(found[-1].raw) :]
        return found

    def integer(self) -> int:
        need(self.tag == 0x02 and self.value, "no DER integer")
        return int.from_bytes(self.value, "big", signed=True)

    def oid(self) -> str:
        need(self.tag == 0x06 and self.value and self.value[-1] < 0x80, "no object identifier")
        arcs, arc = [], 0
        for byte in self.value:
            arc = arc << 7 | byte & 0x7F
            if byte < 0x80:
                arcs.append(arc)
                arc = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))

    def time_us(self) -> int:
        """UTCTime or GeneralizedTime, as RFC 5280 and RFC 3161 write them."""
        text = self.value.decode("ascii")
        if self.tag == 0x17:
            text = ("19" if text[:2] >= "50" else "20") + text
        need(self.tag in (0x17, 0x18), "no DER time")
        need(re.fullmatch(r"\d{14}(\.\d{0,5}[1-9])?Z", text, re.A), f"a time like {text}")
        digits = (text[15:-1] if "." in text else "").ljust(6, "0")
        t = text
        date = f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[8:10]}:{t[10:12]}:{t[12:14]}"
        return moment_us(f"{date}.{digits}Z")


def der(tag: int, *parts: bytes) -> bytes:
    """Write one element."""
    value = b"".join(parts)
    size = len(value)
    if size < 0x80:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + value


def extensions(holder: Der | None) -> dict[str, tuple[bool, bytes]]:
    """Extensions by object identifier: whether critical, and the value."""
    found: dict[str, tuple[bool, bytes]] = {}
    for extension in holder.all(0x30) if holder else []:
        parts = extension.all(0x30)
        oid = parts[0].oid()
        need(oid not in found, f"extension {oid} twice")
        found[oid] = (len(parts) == 3 and parts[1].value == b"\xff", parts[-1].value)
    return found


class Certificate:
    """What is read of a certificate; that it is signed is for openssl to say."""

    def __init__(self, data: bytes) -> None:
        self.der = data
        self.sha256 = sha256(data).hex()
        tbs, algorithm, _ = Der(data).all(0x30)
        fields = tbs.all(0x30)
        need(fields[0].tag == 0xA0, "a certificate that is not version 3")
        self.serial = fields[1].integer()
        self.serial_der, self.issuer, self.subject = fields[1].raw, fields[3].raw, fields[5].raw
        self.begins, self.ends = (part.time_us() for part in fields[4].all(0x30))
        self.public = fields[6].raw
        self.signed_with = algorithm.all(0x30)[0].oid()
        holder = next((f for f in fields[7:] if f.tag == 0xA3), None)
        self.extensions = extensions(Der(holder.value) if holder else None)

    def bits(self, oid: str) -> int:
        """Key usage: bit 0 is digitalSignature, 5 keyCertSign, 6 cRLSign."""
        value = Der(self.extensions[oid][1]).value
        return int.from_bytes(value[1:].ljust(2, b"\0")[:2], "big")

    def key(self) -> str:
        """The kind of its public key."""
        algorithm = Der(self.public).all(0x30)[0].all(0x30)
        kind = algorithm[0].oid()
        if kind == "1.2.840.10045.2.1":
            curve = algorithm[1].oid()
            return {"1.2.840.10045.3.1.7": "p256", "1.3.132.0.34": "p384"}.get(curve, curve)
        if kind == "1.2.840.113549.1.1.1":
            inner = Der(Der(self.public).all()[1].value[1:]).all(0x30)
            bits = inner[0].integer().bit_length()
            return f"rsa-{max([size for size in (2048, 3072, 4096) if size <= bits], default=bits)}"
        return {"1.3.101.112": "ed25519"}.get(kind, kind)

    def pem(self) -> bytes:
        return armour("CERTIFICATE", self.der)


REASONS = "unspecified keyCompromise cACompromise affiliationChanged superseded".split() + (
    "cessationOfOperation certificateHold - removeFromCRL privilegeWithdrawn aACompromise".split()
)


class RevocationList:
    """What is read of a CRL (cl. 11.6); `revoked`: serial to (moment that counts, reason)."""

    def __init__(self, data: bytes) -> None:
        self.der = data
        self.tbs, algorithm, signature = Der(data).all(0x30)
        self.signed_with, self.signature = algorithm.all(0x30)[0].oid(), signature.value[1:]
        fields = self.tbs.all(0x30)
        need(fields[0].tag == 0x02, "a CRL that is not version 2")
        self.issuer, self.begins = fields[2].raw, fields[3].time_us()
        need(len(fields) > 4 and fields[4].tag in (0x17, 0x18), "a CRL without next update")
        self.ends = fields[4].time_us()
        listed = fields[5].all() if len(fields) > 5 and fields[5].tag == 0x30 else []
        holder = fields[-1] if fields[-1].tag == 0xA0 else None
        self.extensions = extensions(Der(holder.value) if holder else None)
        need("2.5.29.20" in self.extensions, "a CRL without number")
        need(not {"2.5.29.27", "2.5.29.28"} & set(self.extensions), "a partial CRL")
        self.revoked = dict(self.entry(part) for part in listed)

    @staticmethod
    def entry(part: Der) -> tuple[int, tuple[int, str]]:
        fields = part.all(0x30)
        about = extensions(fields[2] if len(fields) > 2 else None)
        moment, reason = fields[1].time_us(), "unspecified"
        if "2.5.29.21" in about:
            reason = REASONS[Der(about["2.5.29.21"][1]).value[0]]
        if reason.endswith("Compromise") and "2.5.29.24" in about:  # cl. 21.3: invalidity date
            moment = Der(about["2.5.29.24"][1]).time_us()
        return fields[0].integer(), (moment, reason)

    def pem(self) -> bytes:
        return armour("X509 CRL", self.der)


def armour(label: str, data: bytes) -> bytes:
    text = base64.b64encode(data).decode()
    lines = "".join(text[at : at + 64] + "\n" for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}-----END {label}-----\n".encode()


BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n([A-Za-z0-9+/=\n]+)-----END \1-----\n")


def unarmour(text: str) -> list[tuple[str, bytes]]:
    """The PEM blocks of a file, which must have nothing else: (label, DER)."""
    need(BLOCK.sub("", text) == "", "is not PEM alone")
    found = BLOCK.findall(text)
    return [
        (label, base64.b64decode(body.replace("\n", ""), validate=True)) for label, body in found
    ]


# --- openssl -----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def openssl(command: str, *files: bytes) -> tuple[bool, str]:
    """Run `openssl COMMAND`, in which @0, @1 ... stand for files; whether it succeeded, its words.

    Nothing of this machine counts: no configuration, no trusted certificates of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = command.split()
        for number, data in enumerate(files):
            path = os.path.join(folder, str(number))
            with open(path, "wb") as file:
                file.write(data)
            arguments = [path if a == f"@{number}" else a for a in arguments]
        done = subprocess.run(
            ["openssl", *arguments],
            cwd=folder,
            env={"PATH": os.environ.get("PATH") or os.defpath, "OPENSSL_CONF": os.devnull},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        words = done.stdout.decode("utf-8", "replace").replace(folder + os.sep, "")
    return done.returncode == 0, words


def why(words: str) -> str:
    """The lines of openssl that say what is wrong, without its codes and its own affairs."""
    lines = [re.sub(r"^[0-9A-F]+:error:[0-9A-F]+:", "error:", each) for each in words.splitlines()]
    said = [line for line in lines if "error" in line]
    said = said or [line for line in lines if not line.startswith(("Using", "Warning"))]
    return "; ".join(said)[:300] or "openssl gave no reason"


DIGESTS = {
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def ecdsa(public: bytes, signature: bytes, data: bytes, digest: str = "sha256") -> bool:
    command = f"dgst -{digest} -verify @0 -signature @1 @2"
    return openssl(command, armour("PUBLIC KEY", public), signature, data)[0]


def one_signature(signature: bytes) -> None:
    """cl. 3.4: DER in its one encoding, with a low s."""
    numbers = [part.integer() for part in Der(signature).all(0x30)]
    need(len(numbers) == 2, "a signature that is not r and s")
    r, s = numbers
    need(0 < r < P256_ORDER and 0 < s <= P256_ORDER // 2, "a signature with r or s out of range")
    minimal = der(0x30, *(der(0x02, n.to_bytes(n.bit_length() // 8 + 1, "big")) for n in numbers))
    need(signature == minimal, "a signature not in its one encoding")


def packet_signature(public: bytes, signature: bytes, data: bytes) -> None:
    one_signature(signature)
    need(ecdsa(public, signature, data), "the signature does not hold")


def ed25519(public: bytes, signature: bytes, data: bytes) -> None:
    need(len(signature) == 64, "a signature that has not 64 bytes")
    command = "pkeyutl -verify -pubin -inkey @0 -rawin -in @1 -sigfile @2"
    good, _ = openssl(command, armour("PUBLIC KEY", public), data, signature)
    need(good, "the Ed25519 signature does not hold")


def cms(signer: Certificate, authority: Certificate, signature: bytes) -> bytes:
    """The one detached CMS that a packet signature makes (cl. 20)."""
    oid = {
        "signed": bytes.fromhex("06092a864886f70d010702"),
        "data": bytes.fromhex("06092a864886f70d010701"),
        "sha256": der(0x30, bytes.fromhex("0609608648016503040201")),
        "ecdsa": der(0x30, bytes.fromhex("06082a8648ce3d040302")),
    }
    one = der(0x02, b"\x01")
    who = der(0x30, signer.issuer, signer.serial_der)
    info = der(0x30, one, who, oid["sha256"], oid["ecdsa"], der(0x04, signature))
    certificates = der(0xA0, *sorted([signer.der, authority.der]))
    content = der(0x30, oid["data"])
    body = der(0x30, one, der(0x31, oid["sha256"]), content, certificates, der(0x31, info))
    return der(0x30, oid["signed"], der(0xA0, body))


# --- frames and link objects (cl. 3.3, 6.1) ----------------------------------------------------


class Piece:
    """A frame's head, or a link object, cut: signed bytes, header, signature, and the rest."""

    def __init__(self, data: bytes, magic: bytes, at: int) -> None:
        """`at`: where the header's length stands: 6 in a frame, 7 in an object."""
        need(len(data) >= at + 2 and data[:4] == magic, f"it does not begin with {magic.decode()}")
        need(data[4] == 1, f"version {data[4]} is not 1")
        need(data[at - 1] == 1, f"algorithm {data[at - 1]} is not 1")
        self.kind = data[5]
        size = int.from_bytes(data[at : at + 2], "big")
        need(size <= HEADER_BYTES_MAX, "a header of more than 16,384 bytes")
        end = at + 2 + size
        signature_size = int.from_bytes(data[end : end + 2], "big")
        need(1 <= signature_size <= 8192, f"a signature of {signature_size} bytes")
        self.signed, self.header_bytes = data[:end], data[at + 2 : end]
        self.signature = data[end + 2 : end + 2 + signature_size]
        need(len(self.signature) == signature_size, "it ends within header or signature")
        self.head, self.rest = data[: end + 2 + signature_size], data[end + 2 + signature_size :]


def pieces_of(data: bytes) -> list[bytes]:
    """cl. 6.6."""
    found, at = [], 2
    for _ in range(int.from_bytes(data[:2], "big")):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    need(at == len(data), "pieces that do not end with the body")
    return found


def frame_header(data: bytes) -> dict:
    """A packet's header (cl. 4)."""
    header = fits(one_encoding(data), HEADER_FIELDS)
    need(("seq" in header) != ("part" in header), "exactly one of seq and part must be there")
    need(header["from"] != header["to"], "a packet to its own sender")
    payload = header["payload"]
    hidden = payload["coding"].endswith("hpke")
    need(("clear_sha256" in payload) == hidden, "clear_sha256 goes with +hpke, and with it alone")
    extra = header.get("ext", {})
    need(json.dumps(extra, sort_keys=True) == json.dumps(extra), "ext is not sorted")
    return header


def undo(coding: str, payload: bytes) -> bytes:
    """Salt and content of a payload that is not encrypted (cl. 5.2)."""
    if coding == "salt":
        return payload
    opener = zlib.decompressobj(-15)
    plain_bytes = opener.decompress(payload, CONTENT_BYTES_MAX + 16)
    need(
        opener.eof and not opener.unused_data, "deflate data that do not end where the payload does"
    )
    return plain_bytes


def fold(chain: str, lines: list[str]) -> str:
    """The chain value behind `NUMBER SHA256` lines that follow one another (cl. 7.3)."""
    value, last = bytes.fromhex(chain), None
    for line in lines:
        found = re.fullmatch(rf"([1-9][0-9]{{0,15}}) ({HEX32})", line)
        need(found, "a line of chain.txt that is not NUMBER SHA256")
        number = int(found.group(1))
        need(last is None or number == last + 1, f"entry {number} does not follow {last}")
        value = sha256(value + number.to_bytes(8, "big") + bytes.fromhex(found.group(2)))
        last = number
    return value.hex()


# --- trees and notes (cl. 10.2 to 10.5, 20.7, 19.4) --------------------------------------------


def included(record: bytes, index: int, size: int, path: list[bytes], digest=sha256) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2)."""
    need(0 <= index < size, f"leaf {index} is not in a tree of {size}")
    node, at, last = digest(b"\0" + record), index, size - 1
    for sibling in path:
        need(last > 0, "the proof is too long")
        if at & 1 or at == last:
            node = digest(b"\1" + sibling + node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = digest(b"\1" + node + sibling)
        at, last = at >> 1, last >> 1
    need(last == 0, "the proof is too short")
    return node


class Note:
    """A signed note over a tree head: text, origin, size, root, signature lines."""

    LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+=*)\n")

    def __init__(self, data: bytes, root_bytes: int = 32) -> None:
        text = data.decode("utf-8")
        body, blank, signatures = text.partition("\n\n")
        lines = body.split("\n")
        need(blank and len(lines) == 3, "a note of other than three lines and a blank one")
        self.text, (self.origin, size, root) = (body + "\n").encode(), lines
        need(re.fullmatch(r"0|[1-9][0-9]{0,18}", size), "no size in the second line")
        self.size, self.root = int(size), unbase64(root, root_bytes)
        found = self.LINE.findall(signatures)
        need(found and self.LINE.sub("", signatures) == "", "a signature line of no such form")
        self.lines = [(name, unbase64(value)) for name, value in found]
        need(len(set(self.lines)) == len(self.lines), "a signature line comes twice")

    def cosigned(self) -> list[tuple[int, str]]:
        """When, in seconds, and by whom a line says that it was cosigned (cl. 10.5)."""
        lines = [(name, value[4:]) for name, value in self.lines if name != self.origin]
        sizes = (8 + 64, 8 + 2420)
        return [(int.from_bytes(v[:8], "big"), name) for name, v in lines if len(v) in sizes]

    def signature(self, name: str, public: bytes) -> bytes:
        """The Ed25519 signature of the log itself."""
        wanted = key_id(name, 1, public)
        found = [value[4:] for who, value in self.lines if who == name and value[:4] == wanted]
        need(len(found) == 1, f"{len(found)} signature lines of {name} with the key's id, 1 is due")
        return found[0]


def key_id(name: str, kind: int, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + public)[:4]


def raw_public(certificate: Certificate) -> bytes:
    need(certificate.key() == "ed25519", f"a key of kind {certificate.key()}, not ed25519")
    return certificate.public[-32:]


TREE, SECOND_TREE = "c2sp.org/tlog-proof@v1", "bbaj-proof/1 sha-512"
PROOFS = {  # first line of a proof: bytes of a hash, hash function
    TREE: (32, sha256),
    SECOND_TREE: (64, lambda data: hashlib.sha512(data).digest()),
}


def proven(data: bytes, record: bytes, note_bytes: bytes, note: Note, form: str) -> int:
    """Check a proof of a record under a note; its index."""
    width, digest = PROOFS[form]
    head, blank, behind = data.partition(b"\n\n")
    need(blank and behind == note_bytes, "the note in it is not note.txt")
    first, index_line, *hashes = head.decode("ascii").split("\n")
    need(first == form, f"the first line is not {form}")
    found = re.fullmatch(r"index (0|[1-9][0-9]{0,18})", index_line)
    need(found, "the second line is no index")
    index = int(found.group(1))
    path = [unbase64(line, width) for line in hashes]
    need(included(record, index, note.size, path, digest) == note.root, "it leads to another root")
    return index


def tracked_leaf(piece: bytes) -> tuple[bytes, Note | None]:
    """A bare leaf; or one in the `extra` line of a proof, checked against the note (cl. 18.6)."""
    if piece.startswith(b"bbaj-leaf/1\n"):
        return piece, None
    first, extra, rest = piece.split(b"\n", 2)
    need(extra.startswith(b"extra "), "a proof without its leaf")
    record, note_bytes = unbase64(extra[6:].decode()), piece.partition(b"\n\n")[2]
    note = Note(note_bytes)
    proven(first + b"\n" + rest, record, note_bytes, note, TREE)
    return record, note


# --- certificates at a past moment (cl. 11.2 to 11.6, 21.3) ------------------------------------

NODE_CRITICAL = {"2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.37"}
VERIFY = "verify -no-CApath -no-CAstore -purpose any -CAfile @0 "
LATE_US = 200 * 86_400_000_000
CRL_GRACE_US = 7 * 86_400_000_000


def node_shape(cert: Certificate, dns: str, purpose: str) -> None:
    """cl. 11.3, 11.2."""
    found = cert.extensions
    names = Der(found["2.5.29.17"][1]).all(0x30) if "2.5.29.17" in found else []
    said = [(name.tag, name.value.decode("ascii")) for name in names]
    need(said == [(0x82, dns)], f"the certificate does not name {dns} alone")
    usages = [u.oid() for u in Der(found["2.5.29.37"][1]).all(0x30)] if "2.5.29.37" in found else []
    need(usages == [PURPOSES[purpose]], f"the certificate is not for the purpose {purpose}")
    key = "p256" if purpose == "packet" else "ed25519"
    need(cert.key() == key, f"a {purpose} key of kind {cert.key()}, not {key}")
    need("2.5.29.15" in found and cert.bits("2.5.29.15") & 0x8400 == 0x8000, "a wrong key usage")
    basic = Der(found["2.5.29.19"][1]).all(0x30) if "2.5.29.19" in found else []
    need(not basic, "a node's certificate that is an authority's")
    unknown = {oid for oid, (critical, _) in found.items() if critical} - NODE_CRITICAL
    need(not unknown, f"an unknown critical extension {sorted(unknown)}")


def authority_shape(cert: Certificate, dns: str) -> None:
    """cl. 11.4."""
    found = cert.extensions
    need(cert.key() == "p256", f"the authority's key is of kind {cert.key()}, not p256")
    need(cert.signed_with == "1.2.840.10045.4.3.3", "the authority was not signed with SHA-384")
    basic = found.get("2.5.29.19", (False, b"\x30\x00"))
    need(basic == (True, bytes.fromhex("30060101ff020100")), "no authority of path length 0")
    need("2.5.29.15" in found and cert.bits("2.5.29.15") & 0x0600 == 0x0600, "a wrong key usage")
    need("2.5.29.14" in found, "the authority has no subject key identifier")
    critical, value = found.get("2.5.29.30", (False, b""))
    need(critical, "the authority has no critical name constraints")
    parts = Der(value).all(0x30)
    need([p.tag for p in parts] == [0xA0], "name constraints that do more than permit")
    trees = [tree.all(0x30) for tree in parts[0].all()]
    permitted = [(base.tag, base.value.decode("ascii")) for tree in trees for base in tree]
    need(len(permitted) == 1 and permitted[0][0] == 0x82, "it permits not one DNS subtree")
    within = permitted[0][1]
    need(dns == within or dns.endswith("." + within), f"{dns} is not within {within}")


class ChainFolder:
    """The files of cl. 20.3."""

    def __init__(self, folder: Folder, where: str) -> None:
        self.path = functools.partial(inside, where)
        self.signer = one_certificate(folder, self.path("signer.pem"))
        self.authority = one_certificate(folder, self.path("authority.pem"))
        with at(self.path("roots_and_crls.pem")):
            blocks = unarmour(folder.text(self.path("roots_and_crls.pem")))
            labels = [label for label, _ in blocks]
            need(labels[:1] == ["CERTIFICATE"], "has no root first")
            need(set(labels[1:]) <= {"X509 CRL"}, "has more than one root")
            self.root = Certificate(blocks[0][1])
            self.lists = [RevocationList(data) for _, data in blocks[1:]]
        self.after: list[RevocationList] = []
        with at(self.path("crls_after.pem")):
            if self.path("crls_after.pem") in folder.files:
                blocks = unarmour(folder.text(self.path("crls_after.pem")))
                need({label for label, _ in blocks} == {"X509 CRL"}, "is not revocation lists")
                self.after = [RevocationList(data) for _, data in blocks]
        self.folder = folder

    def claimed(self) -> int:
        """The moment in attime.txt, where nothing else says one (cl. 20.6)."""
        with at(self.path("attime.txt")):
            line = self.folder.text(self.path("attime.txt"))
            need(re.fullmatch(r"(0|[1-9][0-9]{0,11})\n", line), "is no moment in seconds")
            return int(line) * 1_000_000


def one_certificate(folder: Folder, path: str) -> Certificate:
    with at(path):
        return certificate_in(folder.text(path))


def certificate_in(text: str) -> Certificate:
    blocks = unarmour(text)
    need([label for label, _ in blocks] == ["CERTIFICATE"], "is not one certificate")
    return Certificate(blocks[0][1])


def issued_by(lists: list[RevocationList], issuer: Certificate) -> list[RevocationList]:
    """The revocation lists that this issuer's key signed, newest first (cl. 11.6)."""
    good = [
        each
        for each in lists
        if each.issuer == issuer.subject
        and each.signed_with in DIGESTS
        and ecdsa(issuer.public, each.signature, each.tbs.raw, DIGESTS[each.signed_with])
    ]
    return sorted(good, key=lambda each: each.begins, reverse=True)


def in_force(chain: ChainFolder, issuer: Certificate, who: str, moment: int) -> None:
    """cl. 21.3, 5: a list of the issuer that was current at the moment."""
    lists = issued_by(chain.lists, issuer)
    need(lists, f"the CRL of {who} is missing")
    begun = [each for each in lists if each.begins <= moment + CLOCK_AHEAD_US]
    need(begun, f"the CRL of {who} is from the future: issued {moment_text(lists[-1].begins)}")
    stale = moment_text(begun[0].ends)
    need(moment <= begun[0].ends + CRL_GRACE_US, f"the CRL of {who} is stale: it ended {stale}")


def not_revoked(cert: Certificate, issuer: Certificate, lists: list, who: str, moment: int) -> str:
    """cl. 21.3, 6: what to say of a revocation that came later; raises for one that did not."""
    found = [each.revoked.get(cert.serial) for each in issued_by(lists, issuer)]
    known = sorted(entry for entry in found if entry)
    if not known:
        return ""
    date, reason = known[0]
    told = f"{who} revoked {moment_text(date)}, {reason}"
    need(date > moment, f"{told}: not later than {moment_text(moment)}")
    return f"; {told}, later than what is judged"


# --- time-stamps (RFC 3161; cl. 20.9, 21.5) ----------------------------------------------------

HASHES = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


class Stamp:
    """A time-stamp token and the note it is for; `covers`: the leaves proven under that note.

    `second`: the note heads the second log (cl. 19.4). `alive`: it holds up (cl. 21.5).
    """

    def __init__(self, folder: Folder, where: str, trusted: frozenset = frozenset()) -> None:
        self.where = where
        self.covers: set[int] = set()
        self.leaf: int | None = None
        """The leaf that records the token."""
        self.second = self.alive = False
        self.told = ""
        self.root = one_certificate(folder, f"{where}/root.pem")
        if trusted and self.root.der not in trusted:
            raise Unsupported(f"its root {self.root.sha256} is none of those that are trusted")
        self.token = folder.read(f"{where}/token.der")
        self.note = folder.read(f"{where}/note.txt")
        with at(f"{where}/chain.pem"):
            blocks = unarmour(folder.text(f"{where}/chain.pem"))
            need({label for label, _ in blocks} == {"CERTIFICATE"}, "is not certificates")
            self.chain = [Certificate(data) for _, data in blocks]
        self.name = folder.text(f"{where}/authority.txt")
        need(re.fullmatch(r"[^\n]+\n", self.name), "is not one line", f"{where}/authority.txt")
        with at(f"{where}/token.der"):
            self.read_token()

    def read_token(self) -> None:
        kind, holder = Der(self.token).all(0x30)
        need(kind.oid() == "1.2.840.113549.1.7.2", "token.der is no SignedData")
        signed = Der(holder.value).all(0x30)
        inner = signed[2].all(0x30)
        need(inner[0].oid() == "1.2.840.113549.1.9.16.1.4", "token.der holds no time-stamp")
        facts = Der(Der(inner[1].value).value).all(0x30)
        imprint_algorithm, imprint = facts[2].all(0x30)
        self.digest = HASHES.get(imprint_algorithm.all(0x30)[0].oid(), "unknown")
        self.imprint, self.moment = imprint.value, facts[4].time_us()
        brought = [each.raw for each in signed[3].all()] if signed[3].tag == 0xA0 else []
        need(not brought or self.chain[0].der in brought, "it brings another certificate")
        signers = signed[-1].all(0x31)
        need(len(signers) == 1, "a token of other than one signer")
        info = signers[0].all(0x30)
        leaf = self.chain[0]
        named = der(0x30, leaf.issuer, leaf.serial_der)
        by_key = leaf.extensions.get("2.5.29.14", (False, b"\x04\x00"))[1]
        theirs = named if info[1].tag == 0x30 else by_key[2:]
        ours = info[1].raw if info[1].tag == 0x30 else info[1].value
        need(ours == theirs, "the first certificate of chain.pem did not sign the token")
        key = leaf.key()
        if self.digest == "unknown" or not key.startswith(("rsa-", "p256", "p384")):
            raise Unsupported(f"a token with a key of kind {key}, an imprint {self.digest}")
        signer_digest = HASHES.get(info[2].all(0x30)[0].oid(), "unknown")
        used = {self.digest.replace("sha", "sha-")}
        if key.startswith("rsa"):
            self.algorithms = used | {key, signer_digest.replace("sha", "sha-")}
        else:
            self.algorithms = used | {f"ecdsa-{key}-{signer_digest}"}

    def check(self) -> None:
        """Signature, imprint, usage, and the chain at genTime."""
        ours = hashlib.new(self.digest, self.note).digest()
        need(self.imprint == ours, "the token's imprint is not of this note.txt")
        usage = self.chain[0].extensions.get("2.5.29.37")
        wanted = (True, bytes.fromhex("300a06082b06010505070308"))
        need(usage == wanted, "the authority's certificate is not for time-stamping alone")
        command = "ts -verify -data @0 -in @1 -token_in -CAfile @2 -untrusted @3 -attime "
        given = self.note, self.token, self.root.pem(), self.bundle()
        good, words = openssl(command + str(self.moment // 1_000_000), *given)
        need(good, "openssl ts: " + why(words))

    def is_younger_than(self, note: Note) -> None:
        """What it seals bears no cosignature of a later time."""
        latest, name = max(note.cosigned(), default=(0, ""))
        ahead = latest * 1_000_000 - self.moment
        told = f"older, by {ahead // 1_000_000} s, than the cosignature of {name} that it seals"
        need(ahead <= CLOCK_AHEAD_US, told)

    def bundle(self) -> bytes:
        return b"".join(each.pem() for each in self.chain)

    def chain_alive(self, moment: int) -> bool:
        command = "verify -no-CApath -no-CAstore -CAfile @0 -untrusted @1 -purpose timestampsign "
        command += f"-attime {moment // 1_000_000} @2"
        return openssl(command, self.root.pem(), self.bundle(), self.chain[0].pem())[0]


# --- the checks, in their order (cl. 21.1) -----------------------------------------------------


class Frame:
    """What the folder has of one packet, receipt or closing."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.header: dict = {}
        self.head = b""
        self.whole: bytes | None = None
        self.whole_sha256: str | None = None
        self.leaves: list[int] = []
        """Indexes of the leaves that agree with it."""
        self.existed: int | None = None
        self.existed_by = "sender"

    @property
    def name(self) -> dict:
        return {key: self.header.get(key) for key in NAME_FIELDS}


DIGEST_KEYS = {"head-sha256", "head-sha512", "frame-sha256", "frame-sha512"}


class Verifier:
    """Judges one folder. `now`: microseconds since 1970; `policy`: algorithms and their ends.

    `stamp_roots`: the DER of the time-stamp roots that count; none: those in the folder are taken.
    """

    def __init__(
        self,
        root: str,
        now: int,
        trusted: bytes | None,
        policy: dict,
        stamp_roots: frozenset[bytes] = frozenset(),
    ) -> None:
        self.folder, self.verdict = Folder(root), Verdict()
        self.stamp_roots = stamp_roots
        self.now, self.trusted, self.policy = now, trusted, policy
        self.manifest: dict = {}
        self.by = ""
        """The address of the node that exported."""
        self.frames: list[Frame] = []
        self.leaves: dict[int, tuple[str, bytes]] = {}
        self.checkpoints: list[int] = []
        self.good: set[int] = set()
        """The checkpoints that hold."""
        self.notes: dict[int, tuple[bytes, Note]] = {}
        self.proofs: dict[int, set[int]] = {}
        """By checkpoint: the leaves proven under it."""
        self.stamps: dict[int, list[Stamp]] = {}
        self.cosigned: dict[int, list[int]] = {}
        """By checkpoint: moments of the cosignatures that hold."""
        self.renewals: list[Stamp] = []
        self.proof_faults: dict[str, tuple[int | None, Fault | None]] = {}
        self.lists = self.all_lists()

    def run(self) -> dict:
        judge = self.verdict.judge
        self.files()
        self.unknown()
        self.read_manifest()
        for frame in self.frames:
            self.read_frame(frame)
            judge("pieces", frame.where, self.pieces, frame)
            judge("payload", frame.where, self.payload, frame)
            judge("content", frame.where, self.content, frame)
        self.all_leaves()
        self.all_proofs()
        self.time_stamps()
        self.say_proofs()
        for size in self.checkpoints:
            self.witnesses(size)
            if judge("checkpoint", f"checkpoints/{size}", self.checkpoint, size):
                self.good.add(size)
        for frame in self.frames:
            judge("existence", frame.where, self.existence, frame)
            judge("signature", frame.where, self.signature, frame)
            judge("chain", frame.where, self.frame_chain, frame)
        for frame in self.frames[1:]:
            judge("answer", frame.where, self.answer, frame)
        self.each_of("custody", self.custody)
        self.each_of("tracked", self.tracked)
        for where in self.folder.with_file("issued.der", "issued.proof"):
            judge("issued", where, self.issued, where)
        for language in ("kk", "ru", "en"):
            judge("timeline", f"timeline.{language}.txt", self.timeline, language)
        for check in CHECKS:
            if not any(entry["check"] == check for entry in self.verdict.entries):
                self.verdict.add(check, ".", "absent", "nothing of this kind in the folder")
        return self.result()

    def result(self) -> dict:
        checks = self.verdict.ordered()
        packet = self.frames[0] if self.frames else Frame(".")
        known = packet.header or self.manifest.get("packet", {})
        return {
            "holds": not any(entry["result"] == "fails" for entry in checks),
            "packet": known.get("id"),
            "existed": None if packet.existed is None else moment_text(packet.existed),
            "existed_by": None if packet.existed is None else packet.existed_by,
            "stamp_roots": "given" if self.stamp_roots else "folder",
            "stamp_root_sha256": sorted({each.root.sha256 for each in self.living()}),
            "checks": checks,
        }

    def living(self) -> list[Stamp]:
        """The time-stamps that hold up."""
        found = [*self.renewals, *(each for some in self.stamps.values() for each in some)]
        return [each for each in found if each.alive]

    def same(self, path: str, data: bytes, what: str) -> None:
        need(self.folder.read(path) == data, f"is not {what}", path)

    def cut(self, where: str, piece: Piece, whole: str) -> None:
        """The three pieces that stand beside a head or an object are those of it (cl. 3.3, 6.1)."""
        self.same(inside(where, "signed.bin"), piece.signed, f"what {whole} has")
        self.same(inside(where, "header.json"), piece.header_bytes, f"what {whole} has")
        self.same(inside(where, "signature.der"), piece.signature, f"what {whole} has")

    def each_of(self, check: str, what) -> None:
        for where in self.folder.numbered(check):
            self.verdict.judge(check, where, what, where)

    # files: each listed file's digest; nothing else in the folder (cl. 20.2)

    def files(self) -> None:
        found: list[tuple[str, str]] = [(path, "no regular file") for path in self.folder.others]
        top = {"SHA256SUMS", "manifest.json", "manifest.p7s"}
        listed, fault = attempt(self.sums)
        if fault:
            found.append(("SHA256SUMS", str(fault)))
        for path in sorted({*(listed or ()), *self.folder.files, *top}, key=natural):
            digest = None if listed is None or path in top else listed.get(path, "")
            fault = attempt(self.file, path, digest)[1]
            found += [(path, str(fault))] if fault else []
        for path, told in found:
            self.verdict.add("files", path, "fails", told)
        if not found:
            self.verdict.add("files", "SHA256SUMS", "holds", f"{len(listed)} files")

    def unknown(self) -> None:
        """Name what the format does not know."""
        told = "no file of this format: the exporter has sealed it, nothing in it is judged"
        for path in sorted(self.folder.files, key=natural):
            if not is_known(path, self.folder.files):
                self.verdict.add("unknown", path, "warns", told)

    def file(self, path: str, listed: str | None) -> None:
        """`listed`: the digest in SHA256SUMS; None where there is none to compare with."""
        need(listed != "", "is not listed in SHA256SUMS")
        digest = sha256(self.folder.read(path)).hex()
        need(listed in (None, digest), "has another digest than SHA256SUMS says")

    def sums(self) -> dict[str, str]:
        text = self.folder.text("SHA256SUMS")
        part = r"[A-Za-z0-9][A-Za-z0-9._-]*"
        line = re.compile(rf"({HEX32})  ({part}(?:/{part})*)\n")
        need(line.sub("", text) == "", "a line that is no digest, two spaces and a name")
        pairs = [(name, digest) for digest, name in line.findall(text)]
        names = [name for name, _ in pairs]
        need(names == sorted(set(names)), "names that are not sorted, or come twice")
        need(len(names) <= FILES_MAX, f"more than {FILES_MAX} files")
        return dict(pairs)

    # manifest: the exporter's seal over all of it (cl. 20.2)

    def read_manifest(self) -> None:
        folder, judge = self.folder, self.verdict.judge
        judge("manifest", "manifest.json", self.manifest_form)
        judge("manifest", "SHA256SUMS", self.manifest_sums)
        judge("manifest", "manifest.p7s", self.manifest_seal)
        self.by = self.manifest.get("by") or attempt(self.exporter)[0] or ""
        answers = [f for f in folder.with_file("head.bin") if re.fullmatch(ANSWER, f)]
        answers.sort(key=lambda f: (not f.startswith("receipt"), natural(f)))
        self.frames = [Frame(where) for where in (".", *answers)]
        self.checkpoints = [int(path.split("/")[1]) for path in folder.numbered("checkpoints")]

    def exporter(self) -> str:
        """The address in the certificate: who exported, where the manifest cannot be read."""
        signer = one_certificate(self.folder, "exporter/signer.pem")
        return address_of(Der(signer.extensions["2.5.29.17"][1]).all(0x30)[0].value.decode())

    def manifest_form(self) -> str:
        manifest = fits(
            one_encoding(self.folder.read("manifest.json")), MANIFEST_FIELDS, "manifest"
        )
        self.manifest = manifest
        frames, sizes = manifest["frames"], manifest["checkpoints"]
        form = rf"\.|{ANSWER}"
        need(frames[:1] == ["."], "the packet does not come first among the frames")
        need(all(re.fullmatch(form, frame) for frame in frames), "a bad name of a frame folder")
        found = self.folder.with_file("head.bin")
        present = [frame for frame in found if re.fullmatch(form, frame)]
        need(sorted(frames) == sorted(present), "frames other than the frame folders")
        below = {path.split("/")[1] for path in self.folder.numbered("checkpoints")}
        need(all(isinstance(s, int) for s in sizes), "a size that is no integer")
        need(sizes == sorted(set(sizes)) and {str(s) for s in sizes} == below, "other checkpoints")
        header = self.header(".")
        name = {key: header[key] for key in NAME_FIELDS}
        need(manifest["packet"] == name, "it names another packet than header.json")
        return f"by {manifest['by']}, {manifest['exported']}"

    def manifest_sums(self) -> str:
        ours = sha256(self.folder.read("SHA256SUMS")).hex()
        need(self.manifest.get("sums") == ours, "manifest.json names another SHA-256 for it")
        return ""

    def manifest_seal(self) -> str:
        need(self.manifest, "manifest.json cannot be read")
        data, chain = self.folder.read("manifest.json"), ChainFolder(self.folder, "exporter")
        with at("manifest.p7s"):
            seal = self.folder.read("manifest.p7s")
            info = Der(Der(Der(seal).all(0x30)[1].value).all(0x30)[-1].value)
            signature = info.all(0x30)[-1].value
            need(seal == cms(chain.signer, chain.authority, signature), "a CMS of another form")
            packet_signature(chain.signer.public, signature, data)
        top = one_certificate(self.folder, "root.pem")
        need(top.der == chain.root.der, "is not the root of exporter/", "root.pem")
        exported = moment_us(self.manifest["exported"])
        return self.counts(chain, self.manifest["by"], "packet", exported)

    # pieces, payload, content, signature, chain, answer: the frames (cl. 3, 4, 5, 8, 20.4)

    def read_frame(self, frame: Frame) -> None:
        """Header and head, for all checks; what is wrong with them `pieces` says."""
        piece, _ = attempt(self.head, frame.where)
        if piece:
            frame.header, frame.head = self.header(frame.where), piece.head + piece.rest

    def head(self, where: str) -> Piece:
        path = inside(where, "head.bin")
        with at(path):
            piece = Piece(self.folder.read(path), b"BBAJ", 6)
            frame_header(piece.header_bytes)
            return piece

    def header(self, where: str) -> dict:
        return frame_header(self.head(where).header_bytes)

    def pieces(self, frame: Frame) -> str:
        path, piece = functools.partial(inside, frame.where), self.head(frame.where)
        head, header = piece.head, frame.header
        need(piece.rest == b"", "bytes behind the signature", path("head.bin"))
        self.cut(frame.where, piece, "head.bin")
        with at(path("signature.der")):
            one_signature(piece.signature)
        if {path("frame.bin"), path("payload.bin")} & self.folder.files:
            whole = head + self.folder.read(path("payload.bin"))
            self.same(path("frame.bin"), whole, "head.bin and payload.bin")
            frame.whole, frame.whole_sha256 = whole, sha256(whole).hex()
        if {path("packet.p7s"), path("authority.pem")} & self.folder.files:
            signer = one_certificate(self.folder, path("signer.pem"))
            authority = one_certificate(self.folder, path("authority.pem"))
            made = cms(signer, authority, piece.signature)
            self.same(path("packet.p7s"), made, "this signature as CMS")
        return f"{header['type']} {header['id']}"

    def payload(self, frame: Frame):
        path = inside(frame.where, "payload.bin")
        if path not in self.folder.files:
            return "absent", "the payload is not in the folder: head and leaves remain"
        said = self.header(frame.where)["payload"]
        with at(path):
            data = self.folder.read(path)
            need(len(data) == said["size"], f"{len(data)} bytes, the header names {said['size']}")
            need(sha256(data).hex() == said["sha256"], "the header names another SHA-256")
            digest = hashlib.sha512(data).hexdigest()
            need(digest == said["sha512"], "the header names another SHA-512")
        return f"{len(data)} bytes"

    def content(self, frame: Frame):
        path, files = functools.partial(inside, frame.where), self.folder.files
        if path("content") not in files:
            need(path("clear.bin") not in files, "is there without content", path("clear.bin"))
            return "absent", "the content is not in the folder"
        said, content = self.header(frame.where)["payload"], self.folder.read(path("content"))
        if said["coding"].endswith("hpke"):
            clear = self.folder.read(path("clear.bin"))
            same = sha256(clear).hex() == said["clear_sha256"]
            need(same, "is not what clear_sha256 names", path("clear.bin"))
        else:
            need(path("clear.bin") not in files, "of what was not encrypted", path("clear.bin"))
            with at(path("payload.bin")):
                clear = undo(said["coding"], self.folder.read(path("payload.bin")))
        need(len(clear) >= 16, "fewer than 16 bytes of salt", path("payload.bin"))
        need(clear[16:] == content, "is not what the payload holds", path("content"))
        return f"{len(content)} bytes, {said['media_type']}"

    def signature(self, frame: Frame) -> str:
        path, header = functools.partial(inside, frame.where), self.header(frame.where)
        signer = one_certificate(self.folder, path("signer.pem"))
        same = signer.sha256 == header["certificate"]
        need(same, "is not the certificate that the header names", path("signer.pem"))
        signature, signed = (self.folder.read(path(n)) for n in ("signature.der", "signed.bin"))
        with at(path("signature.der")):
            packet_signature(signer.public, signature, signed)
        proven_at = frame.existed if frame.existed_by != "sender" else None
        return self.allowed(proven_at, "ecdsa-p256-sha256")

    def frame_chain(self, frame: Frame) -> str:
        header, chain = self.header(frame.where), ChainFolder(self.folder, frame.where)
        moment, sent = frame.existed, moment_us(header["sent"])
        proven = frame.existed_by != "sender"
        return self.counts(chain, header["from"], "packet", moment, sent, proven=proven)

    def answer(self, frame: Frame):
        path, header = functools.partial(inside, frame.where), self.header(frame.where)
        packet, kind = self.header("."), frame.where.partition("-")[0]
        receipts = {f.header.get("id"): f for f in self.frames if f.where.startswith("receipt")}
        with at(path("head.bin")):
            need(header["type"] == f"{kind}/1", f"the type is {header['type']}, not {kind}/1")
            if kind == "receipt":
                need(header.get("re") == packet["id"], "the receipt is about another packet")
            else:
                need(header.get("re") in receipts, "the closing is about no receipt here")
                need(header["from"] == packet["from"], "the closing is not the sender's")
        if path("content") not in self.folder.files:
            return "absent", f"by {header['from']}; its content is not in the folder"
        with at(path("content")):
            data = one_encoding(self.folder.read(path("content")))
            if kind == "closing":
                return self.closing(frame, fits(data, CLOSING_FIELDS, "closing"), receipts)
            return self.receipt(frame, fits(data, RECEIPT_FIELDS, "receipt"))

    def receipt(self, frame: Frame, said: dict) -> str:
        packet = self.frames[0]
        need(said["packet"] == packet.name, "the receipt is about another packet")
        whole = said["frame_sha256"]
        other = packet.whole_sha256 is not None and whole != packet.whole_sha256
        if said["verdict"] == "refused" and other:
            return f"{frame.header['from']} refused another copy: {said.get('reason')}"
        need(said["head_sha256"] == sha256(packet.head).hex(), "the receipt names another head")
        need(not other, "the receipt names another frame")
        if said["verdict"] == "accepted":
            need("reason" not in said, "accepted for a reason")
            need(frame.header["from"] == packet.header["to"], "accepted, but not by the addressee")
            return f"accepted by {frame.header['from']}, {said['received']}"
        return f"refused by {said.get('refused_by', frame.header['from'])}: {said.get('reason')}"

    def closing(self, frame: Frame, said: dict, receipts: dict) -> str:
        packet, receipt = self.frames[0], receipts[frame.header["re"]]
        need(said["packet"] == packet.name, "the closing is about another packet")
        need(said["receipt"] == receipt.name, "the closing names another receipt")
        same = said["receipt_head_sha256"] == sha256(receipt.head).hex()
        need(same, "the closing names another head of the receipt")
        return f"confirmed {said['confirmed']}"

    # leaf: what the journal says of them (cl. 10.1, 20.4, 20.5)

    def all_leaves(self) -> None:
        for frame in self.frames:
            paths = self.folder.under(inside(frame.where, "leaves"))
            for path in paths:
                self.verdict.judge("leaf", path, self.frame_leaf, frame, path)
            if not paths:
                self.verdict.add("leaf", frame.where, "absent", "no leaf about it in the folder")
        for path in self.folder.under("records"):
            self.verdict.judge("leaf", path, self.record, path)
        for path in self.folder.under("policies"):
            self.verdict.judge("leaf", path, self.named_policy, path)

    def read_leaf(self, path: str) -> tuple[int, dict[str, str]]:
        found = re.fullmatch(r"(0|[1-9][0-9]{0,17})-([a-z-]+)\.txt", path.rsplit("/", 1)[-1])
        need(found, "the name is not INDEX-KIND.txt")
        record, index = self.folder.read(path), int(found.group(1))
        leaf = read_leaf(record)
        need(leaf["kind"] == found.group(2), f"the leaf is of kind {leaf['kind']}")
        need(index not in self.leaves, f"leaf {index} is there twice")
        self.leaves[index] = (path, record)
        return index, leaf

    def frame_leaf(self, frame: Frame, path: str):
        index, leaf = self.read_leaf(path)
        said = self.facts(frame)
        other = sorted(key for key in said if leaf.get(key, said[key]) != said[key])
        need(not other, f"the leaf has another {', '.join(other)} than the frame")
        if not leaf.keys() & said.keys() & DIGEST_KEYS:
            need(leaf.keys() & DIGEST_KEYS, "the leaf names no digest of the frame")
            return "absent", "it names the whole frame, which is not in the folder"
        if frame.whole_sha256 is None:
            frame.whole_sha256 = leaf.get("frame-sha256")
        frame.leaves.append(index)
        return f"{leaf['kind']} at {leaf.get('at')}"

    def facts(self, frame: Frame) -> dict[str, str]:
        """What a leaf about the frame says, where it says it (cl. 20.4)."""
        header = self.header(frame.where)
        keys = ("id", "type", "from", "to", "epoch", "seq", "sent", "certificate")
        said = {key: str(header[key]) for key in keys if key in header}
        said["head-sha256"] = sha256(frame.head).hex()
        said["head-sha512"] = hashlib.sha512(frame.head).hexdigest()
        if frame.whole is not None:
            said["size"], said["frame-sha256"] = str(len(frame.whole)), sha256(frame.whole).hex()
            said["frame-sha512"] = hashlib.sha512(frame.whole).hexdigest()
        return said

    def record(self, path: str) -> str:
        """A leaf about something else: `proof` shows that it stands in the journal."""
        _, leaf = self.read_leaf(path)
        return f"{leaf['kind']} at {leaf.get('at')}"

    def named_policy(self, path: str) -> str:
        digest = sha256(self.folder.read(path)).hex()
        need(path == f"policies/{digest}.json", "is not the policy of that SHA-256")
        return "policy"

    def all_pem(self, label: str) -> list[bytes]:
        """The DER of every certificate or CRL of the chain folders."""
        found = []
        for path in self.folder.files:
            if path.endswith(".pem") and is_known(path, self.folder.files):
                with contextlib.suppress(Fault, ValueError, OSError):
                    blocks = unarmour(self.folder.text(path))
                    found += [data for each, data in blocks if each == label]
        return sorted(set(found))

    def all_lists(self) -> list[RevocationList]:
        lists = []
        for data in self.all_pem("X509 CRL"):
            with contextlib.suppress(Exception):  # the check that needs it says what is wrong
                lists.append(RevocationList(data))
        return lists

    # proof: each leaf is in the tree under each checkpoint that is larger (cl. 20.7)

    def all_proofs(self) -> None:
        for size in self.checkpoints:
            with contextlib.suppress(Exception):  # the check `checkpoint` says what is wrong
                self.notes[size] = self.note_of(f"checkpoints/{size}")
            note = self.notes.get(size)
            self.proofs[size] = self.proofs_of(f"checkpoints/{size}", note, TREE)

    def note_of(self, where: str) -> tuple[bytes, Note]:
        with at(f"{where}/note.txt"):
            data = self.folder.read(f"{where}/note.txt")
            return data, Note(data)

    def proofs_of(self, where: str, note: tuple[bytes, Note] | None, form: str) -> set[int]:
        """The indexes of the leaves that are proven; what is said of each proof waits."""
        if note is None:
            self.verdict.judge("proof", where, self.note_of, where)
            return set()
        wanted = {f"{where}/proofs/{i}.proof" for i in self.leaves if i < note[1].size}
        covered = set()
        for path in sorted(wanted | set(self.folder.under(f"{where}/proofs")), key=natural):
            index, fault = attempt(self.proof, path, note, form)
            self.proof_faults[path] = (index, fault)
            if not fault:
                covered.add(index)
        return covered

    def proof(self, path: str, note: tuple[bytes, Note], form: str) -> int:
        data = self.folder.read(path)
        name = re.fullmatch(r"(0|[1-9][0-9]{0,17})\.proof", path.rsplit("/", 1)[-1])
        index = int(name.group(1)) if name else -1
        need(index in self.leaves, "the folder has no leaf of that index")
        found = proven(data, self.leaves[index][1], note[0], note[1], form)
        need(found == index, f"it is for leaf {found}")
        return index

    def say_proofs(self) -> None:
        """A tree over a hash that is no longer allowed proves only what a renewal covers (19.4)."""
        for path, (index, fault) in self.proof_faults.items():
            told = str(fault or "")
            if not told and path.startswith("checkpoints/"):
                ended = "sha-256 is not allowed, and no renewal covers the leaf"
                told = "" if self.tree_holds(index) else ended
            result = "fails" if told else "holds"
            self.verdict.add("proof", path, result, told or f"of {self.leaves[index][0]}")

    def tree_holds(self, index: int, *others: int | None) -> bool:
        """Whether SHA-256 proves it: it is allowed now, or a renewal made in time covers all."""
        return self.is_allowed(self.now, "sha-256") or any(
            each.alive
            and {index, *others} <= each.covers
            and self.is_allowed(each.moment, "sha-256")
            for each in self.renewals
        )

    # stamp, renewal: when what stood in the journal existed (cl. 20.9, 21.5, 19.4)

    def time_stamps(self) -> None:
        judged: list[tuple[str, str, Stamp | None, Fault | None]] = []
        for size in self.checkpoints:
            self.stamps[size] = []
            for where in self.folder.numbered(f"checkpoints/{size}/stamps"):
                stamp, fault = attempt(self.stamp, where, size)
                judged.append(("stamp", where, stamp, fault))
                self.stamps[size] += [stamp] if stamp else []
        for where in self.folder.numbered("renewals"):
            stamp, fault = attempt(self.renewal, where)
            judged.append(("renewal", where, stamp, fault))
            self.renewals += [stamp] if stamp else []
        found = [stamp for _, _, stamp, _ in judged if stamp]
        for stamp in sorted(found, key=lambda each: each.moment, reverse=True):
            stamp.alive, stamp.told = self.lives(stamp, found)
        for check, where, stamp, fault in judged:
            self.verdict.judge(check, where, self.say_stamp, where, stamp, fault)

    def say_stamp(self, where: str, stamp: Stamp | None, fault: Fault | None) -> str:
        if stamp is None:
            raise fault
        need(stamp.alive, stamp.told)
        for path, (_, unproven) in self.proof_faults.items():
            need(not unproven or not path.startswith(where + "/"), "is no proof under it", path)
        return stamp.told

    def stamp(self, where: str, size: int) -> Stamp:
        stamp = Stamp(self.folder, where, self.stamp_roots)
        whole = self.note_of(f"checkpoints/{size}")[1]
        with at(f"{where}/note.txt"):
            stamped = Note(stamp.note)
            need(stamped.text == whole.text, "has another text than the checkpoint")
            need(set(stamped.lines) <= set(whole.lines), "a line that the checkpoint has not")
        with at(f"{where}/token.der"):
            stamp.check()
            stamp.is_younger_than(stamped)
        stamp.covers = self.proofs[size]
        stamp.leaf = self.leaf_of(stamp, "timestamp")
        return stamp

    def renewal(self, where: str) -> Stamp:
        """A time-stamp over the head of the second log, which hashes with SHA-512."""
        stamp = Stamp(self.folder, where, self.stamp_roots)
        origins = {each.origin + "/sha-512" for _, each in self.notes.values()}
        with at(f"{where}/note.txt"):
            note = Note(stamp.note, 64)
            need(note.origin in origins, "the origin is not that of a checkpoint and /sha-512")
        chain = ChainFolder(self.folder, where)
        self.head_holds(chain, where, note)
        self.counts(chain, self.by, "journal", stamp.moment, proven=True)
        with at(f"{where}/token.der"):
            stamp.check()
            stamp.is_younger_than(note)
        stamp.covers = self.proofs_of(where, (stamp.note, note), SECOND_TREE)
        stamp.leaf = self.leaf_of(stamp, "renewal")
        stamp.second = True
        return stamp

    def leaf_of(self, stamp: Stamp, kind: str) -> int | None:
        """The index of the leaf that records a token."""
        wanted = [kind, sha256(stamp.token).hex(), hashlib.sha512(stamp.token).hexdigest()]
        for index, (_, record) in self.leaves.items():
            leaf = read_leaf(record)
            if [leaf.get(key) for key in ("kind", "sha256", "sha512")] == wanted:
                return index
        return None

    def lives(self, stamp: Stamp, all_stamps: list[Stamp]) -> tuple[bool, str]:
        """Whether a token is held up: by itself now, or by a later one that is."""

        def good(moment: int) -> bool:
            return self.is_allowed(moment, *stamp.algorithms) and stamp.chain_alive(moment)

        told = f"{stamp.name.strip()} at {moment_text(stamp.moment)}, root {stamp.root.sha256}"
        if good(self.now):
            return True, told
        for later in all_stamps:
            covered = later.alive and later.moment > stamp.moment and stamp.leaf in later.covers
            proves = covered and (later.second or self.tree_holds(stamp.leaf, later.leaf))
            if proves and good(later.moment):
                return True, f"{told}, renewed {moment_text(later.moment)} by {later.where}"
        return False, f"{told}: its authority or algorithm has ended, and no later one renews it"

    # witness, checkpoint: the journal's head and who has seen it (cl. 10.4, 10.5, 20.7, 20.8)

    def witnesses(self, size: int) -> None:
        explained: set[tuple[str, bytes]] = set()
        for where in self.folder.numbered(f"checkpoints/{size}/witnesses"):
            classic = f"{where}/cosigned.txt" in self.folder.files
            check = self.cosignature if classic else self.cosignature_ml_dsa
            self.verdict.judge("witness", where, check, where, size, explained)
        if size in self.notes:
            note = self.notes[size][1]
            left = [name for name, value in note.lines if (name, value) not in explained]
            left = [name for name in left if name != note.origin]
            if left:
                told = "signature lines that no folder explains: " + ", ".join(left)
                self.verdict.add("witness", f"checkpoints/{size}", "unsupported", told)

    def line_of(self, where: str, size: int, explained: set) -> tuple[Note, str, int, bytes, bytes]:
        """The line of a cosignature: note, name, time in seconds, key id, signature."""
        note, path = self.note_of(f"checkpoints/{size}")[1], f"{where}/signature.bin"
        signature = self.folder.read(path)
        found = [(name, value) for name, value in note.lines if value[12:] == signature]
        need(len(found) == 1, "stands in no line of note.txt", path)
        explained.add(found[0])
        name, value = found[0]
        return note, name, int.from_bytes(value[4:12], "big"), value[:4], signature

    def cosignature(self, where: str, size: int, explained: set) -> str:
        note, name, seconds, key, signature = self.line_of(where, size, explained)
        signed = b"cosignature/v1\ntime %d\n" % seconds + note.text
        self.same(f"{where}/cosigned.txt", signed, "of this log's head at that time")
        chain = ChainFolder(self.folder, where)
        with at(f"{where}/signer.pem"):
            same = key == key_id(name, 4, raw_public(chain.signer))
            need(same, "the line's key id is not that of its key")
            need(not note.origin.startswith(name + "/"), "the node itself is no witness")
        with at(f"{where}/signature.bin"):
            ed25519(chain.signer.public, signature, signed)
        moment = seconds * 1_000_000
        stamped = any(each.alive for each in self.stamps[size])
        told = self.counts(chain, address_of(name), "witness", moment, proven=stamped)
        self.allowed(moment if stamped else None, "ed25519", "sha-256")
        self.cosigned.setdefault(size, []).append(moment)
        return f"{name} at {moment_text(moment)}{told}"

    def cosignature_ml_dsa(self, where: str, size: int, explained: set):
        """All but the signature itself, which OpenSSL 3.0 cannot check."""
        note, name, seconds, key, signature = self.line_of(where, size, explained)
        parts = [b"subtree/v1\n\0", bytes([len(name)]), name.encode(), seconds.to_bytes(8, "big")]
        parts += [bytes([len(note.origin)]), note.origin.encode(), bytes(8)]
        signed = b"".join(parts) + note.size.to_bytes(8, "big") + note.root
        self.same(f"{where}/cosigned.bin", signed, "of this log's head at that time")
        need(len(signature) == 2420, "has not 2,420 bytes", f"{where}/signature.bin")
        vkey = self.folder.text(f"{where}/vkey.txt")
        with at(f"{where}/vkey.txt"):
            need(re.fullmatch(r"[^\n]+\n", vkey), "is not one line")
            who, key_hex, material = vkey[:-1].split("+", 2)
            public = unbase64(material, 1313)
            need(who == name and public[0] == 6, "is no ML-DSA-44 key of that name")
            need(key_hex == key.hex() and key == key_id(name, 6, public[1:]), "a wrong key id")
        chain = ChainFolder(self.folder, where)
        with at(f"{where}/object.bin"):
            piece = Piece(self.folder.read(f"{where}/object.bin"), b"BBAL", 7)
            header = one_encoding(piece.header_bytes)
            need(vkey[:-1] in header.get("keys", []), "does not name the key in vkey.txt")
            need(header.get("origin") == note.origin, "is about another log")
            need(dns_name(header["from"]) == name, "is by another node")
            self.object_holds(chain, piece, header)
        raise Unsupported(f"{name}: an ML-DSA-44 signature, which OpenSSL 3.0 cannot check")

    def head_holds(self, chain: ChainFolder, where: str, note: Note) -> None:
        """signed.txt and signature.bin are those of the note, and the key has signed."""
        with at(f"{where}/signer.pem"):
            public = raw_public(chain.signer)
        with at(f"{where}/signature.bin"):
            signature = note.signature(note.origin, public)
            ed25519(chain.signer.public, signature, note.text)
        self.same(f"{where}/signed.txt", note.text, "the note's text")
        self.same(f"{where}/signature.bin", signature, "that of the origin's line")

    def checkpoint(self, size: int) -> str:
        where = f"checkpoints/{size}"
        note, by = self.note_of(where)[1], self.by
        with at(f"{where}/note.txt"):
            need(note.size == size, f"the note is of size {note.size}")
            found = re.fullmatch(r"(.+)/[1-9][0-9]{0,18}", note.origin)
            need(found and found.group(1) == dns_name(by), f"an origin of others than {by}")
        chain = ChainFolder(self.folder, where)
        self.head_holds(chain, where, note)
        stamped = [each.moment for each in self.stamps[size] if each.alive]
        moment = min(stamped + self.cosigned.get(size, []), default=chain.claimed())
        proven = bool(stamped or self.cosigned.get(size))
        told = self.counts(chain, by, "journal", moment, proven=proven)
        self.allowed(moment if proven else None, "ed25519")
        return f"{note.origin}, {size} leaves{told}"

    # existence: since when (cl. 21.2)

    def existence(self, frame: Frame):
        sent = moment_us(self.header(frame.where)["sent"])
        first = min(frame.leaves, default=None)
        sizes = [size for size in self.good if first in self.proofs[size]]
        found = [each for size in sizes for each in self.stamps[size] if each.alive]
        stamps = [each.moment for each in found if self.tree_holds(first, each.leaf)]
        cosigned = [moment for size in sizes for moment in self.cosigned.get(size, [])]
        cosigned = cosigned if self.is_allowed(self.now, "sha-256") else []
        frame.existed = min(stamps or cosigned, default=sent)
        frame.existed_by = "time-stamp" if stamps else "witness" if cosigned else "sender"
        need(sent <= frame.existed + CLOCK_AHEAD_US, "sent is after what proves that it existed")
        if frame.existed_by == "sender":
            return "absent", f"{frame.header['sent']}, as the sender claims; nobody proves it"
        return f"{moment_text(frame.existed)}, by {frame.existed_by}"

    # custody, tracked, issued, timeline (cl. 20.10, 20.11, 20.3, 20.2)

    def object_pieces(self, where: str, name: str) -> tuple[Piece, dict]:
        with at(f"{where}/{name}"):
            piece = Piece(self.folder.read(f"{where}/{name}"), b"BBAL", 7)
        self.cut(where, piece, name)
        with at(f"{where}/header.json"):
            return piece, one_encoding(piece.header_bytes)

    def object_holds(self, chain: ChainFolder, piece: Piece, header: dict) -> str:
        """cl. 6.7: the certificate that the header names, its signature, its chain, the body."""
        fits({k: header[k] for k in OBJECT_FIELDS}, OBJECT_FIELDS)
        same = chain.signer.sha256 == header["certificate"]
        need(same, "is not the certificate that the header names", chain.path("signer.pem"))
        packet_signature(chain.signer.public, piece.signature, piece.signed)
        body = {"sha256": sha256(piece.rest).hex(), "size": len(piece.rest)}
        need(header.get("body", body) == body, "the header names another body")
        need("body" in header or not piece.rest, "bytes behind an object without a body")
        self.allowed(None, "ecdsa-p256-sha256")
        return self.counts(chain, header["from"], "packet", chain.claimed())

    def custody(self, where: str) -> str:
        piece, header = self.object_pieces(where, "note.bin")
        fields = {**OBJECT_FIELDS, "position": POSITION_FIELDS, "hello?": r"[0-9a-f]{32}"}
        with at(f"{where}/note.bin"):
            fits(header, fields)
            need(piece.kind == 2, f"an object of kind {piece.kind}, not a custody note")
            need(header["to"] == self.by, "the note is to another node")
            told = self.object_holds(ChainFolder(self.folder, where), piece, header)
        position, text = header["position"], self.folder.text(f"{where}/chain.txt")
        with at(f"{where}/chain.txt"):
            need(text.endswith("\n"), "does not end with a newline")
            before, *lines = text[:-1].split("\n")
            need(re.fullmatch(HEX32, before) and lines, "has no chain value, or no entry")
            chain = fold(before, lines)
            need(chain == position["chain"], "the entries lead to another chain value")
            (first, entry), last = lines[0].split(" "), lines[-1].split(" ")[0]
            need(last == str(position["up_to"]), f"ends at {last}, not {position['up_to']}")
            frames = [frame.where for frame in self.frames if frame.whole_sha256 == entry]
            need(frames, "the first entry is no frame of the folder")
        return f"{header['from']} had {frames[0]} as entry {first}{told}"

    def tracked(self, where: str) -> str:
        piece, header = self.object_pieces(where, "object.bin")
        self.same(f"{where}/body.bin", piece.rest, "the object's body")
        packet, kinds = self.frames[0], []
        with at(f"{where}/object.bin"):
            told = self.object_holds(ChainFolder(self.folder, where), piece, header)
            named = [header.get(key) for key in ("sender", "packet_epoch", "packet")]
            need(named == list(packet.name.values()), "the statement is about another packet")
        with at(f"{where}/body.bin"):
            for each in pieces_of(piece.rest):
                record, note = tracked_leaf(each)
                kinds.append(self.tracked_kind(read_leaf(record)))
                name = note.origin.rpartition("/")[0] if note else dns_name(header["from"])
                need(name == dns_name(header["from"]), "a proof in the journal of another node")
        return f"{header['from']}: {', '.join(kinds)}{told}"

    def tracked_kind(self, leaf: dict[str, str]) -> str:
        """The kind of a leaf elsewhere, which must name the packet and agree with it."""
        said = self.facts(self.frames[0])
        need(leaf.get("id") == said["id"], "a leaf that does not name the packet")
        if leaf["kind"] in ("held", "refused"):
            said = {k: said[k] for k in said if k not in {"type", "certificate", *DIGEST_KEYS}}
        other = sorted(key for key in said if leaf.get(key, said[key]) != said[key])
        need(not other, f"a leaf with another {', '.join(other)} than the packet")
        return leaf["kind"]

    def issued(self, where: str) -> str:
        path = functools.partial(inside, where)
        entry, signer = self.folder.read(path("issued.der")), path("signer.pem")
        self.same(
            path("issued.der"), one_certificate(self.folder, signer).der, "what signer.pem is"
        )
        authority = one_certificate(self.folder, path("authority.pem"))
        with at(path("authority.pem")):
            subtree = Der(authority.extensions["2.5.29.30"][1]).all(0x30)[0].all()[0].all()[0]
            name = subtree.value.decode("ascii")
        data = self.folder.read(path("issued.proof"))
        with at(path("issued.proof")):
            note_bytes = data.partition(b"\n\n")[2]
            note = Note(note_bytes)
            index = proven(data, entry, note_bytes, note, TREE)
            need(note.origin == name + "/issuing", f"{note.origin} is not the log of {name}")
        chain = ChainFolder(self.folder, path("issued_journal"))
        self.head_holds(chain, path("issued_journal"), note)
        told = self.counts(chain, address_of(name), "journal", chain.claimed())
        with at(path("issued.proof")):
            told += self.cosigned_head(note)
        return f"entry {index} of {note.origin}{told}"

    def cosigned_head(self, note: Note) -> str:
        """Who has cosigned the head of a log, by keys that have cosigned a checkpoint here."""
        keys = {}
        for folder in self.folder.with_file("cosigned.txt"):
            if not re.fullmatch(f"checkpoints/{NUMBER}/witnesses/{NUMBER}", folder):
                continue  # nobody has judged a key there
            found, fault = attempt(self.witness_key, folder)
            if not fault:  # else check `witness` says so
                keys[found[0]] = found[1]
        told, unknown = "", 0
        for name, value in note.lines:
            public = keys.pop((name, value[:4]), None)  # the first line of a key is its word
            if public is not None:
                seconds = int.from_bytes(value[4:12], "big")
                signed = b"cosignature/v1\ntime %d\n" % seconds + note.text
                ed25519(public, value[12:], signed)
                told += f"; cosigned by {name} at {moment_text(seconds * 1_000_000)}"
            elif name != note.origin:
                unknown += 1
        return told + (
            f"; lines not checked, as their keys are not here: {unknown}" if unknown else ""
        )

    def witness_key(self, folder: str) -> tuple[tuple[str, bytes], bytes]:
        """Name and key id as lines have them, and the key, of a cosignature's folder."""
        signer = one_certificate(self.folder, inside(folder, "signer.pem"))
        name = Der(signer.extensions["2.5.29.17"][1]).all(0x30)[0].value.decode()
        return (name, key_id(name, 4, raw_public(signer))), signer.public

    def timeline(self, language: str) -> str:
        self.folder.read(f"timeline.{language}.txt")
        return "is there; this verifier does not render it again"

    # what certificates and algorithms count for (cl. 21.3, 21.4)

    def is_allowed(self, moment: int, *names: str) -> bool:
        ends = [self.policy.get(name, -1) for name in names]
        return all(end is None or moment < end for end in ends)

    def allowed(self, moment: int | None, *names: str) -> str:
        """Raises where the policy does not allow these then (None: no moment is proven: now)."""
        for name in names:
            when = self.now if moment is None else moment
            need(self.is_allowed(when, name), f"{name} is not allowed at {moment_text(when)}")
        return ""

    def counts(
        self,
        chain: ChainFolder,
        address: str,
        purpose: str,
        moment: int,
        sent=None,
        *,
        proven=False,
    ) -> str:
        """cl. 21.3; what to say of revocations that came later. `proven`: by others, the moment."""
        signer, authority, root = chain.signer, chain.authority, chain.root
        with at(chain.path("roots_and_crls.pem")):
            trusted = self.trusted or one_certificate(self.folder, "root.pem").der
            named = "that --root names" if self.trusted else "in root.pem"
            need(root.der == trusted, f"the root is not the one {named}")
            need(root.key() == "p384" and root.subject == root.issuer, "the root is none of 11.1")
        begins = max(each.begins for each in (signer, authority, root))
        ends = min(each.ends for each in (signer, authority, root))
        need(begins <= ends, "has no common life with its issuers", chain.path("signer.pem"))
        when = f"-attime {begins // 1_000_000} "
        with at(chain.path("authority.pem")):
            authority_shape(authority, dns_name(address))
            good, words = openssl(VERIFY + when + "@1", root.pem(), authority.pem())
            need(good, "openssl verify: " + why(words))
        with at(chain.path("signer.pem")):
            node_shape(signer, dns_name(address), purpose)
            given = root.pem(), signer.pem(), authority.pem()
            good, words = openssl(VERIFY + when + "-untrusted @2 @1", *given)
            need(good, "openssl verify: " + why(words))
            said, what = (moment, "judged") if sent is None else (sent, "sent")
            told = f"what was {what} {moment_text(said)} is"
            need(said >= begins, f"{told} before the certificate began, {moment_text(begins)}")
            need(said <= ends, f"{told} after the certificate had ended, {moment_text(ends)}")
            told = f"judged {moment_text(moment)}"
            need(moment >= signer.begins, f"{told}, before the certificate began")
            need(moment <= signer.ends + LATE_US, f"{told}, over 200 days late")
            self.allowed(moment if proven else None, "ecdsa-p256-sha256", "ecdsa-p384-sha384")
        with at(chain.path("roots_and_crls.pem")):
            lists = [*chain.lists, *chain.after]
            ours = issued_by(lists, root) + issued_by(lists, authority)
            need(len(ours) == len(lists), "a CRL that neither the root nor the authority signed")
            in_force(chain, root, "the root", moment)
            in_force(chain, authority, "the authority", moment)
        with at(chain.path("authority.pem")):
            later = not_revoked(authority, root, self.lists, "the authority was", moment)
        with at(chain.path("signer.pem")):
            later += not_revoked(signer, authority, self.lists, "the certificate was", moment)
        if later and not proven:
            self.verdict.doubtful = True
            later += "; nobody proves the moment: whoever has had the key since can have written it"
        return later


def address_of(name: str) -> str:
    """The address that a DNS name is for (cl. 2.5)."""
    labels = name.split(".")
    need(labels[-2:] == ["bbaj", "internal"] and len(labels) > 2, f"{name} is no name of a node")
    return ".".join(reversed(labels[:-2]))


# --- the command -------------------------------------------------------------------------------


def verify(
    folder: str,
    now: int,
    trusted: bytes | None = None,
    policy: dict | None = None,
    stamp_roots: frozenset[bytes] = frozenset(),
) -> dict:
    """The verdict on a folder. `now`: microseconds since 1970; `trusted`: the root's DER."""
    policy = DEFAULT_POLICY if policy is None else policy
    return Verifier(folder, now, trusted, policy, stamp_roots).run()


def read_policy(path: str) -> dict[str, int | None]:
    """The ends of algorithms: {"algorithms": {NAME: {"until": MOMENT or null}}} (cl. 19.5)."""
    with open(path, encoding="utf-8") as file:
        table = json.load(file)["algorithms"]
    ends = {name: row.get("until") for name, row in table.items()}
    return {name: None if end is None else moment_us(end) for name, end in ends.items()}


def read_root(path: str) -> bytes:
    with open(path, encoding="ascii") as file:
        return certificate_in(file.read()).der


def read_roots(paths: list[str]) -> frozenset[bytes]:
    """The DER of every certificate in some PEM files."""
    found = []
    for path in paths:
        with open(path, encoding="ascii") as file:
            blocks = unarmour(file.read())
        need(blocks and {label for label, _ in blocks} == {"CERTIFICATE"}, f"{path}: no roots")
        found += [Certificate(data).der for _, data in blocks]
    return frozenset(found)


def said_of_roots(verdict: dict) -> str:
    """Which roots the time-stamps lean on, and who has brought them."""
    roots = ", ".join(verdict["stamp_root_sha256"])
    if verdict["stamp_roots"] == "given":
        return f"time-stamp roots {roots or 'none'}, of those that --stamp-root names"
    if not roots:
        return "time-stamp roots none"
    return (
        f"time-stamp roots {roots}, brought by the folder itself: anybody can make an authority "
        "that names any time; compare these fingerprints, or name yours with --stamp-root"
    )


def now_us() -> int:
    return int(dt.datetime.now(dt.timezone.utc).timestamp() * 1_000_000)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON")
    parser.add_argument("--at", metavar="MOMENT", help="judge as of then, not now")
    parser.add_argument("--root", metavar="FILE", help="the root that you trust, PEM")
    parser.add_argument("--policy", metavar="FILE", help="algorithms and their ends, JSON")
    parser.add_argument(
        "--stamp-root",
        metavar="FILE",
        action="append",
        default=[],
        help="time-stamp roots that you trust, PEM; may come again: only those count",
    )
    given = parser.parse_args()
    try:
        now = moment_us(given.at) if given.at else now_us()
        policy = read_policy(given.policy) if given.policy else None
        trusted = read_root(given.root) if given.root else None
        stamp_roots = read_roots(given.stamp_root)
        need(os.path.isdir(given.folder), f"{given.folder} is no folder")
        need(openssl("version")[0], "the openssl command is needed, 3.0 or later")
        verdict = verify(given.folder, now, trusted, policy, stamp_roots)
    except (Fault, OSError, ValueError, KeyError, TypeError) as error:
        print(f"verify_evidence: {error}", file=sys.stderr)
        return 2
    sys.stdout.reconfigure(errors="backslashreplace")
    if given.json:
        print(json.dumps(verdict, indent=1))
    else:
        for entry in verdict["checks"]:
            print(f"{entry['result']:<11} {entry['check']:<10} {entry['where']}  {entry['detail']}")
        print(said_of_roots(verdict))
        print(f"existed {verdict['existed']} by {verdict['existed_by']}")
        warned = sum(entry["result"] == "warns" for entry in verdict["checks"])
        but = f", with {warned} warnings above" if warned else ""
        print(("evidence: holds" if verdict["holds"] else "evidence: does not hold") + but)
    return 0 if verdict["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
