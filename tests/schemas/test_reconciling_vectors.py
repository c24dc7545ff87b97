"""The vectors of reconciliation, and what its objects refuse."""

import json
from pathlib import Path

import msgspec
import pytest

from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.moments import parse_instant
from schemas.objects import cut_object, join_object, object_signed_bytes
from schemas.reconciling import MARKS_MAX
from signing.authenticate import check_object
from signing.chain import TrustStore

FOLDER = Path(__file__).parents[1] / "vectors"
GOOD = json.loads((FOLDER / "reconciling.json").read_text(encoding="utf-8"))["good"]
TRUST = json.loads((FOLDER / "trust.json").read_text(encoding="utf-8"))
NOW = parse_instant("2026-11-23T03:32:06.000000Z")


@pytest.fixture(scope="module")
def trust():
    store = TrustStore(bytes.fromhex(TRUST["root"]["certificate"]))
    pairs = [*TRUST["authorities"].values()]
    pairs += [pair for node in TRUST["nodes"].values() for pair in node.values()]
    store.add_certificates([bytes.fromhex(pair["certificate"]) for pair in pairs])
    for crl in TRUST["crls"]:
        store.add_crl(bytes.fromhex(crl))
    return store


@pytest.mark.parametrize("vector", GOOD, ids=lambda one: one["name"])
def test_an_object_holds_between_its_neighbours_alone(vector, trust):
    """It is signed by the one end, for the other; over another link it is refused."""
    raw = bytes.fromhex(vector["object"])
    header = cut_object(raw).header
    facts = {"trust": trust, "now": NOW, "limits": Limits()}
    found = check_object(raw, here=header.to, neighbour=header.from_, **facts)
    assert found.signed[9:].decode() == vector["header"]
    with pytest.raises(FormatError, match=r"on the link from kz\.akmola"):
        check_object(raw, here=header.to, neighbour="kz.akmola", **facts)


@pytest.mark.parametrize("count", [0, MARKS_MAX + 1])
def test_a_question_has_some_marks_and_not_too_many(count):
    """None asks nothing, and too many would cost too many reads."""
    header = cut_object(bytes.fromhex(GOOD[0]["object"])).header
    asked = msgspec.structs.replace(header, marks=header.marks * count)
    with pytest.raises(FormatError, match="marks"):
        cut_object(join_object(object_signed_bytes(asked), b"\0"))
