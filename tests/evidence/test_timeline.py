"""Timelines: the same events in three languages, made from the files of the folder alone."""

import pytest

from harness.evidence import make_exchange, rich_dossier
from harness.pki import DISTRICT, SCHOOL
from nodes.evidence.timeline import timelines
from nodes.evidence.write import make_files
from schemas.codes import Language
from schemas.errors import FormatError

EXPORTED = "2026-11-23T06:32:06.000000Z"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_files(rich_dossier(make_exchange(tmp_path_factory.mktemp("keys"))))[0]


def lines(files, code: str) -> list[str]:
    """Return the events of a timeline."""
    return files[f"timeline.{code}.txt"].decode().partition("\n\n")[2].splitlines()


def test_timelines_are_made_again_from_the_folder(files):
    """Whoever has the folder makes the very same texts."""
    made = timelines(files, SCHOOL, EXPORTED)
    assert made == {name: files[name] for name in made}


def test_events_stand_in_order_of_time(files):
    """What happened first stands first, in universal and in local time."""
    found = lines(files, "en")
    assert found == sorted(found, key=lambda line: line[:19])
    assert found[1] == (
        "2026-11-23 03:32:07 UTC (2026-11-23 08:32:07 +05:00)  "
        f"document: signed and sent by {SCHOOL}  [leaf 18]"
    )


def test_everybody_who_had_a_part_is_named(files):
    """Sender, receipt, neighbour, witness and time-stamp authorities are in it."""
    text = "\n".join(lines(files, "en"))
    for said in (
        f"receipt: came from {DISTRICT}, accepted",
        f"document: the answer of {DISTRICT} came: accepted",
        f"{DISTRICT}: took it into custody",
        f"{DISTRICT}: cosigned 26 leaves",
        "time-stamp of national over 26 leaves",
        f"{DISTRICT}: said what it knows of the document",
    ):
        assert said in text


@pytest.mark.parametrize("folder", ["attachment", "receipt-2"])
def test_a_leaf_of_no_frame_is_no_event(files, folder):
    """What happened to another packet is not told of this one: no frame ties that leaf to it."""
    name = f"{folder}/leaves/20-received.txt"
    made = timelines(files | {name: files["receipt/leaves/20-received.txt"]}, SCHOOL, EXPORTED)
    assert made == {name: files[name] for name in made}


def test_three_languages_say_the_same_events(files):
    """Each line has its twin, at the same moment and of the same leaf."""
    moments = {code: [line[:52] for line in lines(files, code)] for code in Language}
    assert moments["kk"] == moments["ru"] == moments["en"]
    assert len({tuple(lines(files, code)) for code in Language}) == 3


@pytest.mark.parametrize("name", ["leaves/18-sent.txt", "header.json"])
def test_a_damaged_file_is_no_timeline(files, name):
    """What cannot be read is named, not passed over."""
    with pytest.raises(FormatError):
        timelines(files | {name: b"damaged"}, SCHOOL, EXPORTED)
