"""Evidence that lies is found by name, although its seal holds."""

import pytest

from harness.bad_evidence import (
    BAD,
    FOUND,
    hash_renewed,
    renewed_in_time,
    revoked_since,
    revoked_since_and_unproven,
)
from harness.forging import details, failing, make_case


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("name", BAD)
def test_a_lie_is_found(name, case, tmp_path):
    """Each lie fails the checks that it concerns, no others, and one of them says what is wrong."""
    bad = BAD[name](case, tmp_path)
    verdict = bad.judge()
    assert failing(verdict) == FOUND[name].checks, details(verdict)
    assert FOUND[name].words in details(verdict)
    assert not verdict.holds


def test_a_key_revoked_since_still_proves(tmp_path):
    """A key that came into other hands afterwards harms nothing, and the verdict says both."""
    verdict = revoked_since(tmp_path).judge()
    assert verdict.holds, details(verdict)
    chain = next(each for each in verdict.checks if (each.check, each.where) == ("chain", "."))
    assert "revoked 2026-11-23T07:32:06.000000Z (keyCompromise)" in chain.detail


def test_a_key_revoked_since_is_warned_of_where_nobody_proves_when(tmp_path):
    """Without a witness or a time-stamp a moment before the revocation is the sender's word."""
    verdict = revoked_since_and_unproven(tmp_path).judge()
    assert verdict.holds, details(verdict)
    warned = {(each.check, each.where): each.detail for each in verdict.checks if is_warning(each)}
    assert warned.keys() == {("chain", "."), ("chain", "closing"), ("manifest", "exporter")}
    assert all("nobody proves when it was signed" in detail for detail in warned.values())
    assert verdict.existed_by == "sender"


def test_a_proven_moment_needs_no_warning(tmp_path):
    """Where others have proven it, a later revocation is told of and no more; the seal is not."""
    verdict = revoked_since(tmp_path).judge()
    assert {each.where for each in verdict.checks if is_warning(each)} == {"exporter"}


@pytest.mark.parametrize("name", ["content.docx", "receipt-2/content", "custody/x/note.bin"])
def test_a_file_that_the_format_does_not_know_is_named(name, case):
    """What an exporter has sealed and nobody checks is allowed, and the reader is warned."""
    verdict = case.sealed(case.files | {name: b"read me"}).judge()
    assert verdict.holds, details(verdict)
    assert [(each.check, each.where) for each in verdict.checks if is_warning(each)] == [
        ("unknown", name)
    ]


def test_a_whole_folder_has_no_unknown_file(case):
    """Every file that an export writes is one that the format knows."""
    assert [each.result for each in case.judge().checks if each.check == "unknown"] == ["absent"]


def is_warning(check):
    return check.result == "warns"


def test_a_stamp_renewed_in_time_still_proves(tmp_path):
    """An authority that has ended harms nothing once another has sealed its token before."""
    verdict = renewed_in_time(tmp_path).judge()
    assert verdict.holds, details(verdict)
    renewed = [each.detail for each in verdict.checks if each.check == "stamp"]
    assert sum("renewed by" in detail for detail in renewed) == 1


def test_a_hash_renewed_in_time_still_proves(tmp_path):
    """Once the tree's hash has ended, a second log that was stamped before carries every proof."""
    made = hash_renewed(tmp_path)
    verdict = made.judge()
    assert verdict.holds, details(verdict)
    assert {each.result for each in verdict.checks if each.check == "renewal"} == {"holds"}
    assert verdict.existed_by == "time-stamp"
