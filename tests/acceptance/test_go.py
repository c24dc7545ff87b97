"""Go's own `sumdb/note` and `sumdb/tlog` judge our checkpoints and proofs.

Debian has them: golang-go and golang-golang-x-mod-dev, which `deploy/setup.sh acceptance` installs.
"""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.pki import NOW, SCHOOL, make_network
from signing.notes import cosign, origin, sign_checkpoint, vkey
from store.merkle import Tree, consistency_proof, inclusion_proof, leaf_hash

pytestmark = pytest.mark.slow

SIZES = (1, 2, 3, 7, 8, 255, 256, 257, 300, 70_000)
RECORDS = [f"bbaj-leaf/1\nkind sent\nsize {n}\n".encode() for n in range(SIZES[-1])]
NAME = origin(SCHOOL, 1)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Build the Go program, once; return what asks it."""
    go = shutil.which("go")
    assert go is not None, "go is not installed: run `deploy/setup.sh acceptance`"
    made = tmp_path_factory.mktemp("go")
    environment = {
        **os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(made / "cache"), "GOFLAGS": "", "CGO_ENABLED": "0",
    }  # fmt: skip
    source = Path(__file__).parent / "go/check.go"
    built = [go, "build", "-o", str(made / "check"), str(source)]
    subprocess.run(built, env=environment, check=True, timeout=300)

    def ask(claims):
        done = subprocess.run(
            [made / "check"], input=json.dumps(claims).encode(), capture_output=True, check=True
        )
        return json.loads(done.stdout)

    return ask


@pytest.fixture(scope="module")
def journal():
    """Our journal key, the tree's tiles, and its checkpoints by size."""
    signer = make_network(["kz", "kz.akmola", SCHOOL], NOW).nodes[SCHOOL].journal
    tree, tiles, notes = Tree(), {}, {0: ""}
    hashes = [leaf_hash(record) for record in RECORDS]
    for before, size in zip((0, *SIZES), SIZES, strict=False):
        tiles |= {(t.level, t.index): t.hashes for t in tree.extend(hashes[before:size])}
        notes[size] = sign_checkpoint(NAME, size, tree.root(), signer)

    def fetch(level, index):
        return tiles.get((level, index)) or tree.tile(level, index)

    return signer, fetch, notes


def text(hashes):
    return [base64.b64encode(each).decode() for each in hashes]


def inclusion(journal, index, size):
    signer, fetch, notes = journal
    return {
        "vkey": vkey(NAME, signer.public_bytes),
        "note": notes[size],
        "record": base64.b64encode(RECORDS[index]).decode(),
        "index": index,
        "proof": text(inclusion_proof(index, size, fetch)),
    }


def consistency(journal, old, size):
    signer, fetch, notes = journal
    return {
        "vkey": vkey(NAME, signer.public_bytes),
        "note": notes[size],
        "older": notes[old],
        "proof": text(consistency_proof(old, size, fetch)),
    }


def indexes(size):
    return sorted({0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size)))


def test_go_takes_our_checkpoints_and_proofs(judge, journal):
    """Each leaf is proven under each checkpoint, and each checkpoint under all later ones."""
    claims = [inclusion(journal, index, size) for size in SIZES for index in indexes(size)]
    claims += [consistency(journal, old, size) for size in SIZES for old in SIZES if old < size]
    assert judge(claims) == [""] * len(claims)


def test_go_takes_a_cosigned_checkpoint(judge, journal):
    """A cosignature beside our own line does no harm to the note."""
    claim = inclusion(journal, 3, 7)
    claim["note"] = cosign(claim["note"], "akmola.kz.bbaj.internal", 1_795_404_726, journal[0])
    assert judge([claim]) == [""]


def test_go_refuses_what_was_changed(judge, journal):
    """Go refuses another record, index, proof, tree, key: so its yes means something."""
    good, older = inclusion(journal, 5, 300), consistency(journal, 7, 300)
    other_key = make_network(["kz", "kz.akmola", SCHOOL], NOW).nodes[SCHOOL].journal
    bad = [
        {**good, "record": base64.b64encode(RECORDS[6]).decode()},
        {**good, "index": 6},
        {**good, "proof": good["proof"][:-1]},
        {**good, "proof": good["proof"][::-1]},
        {**good, "note": journal[2][257]},
        {**good, "note": good["note"].replace("\n300\n", "\n301\n")},
        {**good, "vkey": vkey(NAME, other_key.public_bytes)},
        {**older, "older": journal[2][8]},
        {**older, "proof": older["proof"][1:]},
    ]
    answers = judge([good, older, *bad])
    assert answers[:2] == ["", ""]
    assert all(answers[2:]), answers
