"""What stands in an evidence folder, what is said to be missing, and that it appears whole."""

import hashlib
import re
import shutil

import msgspec
import pytest

from harness.dossier import DOCUMENT, Exchange
from harness.evidence import make_exchange, rich_dossier
from harness.forging import Case, case_of, failing
from harness.pki import DISTRICT, SCHOOL
from nodes.errors import NotFound
from nodes.evidence.manifest import decode_manifest
from nodes.evidence.write import make_files, write_evidence
from schemas.leaves import read_leaf

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory) -> Exchange:
    return make_exchange(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def dossier(exchange):
    return rich_dossier(exchange)


@pytest.fixture(scope="module")
def files(dossier):
    return make_files(dossier)[0]


def smaller(tmp_path, *, stamped: bool = False, cosigned: bool = False) -> Exchange:
    """Return an exchange that fewer vouch for."""
    return make_exchange(tmp_path / "keys", stamped=stamped, cosigned=cosigned)


def test_names_are_such_as_every_system_takes(files):
    """Letters, digits, dots and dashes; nothing begins with a dot (20.1)."""
    assert [name for name in files if not NAME.fullmatch(name)] == []


def test_sums_name_every_other_file_once(files):
    """`SHA256SUMS` has each file but the three that join it to the seal, sorted by bytes (20.2)."""
    names = [line.split("  ")[1] for line in files["SHA256SUMS"].decode().splitlines()]
    assert names == sorted(files.keys() - {"SHA256SUMS", "manifest.json", "manifest.p7s"})


def test_the_manifest_says_what_is_here(files, exchange):
    """It names packet, exporter, frames, checkpoints and the digest of the sums (20.2)."""
    manifest = decode_manifest(files["manifest.json"])
    assert manifest.packet.id == exchange.frames[0][1].frame.header.id
    assert (manifest.by, manifest.frames) == (SCHOOL, (".", "receipt", "closing"))
    assert manifest.sums == hashlib.sha256(files["SHA256SUMS"]).hexdigest()
    assert [f"checkpoints/{size}/note.txt" in files for size in manifest.checkpoints] == [True] * 3


def test_each_leaf_has_a_proof_under_each_checkpoint_that_covers_it(files, dossier):
    """Every checkpoint has the proofs of all leaves below its size, and no other (20.7)."""
    indexes = {leaf.index for leaf in dossier.leaves}
    for checkpoint in dossier.checkpoints:
        start = f"checkpoints/{checkpoint.size}/proofs/"
        found = {name for name in files if name.startswith(start)}
        assert found == {f"{start}{index}.proof" for index in indexes if index < checkpoint.size}


def test_records_bind_what_is_in_the_folder_alone(files):
    """Leaves of certificates, lists and tokens that are not here stay away (20.5)."""
    kinds = {read_leaf(data)["kind"] for name, data in files.items() if name.startswith("records/")}
    assert kinds == {"certificate", "crl", "custody", "epoch", "policy", "timestamp"}


def test_what_was_encrypted_is_shown_opened(files, exchange):
    """`clear.bin` is salt and content; the header names its digest, and no key is there."""
    header = exchange.frames[0][1].frame.header
    assert hashlib.sha256(files["clear.bin"]).hexdigest() == header.payload.clear_sha256
    assert files["clear.bin"][16:] == files["content"] == DOCUMENT
    assert not any(b"PRIVATE KEY" in data for data in files.values())


def test_a_chain_folder_has_the_lists_of_then_and_the_first_after(files):
    """The lists in force stand beside the root; the first later ones by themselves (20.3)."""
    assert files["roots_and_crls.pem"].startswith(files["root.pem"])
    assert files["roots_and_crls.pem"].count(b"BEGIN X509 CRL") == 2
    assert files["crls_after.pem"].count(b"BEGIN X509 CRL") == 2
    assert files["crls_after.pem"] not in files["roots_and_crls.pem"]


def test_frames_are_judged_when_the_first_time_stamp_saw_them(files, dossier):
    """`attime.txt` is the earliest genTime over the frame's first leaf, in seconds (20.6)."""
    first = dossier.checkpoints[0].stamps[0].gen_time
    assert files["attime.txt"] == files["closing/attime.txt"] == b"%d\n" % (first // 1_000_000)


@pytest.mark.parametrize("how", [{}, {"cosigned": True}])
def test_what_nobody_has_vouched_for_is_said_to_be_missing(tmp_path, how):
    """Without time-stamps or cosignatures the folder says so, and holds."""
    exchange = smaller(tmp_path, **how)
    dossier = rich_dossier(exchange)
    files, notes = make_files(dossier)
    count = sum(len(frame.leaves) for frame in dossier.frames)
    assert f"no time-stamp covers {count} leaves of these frames yet" in notes
    no_witness = f"no witness has cosigned {count} leaves of these frames yet"
    assert (no_witness in notes) != bool(how)
    assert all(note in files["VERIFY.md"].decode() for note in notes)
    assert failing(case_of(exchange).judge()) == set()


def test_leaves_beyond_the_checkpoint_are_said_to_be(tmp_path):
    """A leaf that no checkpoint covers yet has no proof, and a note says so."""
    exchange = Exchange(tmp_path / "keys").complete()
    exchange.checkpoint(size=4)
    files, notes = make_files(exchange.prove(exchange.dossier()))
    assert "2 leaves are not under a checkpoint yet: export again" in notes
    assert "checkpoints/4/proofs/5.proof" not in files


def test_leaves_that_came_after_the_witness_are_said_to_be(tmp_path):
    """A cosignature over earlier leaves vouches for those alone, and a note counts the others."""
    exchange = Exchange(tmp_path / "keys").complete()
    exchange.checkpoint(size=4, cosigned=True)
    exchange.checkpoint()
    dossier = exchange.prove(exchange.dossier())
    _, notes = make_files(dossier)
    late = sum(leaf.index >= 4 for frame in dossier.frames for leaf in frame.leaves)
    assert late
    assert f"no witness has cosigned {late} leaves of these frames yet" in notes


def test_without_a_checkpoint_there_is_the_rest(tmp_path):
    """Before the first checkpoint there is evidence, which says what it lacks."""
    exchange = Exchange(tmp_path / "keys").complete()
    dossier = msgspec.structs.replace(exchange.dossier(), checkpoints=[])
    files, notes = make_files(dossier)
    assert "no checkpoint is signed yet: export again in a minute" in notes
    assert decode_manifest(files["manifest.json"]).checkpoints == ()


def test_a_destroyed_payload_leaves_the_proof(exchange):
    """Without payloads, heads, signatures, chains and leaves still stand, and a note says so."""
    files, notes = make_files(rich_dossier(exchange, destroyed=True))
    assert not {"frame.bin", "payload.bin", "content", "clear.bin"} & files.keys()
    assert notes[0] == "packet: the payload is not here any more: head and leaves remain"
    assert failing(case_of(exchange).judge(files)) == set()


def test_without_the_key_the_rest_holds(exchange):
    """A relay proves that the packet passed, and what it cannot open a note says."""
    files, notes = make_files(rich_dossier(exchange, readable=False))
    assert "packet: the content cannot be opened with what this node holds" in notes
    assert "payload.bin" in files
    assert failing(case_of(exchange).judge(files)) == set()


def test_a_refusal_is_evidence_too(tmp_path):
    """A refused receipt proves that the packet was refused."""
    exchange = Exchange(tmp_path / "keys")
    packet = exchange.send(".", "attendance.daily/1", b"{}", by=SCHOOL)
    exchange.answer(packet, "refused", reason="type-not-allowed")
    files = make_files(exchange.prove(exchange.dossier()))[0]
    assert failing(Case(files, exchange).judge()) == set()
    assert b'"verdict":"refused","reason":"type-not-allowed"' in files["receipt/content"]


def test_missing_lists_are_said_to_be(dossier):
    """Without any CRL there is no chain to judge, and a note names whose list is missing."""
    trust = msgspec.structs.replace(dossier.trust, crls=[])
    files, notes = make_files(msgspec.structs.replace(dossier, trust=trust))
    assert "packet: no revocation list of the authority is in the record" in notes
    assert "packet.p7s" not in files


def test_an_unknown_signer_is_an_error(dossier, tmp_path):
    """Evidence without the signer's certificate is not written at all."""
    trust = msgspec.structs.replace(dossier.trust, certificates={})
    with pytest.raises(NotFound, match="certificate"):
        write_evidence(msgspec.structs.replace(dossier, trust=trust), tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_written_as_it_was_made(dossier, tmp_path):
    """What is written is what was made; leftovers of an export that was cut off do not harm."""
    (tmp_path / ".folder.new").mkdir()
    (tmp_path / ".folder.new" / "half").write_bytes(b"half")
    written = write_evidence(dossier, tmp_path / "folder")
    found = [path for path in (tmp_path / "folder").rglob("*") if path.is_file()]
    names = sorted(str(path.relative_to(tmp_path / "folder")) for path in found)
    assert (names, sorted(tmp_path.iterdir())) == (written.files, [tmp_path / "folder"])


def test_a_folder_is_never_written_over(dossier, tmp_path):
    """What is there already stays as it is."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileExistsError):
        write_evidence(dossier, tmp_path / "folder")
    shutil.rmtree(tmp_path / "folder")


def test_the_district_signs_its_note_itself(files, exchange):
    """A custody note stands with the neighbour's own certificate (20.10)."""
    assert f'"from":"{DISTRICT}"'.encode() in files["custody/1/header.json"]
    packet = exchange.frames[0][1]
    assert files["custody/1/chain.txt"].splitlines()[1] == b"3 %b" % (
        packet.frame_sha256.hex().encode()
    )


def test_a_statement_of_an_unknown_signer_is_left_out(tmp_path):
    """A note whose signer's certificate the record lacks proves nothing, and is said to be out."""
    exchange = make_exchange(tmp_path / "keys", answered=False, stamped=False, cosigned=False)
    dossier = rich_dossier(exchange)
    unknown = exchange.network.nodes[DISTRICT].packet.fingerprint
    known = {sha: der for sha, der in dossier.trust.certificates.items() if sha != unknown}
    trust = msgspec.structs.replace(dossier.trust, certificates=known)
    files, notes = make_files(msgspec.structs.replace(dossier, trust=trust, records=[]))
    said = f"left out: the certificate of {DISTRICT} is not at hand"
    assert {f"custody/1: {said}", f"tracked/1: {said}"} <= set(notes)
    assert not [name for name in files if name.startswith(("custody/", "tracked/"))]
