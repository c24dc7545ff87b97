import msgspec
import pytest

from nodes import samples
from schemas.documents.attendance import AttendanceDaily
from schemas.documents.faults import DocumentError
from schemas.documents.findable import findable_of, findable_types
from schemas.documents.registry import TYPES


def test_attendance_is_found_by_its_people():
    """Every pupil and the school are subjects; the school's name is its only text."""
    body = samples.tiny(7)
    document = msgspec.json.decode(body, type=AttendanceDaily)
    found = findable_of("attendance.daily/1", body)
    assert found.subjects == {document.organisation.bin, *(one.iin for one in document.pupils)}
    assert found.texts == ()


def test_an_order_is_found_by_its_titles():
    """Titles in all languages come first; who signed it is a person, and no text."""
    found = findable_of("admin.order/1", samples.order(3, 1))
    assert found.texts[:2] == ("№ 3 үлгі бұйрық", "Образец приказа № 3")
    assert not any("Басшы" in text for text in found.texts)


def test_a_file_is_found_by_its_title():
    """The title inside the container is looked at, the file's bytes are not."""
    assert findable_of("document.file/1", samples.file(1)).texts[0].startswith("Анықтама")


@pytest.mark.parametrize("name", findable_types())
def test_damaged_documents_are_faults(name):
    """What does not decode is a fault of the document, not of the search."""
    with pytest.raises(DocumentError):
        findable_of(name, b"{")


def test_paths_name_fields_that_exist():
    """Each declared path leads to a field of its type; answers declare none."""
    bodies = {
        "attendance.daily/1": samples.tiny(1),
        "performance.period/1": samples.performance("kz.a", "2026-Q4", 1),
        "admin.order/1": samples.order(1, 1),
        "document.file/1": samples.file(1),
    }
    for name in findable_types():
        if name in bodies:
            findable_of(name, bodies[name])
    assert set(bodies) <= set(findable_types()) <= set(TYPES) - {"receipt/1", "closing/1"}
