"""`bbaj types`: what the makers of local systems are told."""

import json

import msgspec
import pytest

from nodes.cli.errors import FileFault
from nodes.cli.packet_types import describe, drawn
from nodes.config import LANGUAGE_NAME
from schemas.documents.registry import TYPES, export_json_schemas


def test_each_type_is_described():
    """All types are listed, those that a system may drop told apart."""
    lines = {line.type_: line for line in describe(None)}
    assert set(lines) == set(TYPES)
    assert lines["attendance.daily/1"].personal
    assert lines["attendance.daily/1"].droppable
    assert not lines["receipt/1"].droppable
    assert lines["performance.period/1"].periods == ["quarter", "year"]
    assert all(line.schema is None for line in lines.values())


def test_a_schema_of_each_is_written(tmp_path):
    """Each file is the schema of its type; what is there already stays."""
    folder = tmp_path / "new" / "schemas"
    lines = describe(folder)
    written = {line.type_: json.loads((folder / line.schema).read_text()) for line in lines}
    assert written == json.loads(msgspec.json.encode(export_json_schemas()))
    kept = (folder / "receipt-1.schema.json").read_bytes()
    with pytest.raises(FileFault, match="is there already"):
        describe(folder)
    assert (folder / "receipt-1.schema.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("language", "words"),
    [("kk", "күнделікті сабаққа қатысу"), ("ru", "ежедневная посещаемость")],
)
def test_types_are_named_in_the_language_spoken(monkeypatch, language, words):
    """The table names documents as people do."""
    monkeypatch.setenv(LANGUAGE_NAME, language)
    (table, *_) = drawn(describe(None))
    assert words in list(table.columns[1].cells)
