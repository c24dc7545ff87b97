"""The evidence folder, checked by its own VERIFY.md with nothing but stock tools."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from harness.dossier import DOCUMENT, Exchange
from harness.pki import NOW, SCHOOL
from nodes.errors import NotFound
from nodes.evidence import find_chain, find_journal_certificate, write_evidence
from schemas.moments import DAY, HOUR, SECOND
from signing.authority import Revoked, issue_crl
from signing.keys import fingerprint

TOOLS = (
    "awk base64 cat date echo head mkdir od openssl printf sh sha256sum sha512sum tail test tr wc"
)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory) -> Exchange:
    return Exchange(tmp_path_factory.mktemp("keys")).complete()


@pytest.fixture(scope="module")
def pristine(exchange, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evidence") / "folder"
    write_evidence(exchange.dossier(), folder)
    return folder


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    """Return a copy to tamper with."""
    return Path(shutil.copytree(pristine, tmp_path / "copy"))


def verify(folder: Path, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    """Run the blocks of VERIFY.md as they stand."""
    text = (folder / "VERIFY.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3, "VERIFY.md has blocks"
    return subprocess.run(
        ["/usr/bin/env", "-i", f"PATH={path}", "sh", "-e"],
        input="".join(blocks),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def holds(folder: Path) -> bool:
    done = verify(folder)
    return done.returncode == 0 and done.stdout.endswith("evidence: holds\n")


def flip(path: Path, at: int | None = None) -> None:
    """Flip the lowest bit of one byte."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


def sum_again(folder: Path) -> None:
    """Do what a forger does: write the sums anew."""
    names = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_evidence_holds(folder):
    """A whole exchange verifies with stock tools in an empty environment."""
    done = verify(folder)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "evidence: holds"), done.stderr


