import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.pki import NOW, SCHOOL
from schemas.errors import FormatError
from schemas.moments import DAY, MINUTE, SECOND
from schemas.reasons import Reason
from signing.notes import (
    Checkpoint,
    KeyType,
    NoteSignature,
    check_order,
    cosign,
    key_id,
    open_note,
    origin,
    read_checkpoint,
    read_origin,
    read_vkey,
    sign_checkpoint,
    vkey,
    with_lines_of,
)

VECTORS = Path(__file__).resolve().parents[3] / "shared/vectors"
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
ROOT = hashlib.sha256(b"root").digest()
NAME = "school-7.burabay.akmola.kz.bbaj.internal/1"


@pytest.fixture
def journal(network):
    return network.nodes[SCHOOL].journal


@pytest.fixture
def key(journal):
    return vkey(NAME, journal.public_bytes)


@pytest.fixture
def note(journal):
    return sign_checkpoint(NAME, 17, ROOT, journal)


def test_origin_names_address_and_epoch():
    """A journal's name is its node's DNS name and the epoch."""
    assert origin(SCHOOL, 1) == NAME


@given(epoch=st.integers(1, 2**53))
def test_origin_is_read_back(epoch):
    """Address and epoch come back from a journal's name."""
    assert read_origin(origin(SCHOOL, epoch)) == (SCHOOL, epoch)


@pytest.mark.parametrize(
    "text", ["", "kz", "kz.bbaj.internal", "kz.bbaj.internal/0", "kz.bbaj.internal/01", "x.org/1"]
)
def test_other_origins_are_refused(text):
    """What names no journal of this network is refused."""
    with pytest.raises(FormatError, match="names no journal"):
        read_origin(text)


def test_note_has_the_standard_form(note, journal):
    """A note is three lines, a blank line and the signature line."""
    identity = key_id(NAME, journal.public_bytes)
    signature = journal.sign(f"{NAME}\n17\n{base64.b64encode(ROOT).decode()}\n".encode())
    line = f"— {NAME} {base64.b64encode(identity + signature).decode()}"
    assert note.split("\n") == [NAME, "17", base64.b64encode(ROOT).decode(), "", line, ""]


def test_note_opens_under_its_key(note, key):
    """A signed checkpoint opens, and reads back."""
    opened = open_note(note, [key])
    assert opened.signatures == [NoteSignature(NAME)]
    assert read_checkpoint(opened.text) == Checkpoint(NAME, 17, ROOT)


@given(size=st.integers(0, 2**63 - 1), root=st.binary(min_size=32, max_size=32))
def test_checkpoint_is_read_back(size, root):
    """Every checkpoint reads back as it was written."""
    checkpoint = Checkpoint(NAME, size, root)
    assert read_checkpoint(checkpoint.text) == checkpoint


def test_key_id_is_c2sp(journal):
    """The key id is the start of SHA-256 of name, newline, algorithm and key."""
    expected = hashlib.sha256(NAME.encode() + b"\n\x01" + journal.public_bytes).digest()[:4]
    assert key_id(NAME, journal.public_bytes) == expected


def test_vkey_is_read_back(key, journal):
    """A verifier key's line gives name, algorithm and key."""
    found = read_vkey(key)
    assert (found.name, found.type, found.public_key) == (
        NAME,
        KeyType.ED25519,
        journal.public_bytes,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+33d7b496",
        TESSERA_KEY.replace("33d7b496", "33d7b497"),
        TESSERA_KEY.replace("+33d7b496", "+33D7B496"),
        TESSERA_KEY.replace("example", "exanple"),
        TESSERA_KEY[:-4],
        TESSERA_KEY + "\n",
        "na me" + TESSERA_KEY[TESSERA_KEY.index("+") :],
        "x+00000000+" + base64.b64encode(b"\x02" + bytes(32)).decode(),
    ],
)
def test_bad_vkey_is_refused(text):
    """A verifier key whose parts do not agree is refused."""
    with pytest.raises(FormatError):
        read_vkey(text)


def test_every_changed_character_is_refused(note, key):
    """No character of a note's text or signature can change unseen."""
    for at, character in enumerate(note):
        other = "A" if character != "A" else "B"
        with pytest.raises(FormatError):
            open_note(note[:at] + other + note[at + 1 :], [key])


def test_unknown_key_has_not_signed(note, network):
    """A note is refused when none of the given keys has signed it."""
    other = vkey(NAME, network.nodes["kz"].journal.public_bytes)
    with pytest.raises(FormatError) as raised:
        open_note(note, [other])
    assert raised.value.reason is Reason.SIG_INVALID


def test_known_key_under_another_name_has_not_signed(note, journal):
    """The name belongs to the key: a key cannot speak under another one."""
    with pytest.raises(FormatError, match="no known key"):
        open_note(note, [vkey("kz.bbaj.internal/1", journal.public_bytes)])


def test_second_epoch_is_another_journal(journal, note):
    """A new epoch is a new origin with a key id of its own."""
    with pytest.raises(FormatError):
        open_note(note, [vkey(origin(SCHOOL, 2), journal.public_bytes)])


WITNESS = "burabay.akmola.kz.bbaj.internal"


def witness_key(network):
    return vkey(
        WITNESS,
        network.nodes["kz.akmola.burabay"].witness.public_bytes,
        KeyType.COSIGNATURE_V1,
    )


def test_cosignature_is_added(network, note, key):
    """The parent's cosignature opens beside the journal's own, with its time."""
    witness = network.nodes["kz.akmola.burabay"].witness
    cosigned = cosign(note, WITNESS, NOW // SECOND, witness)
    opened = open_note(cosigned, [key, witness_key(network)])
    assert opened.signatures == [NoteSignature(NAME), NoteSignature(WITNESS, NOW // SECOND)]


def test_cosignature_covers_its_time(network, note, key):
    """A cosignature under another time does not hold."""
    witness = network.nodes["kz.akmola.burabay"].witness
    lines = cosign(note, WITNESS, NOW // SECOND, witness).split("\n")
    name, data = lines[-2].rsplit(" ", 1)
    raw = bytearray(base64.b64decode(data))
    raw[11] ^= 1
    lines[-2] = f"{name} {base64.b64encode(raw).decode()}"
    with pytest.raises(FormatError, match="does not hold"):
        open_note("\n".join(lines), [key, witness_key(network)])


def test_lines_of_strangers_are_left_out(network, note, key):
    """Of each key named one line stays, the first, in the order of the keys."""
    witness = network.nodes["kz.akmola.burabay"].witness
    stranger = network.nodes[SCHOOL].witness
    cosigned = cosign(note, WITNESS, NOW // SECOND, witness)
    full = cosign(cosigned, "kz.bbaj.internal", NOW // SECOND, stranger)
    twice = cosign(full, WITNESS, NOW // SECOND + 1, witness)
    keys = [read_vkey(key), read_vkey(witness_key(network))]
    assert with_lines_of(twice, keys) == cosigned
    assert with_lines_of(twice, keys[:1]) == note


@pytest.mark.parametrize(("late_us", "is_refused"), [(0, False), (-1, True)])
def test_a_time_stamp_is_not_older_than_what_it_seals(network, note, late_us, is_refused):
    """Its time may lie before that of a cosignature by what clocks may differ, and no more."""
    witness = network.nodes["kz.akmola.burabay"].witness
    cosigned = cosign(note, WITNESS, NOW // SECOND, witness)
    moment = NOW - NOW % SECOND - 10 * MINUTE + late_us
    check_order(note, moment - DAY, 10 * MINUTE)
    if not is_refused:
        check_order(cosigned, moment, 10 * MINUTE)
        return
    with pytest.raises(FormatError, match=f"before the cosignature of {WITNESS} in what it stamps"):
        check_order(cosigned, moment, 10 * MINUTE)


BAD_NOTES = {
    "empty": "",
    "no signature": "{text}",
    "no blank line": "{text}{line}",
    "no newline at the end": "{text}\n{cut}",
    "hyphen": "{text}\n- {rest}",
    "no name": "{text}\n— {data}\n",
    "empty signature": "{text}\n— {name} AAAAAA==\n",
    "control character": "{text}\n\t{line}",
    "CRLF": "{text}\r\n{line}",
    "base64 not in its one encoding": "{text}\n— {name} {data}=\n",
    "long": "{text}" + "x" * 140_000 + "\n\n{line}",
    "too many signatures": "{text}\n" + "{line}" * 70,
    "surrogate": "{text}\ud800\n\n{line}",
}


@pytest.mark.parametrize("defect", BAD_NOTES)
def test_malformed_note_is_refused(note, key, defect):
    """A note in any other form is refused."""
    text, line = note.split("\n\n")[0] + "\n", note.split("\n\n")[1]
    name, data = line.strip()[2:].split(" ")
    made = BAD_NOTES[defect].format(
        text=text, line=line, cut=line[:-1], rest=line[2:], name=name, data=data
    )
    with pytest.raises(FormatError):
        open_note(made, [key])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        "origin\n1\nAAAA\n",
        "origin\n01\n{root}\n",
        "origin\n-1\n{root}\n",
        "origin\n+1\n{root}\n",
        "origin\n1.0\n{root}\n",
        "origin\n٣\n{root}\n",
        "origin\n9223372036854775808\n{root}\n",
        "origin\n99999999999999999999999\n{root}\n",
        "\n1\n{root}\n",
        "origin\n1\n{root}",
        "origin\n1\n{root}\n\n",
        "origin\n1\n{root}=\n",
        "origin\n1\n not base64\n",
    ],
)
def test_bad_checkpoint_is_refused(text):
    """A checkpoint in any other form is refused."""
    with pytest.raises(FormatError):
        read_checkpoint(text.format(root=base64.b64encode(ROOT).decode()))


def test_extension_lines_are_passed_over():
    """A checkpoint of another log may have extension lines."""
    root = base64.b64encode(ROOT).decode()
    assert read_checkpoint(f"origin\n1\n{root}\nextension\n") == Checkpoint("origin", 1, ROOT)


@given(text=st.text(max_size=300))
def test_noise_is_refused(text):
    """Random text is refused, never another exception."""
    for read in (read_checkpoint, read_vkey, read_origin, lambda note: open_note(note, [])):
        with pytest.raises(FormatError):
            read(text)


# ------------------------------------------------------------------ notes that others wrote


def tessera():
    folder = VECTORS / "tessera/log"
    if not folder.exists():
        return [pytest.param(None, id="absent", marks=pytest.mark.skip("no vectors here"))]
    return [pytest.param(path, id=path.name) for path in sorted(folder.glob("checkpoint.*"))]


@pytest.mark.parametrize("path", tessera())
def test_tessera(path):
    """Each checkpoint of Tessera's test log opens under its key and has its size."""
    opened = open_note(path.read_text(), [TESSERA_KEY])
    assert read_checkpoint(opened.text).size == int(path.suffix[1:])