def test_only_stock_tools_are_used(folder, tmp_path):
    """Coreutils, awk, od and openssl are all that the blocks call."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in TOOLS.split():
        found = shutil.which(tool, path="/usr/bin:/bin")
        if found:
            (tools / tool).symlink_to(os.path.realpath(found) if tool == "awk" else found)
    assert verify(folder, path=str(tools)).returncode == 0


def test_command_of_the_text_runs_the_blocks(folder):
    """The one command that VERIFY.md gives runs all of its blocks."""
    command = next(
        line.strip()
        for line in (folder / "VERIFY.md").read_text().splitlines()
        if line.startswith("    awk ")
    )
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, check=False)
    assert done.stdout.endswith(b"evidence: holds\n")


def test_every_flipped_byte_is_found(folder):
    """One flipped byte in any file ends the checks, by the sums at the latest."""
    names = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    passed = []
    for name in [*names, "SHA256SUMS"]:
        before = (folder / name).read_bytes()
        flip(folder / name)
        done = subprocess.run(
            ["sha256sum", "--strict", "--quiet", "--check", "SHA256SUMS"],
            cwd=folder,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            passed.append(name)
        (folder / name).write_bytes(before)
    assert passed == []


@pytest.mark.parametrize(
    "name",
    [
        "frame.bin",
        "head.bin",
        "signed.bin",
        "header.json",
        "signature.der",
        "payload.bin",
        "content",
        "clear.bin",
        "signer.pem",
        "packet.p7s",
        "root.pem",
        "roots_and_crls.pem",
        "leaves/1-sent.txt",
        "leaves/5-confirmed.proof",
        "checkpoint.txt",
        "journal/signature.bin",
        "journal/signer.pem",
        "receipt/content",
        "receipt/frame.bin",
        "closing/header.json",
    ],
)
def test_a_forger_who_mends_the_sums_is_found(folder, name):
    """With the sums written anew, the signatures and digests still find one flipped byte."""
    flip(folder / name)
    sum_again(folder)
    assert not holds(folder)


@pytest.mark.parametrize("piece", ["frame.bin", "payload.bin", "content", "clear.bin"])
def test_a_last_byte_flipped_everywhere_is_found(folder, piece):
    """A payload changed in all its copies departs from the signed digest."""
    flip(folder / piece, at=-1)
    if piece in {"content", "clear.bin"}:
        flip(folder / ("clear.bin" if piece == "content" else "content"), at=-1)
    else:
        flip(folder / ("payload.bin" if piece == "frame.bin" else "frame.bin"), at=-1)
    sum_again(folder)
    assert not holds(folder)


def test_an_answer_to_another_packet_is_found(folder, exchange, tmp_path):
    """A true receipt of another exchange does not vouch for this packet."""
    other = Exchange(tmp_path / "keys", network=exchange.network).complete(b"{}")
    write_evidence(other.dossier(), tmp_path / "other")
    shutil.rmtree(folder / "receipt")
    shutil.copytree(tmp_path / "other" / "receipt", folder / "receipt")
    (folder / "SHA256SUMS").write_text(
        "".join(
            line
            for line in (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
            if "receipt/" not in line
        )
    )
    done = verify(folder)
    assert done.returncode != 0
    assert "chains: hold" in done.stdout


def test_a_leaf_of_another_packet_is_found(folder):
    """A true leaf of this journal proves nothing about another packet."""
    for suffix in (".txt", ".proof"):
        shutil.copy(folder / f"closing/leaves/7-sent{suffix}", folder / f"leaves/1-sent{suffix}")
    sum_again(folder)
    done = verify(folder)
    assert done.returncode != 0
    assert "checkpoint: holds" in done.stdout


@pytest.mark.parametrize("type_", ["attendance.daily/1", "notice.returned/1", "admin.order/1"])
@pytest.mark.parametrize("content", [b"{}", b"", DOCUMENT, bytes(range(256)) * 40])
def test_content_of_any_coding_is_tied_to_the_payload(tmp_path, content, type_):
    """Compressed, padded, encrypted or none of it: the checks tie it to what was signed."""
    exchange = Exchange(tmp_path / "keys")
    exchange.send(".", type_, content, by=SCHOOL)
    write_evidence(exchange.dossier(), tmp_path / "folder")
    assert (tmp_path / "folder" / "content").read_bytes() == content
    assert holds(tmp_path / "folder")


def test_what_was_encrypted_is_shown_opened(folder, exchange):
    """`clear.bin` is salt and content; the header names its digest, and no key is there."""
    clear = (folder / "clear.bin").read_bytes()
    header = exchange.frames[0][1].frame.header
    assert hashlib.sha256(clear).hexdigest() == header.payload.clear_sha256
    assert clear[16:] == (folder / "content").read_bytes() == DOCUMENT
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in folder.glob("*.*"))


def test_another_content_under_the_same_payload_is_found(folder):
    """A forger who swaps what was in an encrypted payload fails at the signed digest."""
    forged = (folder / "clear.bin").read_bytes()[:16] + b'{"pupils":[]}'
    (folder / "clear.bin").write_bytes(forged)
    (folder / "content").write_bytes(forged[16:])
    sum_again(folder)
    done = verify(folder)
    assert done.returncode != 0
    assert "payload: holds" in done.stdout
    assert "decrypted content: holds" not in done.stdout


def test_without_the_key_the_rest_holds(exchange, tmp_path):
    """A relay proves that the packet passed, and what it cannot open a note says."""
    dossier = exchange.dossier()
    closed = msgspec.structs.replace(dossier.frames[0], content=None, clear=None)
    written = write_evidence(
        msgspec.structs.replace(dossier, frames=[closed, *dossier.frames[1:]]), tmp_path / "folder"
    )
    assert "packet: the content cannot be opened with what this node holds" in written.notes
    assert holds(tmp_path / "folder")


def test_a_refusal_is_evidence_too(tmp_path):
    """A refused receipt proves that the packet was refused."""
    exchange = Exchange(tmp_path / "keys")
    packet = exchange.send(".", "attendance.daily/1", b"{}", by=SCHOOL)
    exchange.answer(packet, "refused", reason="type-not-allowed")
    write_evidence(exchange.dossier(), tmp_path / "folder")
    done = verify(tmp_path / "folder")
    assert "receipt: refused\n" in done.stdout
    assert done.returncode == 0


def test_a_destroyed_payload_leaves_the_proof(exchange, tmp_path):
    """Without payloads, heads, signatures, chains and leaves still verify, and a note says so."""
    written = write_evidence(exchange.dossier(destroyed=True), tmp_path / "folder")
    assert not (tmp_path / "folder" / "payload.bin").exists()
    assert written.notes[0] == "packet: the payload is not here any more: head and leaves remain"
    assert holds(tmp_path / "folder")


def test_leaves_beyond_the_checkpoint_are_said_to_be(exchange, tmp_path):
    """A leaf that no checkpoint covers yet has no proof, and a note says so."""
    written = write_evidence(exchange.dossier(covered=4), tmp_path / "folder")
    assert "leaves/5-confirmed.proof" not in written.files
    assert "packet: 1 leaves are not under a checkpoint yet" in written.notes
    assert holds(tmp_path / "folder")


def test_without_a_checkpoint_the_rest_holds(exchange, tmp_path):
    """Before the first checkpoint there is evidence, without its journal."""
    dossier = msgspec.structs.replace(exchange.dossier(covered=0), journal=None)
    written = write_evidence(dossier, tmp_path / "folder")
    assert "no checkpoint is signed yet: export again in a minute" in written.notes
    assert holds(tmp_path / "folder")


def test_a_key_revoked_since_still_proves(exchange, tmp_path):
    """The CRL in force when the packet was sent counts, not the one that revokes its key now."""
    school = exchange.network.nodes[SCHOOL].packet
    authority = exchange.network.authority_for(SCHOOL)
    dossier = exchange.dossier()
    revoking = issue_crl(authority, [_revoked(school.certificate, NOW + HOUR)], 99, NOW + HOUR)
    trust = msgspec.structs.replace(dossier.trust, crls=[revoking, *dossier.trust.crls])
    write_evidence(msgspec.structs.replace(dossier, trust=trust), tmp_path / "folder")
    assert holds(tmp_path / "folder")


def test_a_key_revoked_before_proves_nothing(exchange, tmp_path):
    """With the key on the CRL in force, the chain does not hold."""
    school = exchange.network.nodes[SCHOOL].packet
    authority = exchange.network.authority_for(SCHOOL)
    dossier = exchange.dossier()
    revoking = issue_crl(authority, [_revoked(school.certificate, NOW)], 99, NOW)
    trust = msgspec.structs.replace(dossier.trust, crls=[revoking, *dossier.trust.crls])
    write_evidence(msgspec.structs.replace(dossier, trust=trust), tmp_path / "folder")
    done = verify(tmp_path / "folder")
    assert "signatures: hold" in done.stdout
    assert done.returncode != 0


def test_a_crl_that_came_later_moves_the_moment(exchange):
    """Where no CRL of the moment is at hand, the first one after it counts, at its own time."""
    dossier = exchange.dossier()
    certificate = exchange.network.nodes[SCHOOL].packet.certificate
    chain = find_chain(dossier.trust, certificate, NOW - 2 * DAY)
    assert not isinstance(chain, str)
    assert NOW - HOUR < chain.at_s * SECOND <= NOW


def test_missing_crls_are_said_to_be(exchange):
    """Without any CRL there is no chain to judge, and the text names whose list is missing."""
    trust = msgspec.structs.replace(exchange.dossier().trust, crls=[])
    certificate = exchange.network.nodes[SCHOOL].packet.certificate
    assert (
        find_chain(trust, certificate, NOW)
        == "no revocation list of the authority is in the record"
    )


def test_an_unknown_signer_is_an_error(exchange, tmp_path):
    """Evidence without the signer's certificate is not written at all."""
    dossier = exchange.dossier()
    trust = msgspec.structs.replace(dossier.trust, certificates={})
    with pytest.raises(NotFound, match="certificate"):
        write_evidence(msgspec.structs.replace(dossier, trust=trust), tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_folder_is_never_written_over(pristine, exchange):
    """What is there already stays as it is."""
    with pytest.raises(FileExistsError):
        write_evidence(exchange.dossier(), pristine)


def test_the_journal_key_is_found_by_its_signature(exchange):
    """Of several certificates, the one whose key has signed the checkpoint is returned."""
    journal = exchange.dossier().journal
    others = [node.journal.certificate for node in exchange.network.nodes.values()]
    found = find_journal_certificate(journal.note, journal.origin, others)
    assert fingerprint(found) == exchange.network.nodes[SCHOOL].journal.fingerprint


def _revoked(certificate: bytes, moment: int):
    return Revoked(
        x509.load_der_x509_certificate(certificate).serial_number, moment, "keyCompromise"
    )
