"""What `bbaj store verify` remembers of runs before, and whose cosignatures it believes."""

import msgspec
import pytest

from harness.pki import NOW, make_network
from nodes.cli.progress import progress
from nodes.cli.scrubs import KEPT_EVERY_S, RESUMED_WITHIN_US, Scrub
from nodes.cosigned import Papered, vouched_roots
from schemas.addresses import dns_name
from schemas.limits import Limits
from schemas.moments import DAY, HOUR, SECOND
from schemas.records import CosignatureRow
from signing.notes import cosign, origin, sign_checkpoint
from store.merkle import Span
from store.scope import PARTS, WHOLE, Scope

PARENT, CHILD = "kz.akmola", "kz.akmola.burabay"
ROOT = bytes(range(32))
LEFT = Scope((Span(4096, 8192),), (), (5,), 1)


@pytest.fixture
def scrub(tmp_path):
    """Begin a run, nightly where nothing else is said."""

    def begin(at=NOW, *, epoch=1, incremental=True, anew=False):
        return Scrub(tmp_path, epoch, at, incremental=incremental, anew=anew)

    return begin


def test_first_run_is_whole(scrub):
    """Where nothing is known yet, everything is looked at."""
    run = scrub()
    assert run.sound_leaves == 0
    assert run.order(0) == WHOLE


def test_next_night_is_incremental(scrub):
    """The next run begins where a witness vouches for what the last one found in order."""
    scrub().end(1000, holds=True)
    run = scrub(NOW + DAY)
    assert run.sound_leaves == 1000
    assert run.order(900).size == 900
    assert run.order(900).parts == ((NOW // DAY + 1) % PARTS,)


def test_without_a_witness_all_is_due(scrub):
    """What the file says counts for nothing where no witness vouches for it."""
    scrub().end(1000, holds=True)
    assert scrub(NOW + DAY).order(0) == WHOLE


def test_whole_run_builds_on_nothing(scrub):
    """A run that is not incremental looks at everything, whatever was found before."""
    scrub().end(1000, holds=True)
    assert scrub(NOW + DAY, incremental=False).sound_leaves == 0


def test_run_with_a_fault_is_not_built_on(scrub):
    """After a fault the next run begins where the faulty one did, missed share included."""
    scrub().end(1000, holds=True)
    scrub(NOW + DAY).end(2000, holds=False)
    run = scrub(NOW + 2 * DAY)
    assert run.sound_leaves == 1000
    assert len(run.order(1000).parts) == 2


def test_interrupted_run_goes_on(scrub):
    """What an interrupted run had left is in the order of the next one, beside today's share."""
    scrub().keeper(1000)(LEFT)
    run = scrub(NOW + HOUR)
    assert run.resumes == NOW
    assert run.sound_leaves == 1000
    assert run.order(1000).left == LEFT
    assert run.order(1000).parts == (NOW // DAY % PARTS,)


def test_without_a_witness_no_run_is_gone_on_with(scrub):
    """What an interrupted run has done counts for nothing where no witness vouches for it."""
    scrub().keeper(1000)(LEFT)
    run = scrub(NOW + HOUR)
    assert (run.order(0), run.resumes) == (WHOLE, None)


@pytest.mark.parametrize(
    "options",
    [{"anew": True}, {"incremental": False}, {"at": NOW + RESUMED_WITHIN_US + 1}, {"at": NOW - 1}],
    ids=["anew", "of another kind", "too old", "from the future"],
)
def test_other_runs_are_not_gone_on_with(scrub, options):
    """A run goes on with one of its own kind that is not too old, and only if it may."""
    scrub().keeper(1000)(LEFT)
    assert scrub(**options).resumes is None


def test_resumed_run_counts_for_the_day_it_began(scrub):
    """A run that ended after midnight leaves the next day's share due."""
    late = NOW - NOW % DAY + DAY - HOUR
    scrub(late).keeper(1000)(LEFT)
    scrub(late + 2 * HOUR).end(1000, holds=True)
    assert scrub(late + 3 * HOUR).order(1000).parts == ((late // DAY + 1) % PARTS,)


def test_keeping_is_not_done_at_every_step(scrub, tmp_path, monkeypatch):
    """What is left is written at once, then every few seconds."""
    moments = iter([100.0, 100.0, 100.5, 100.0 + KEPT_EVERY_S, 100.0 + KEPT_EVERY_S])
    monkeypatch.setattr("nodes.cli.scrubs.monotonic", lambda: next(moments))
    keep = scrub().keeper(1000)
    seen = []
    for at in range(3):
        keep(msgspec.structs.replace(LEFT, new_frames=at))
        seen.append(msgspec.json.decode((tmp_path / "scrub.json").read_bytes())["running"])
    assert [each["left"]["new_frames"] for each in seen] == [0, 0, 2]


def test_another_epoch_begins_anew(scrub):
    """What was found of a journal that has lost its end says nothing of the next one."""
    scrub().end(1000, holds=True)
    scrub().keeper(1000)(LEFT)
    run = scrub(NOW + HOUR, epoch=2)
    assert (run.sound_leaves, run.resumes) == (0, None)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"ended":{"day":"x","leaves":1}}'])
def test_damaged_file_says_nothing(scrub, tmp_path, content):
    """A file that cannot be read makes everything due."""
    (tmp_path / "scrub.json").write_bytes(content)
    assert scrub().order(scrub().sound_leaves) == WHOLE


@pytest.mark.parametrize("language", ["kk", "ru", "en"])
def test_every_stage_has_a_name(monkeypatch, language):
    """The progress bar knows the stages that verifications and exports tell it."""
    monkeypatch.setenv("BBAJ_LANG", language)
    with progress() as advance:
        for stage in ("journal", "frames", "streams", "tiles", "packets", "dump", "restore"):
            advance(stage, 1, 2)


# ------------------------------------------------------------------ cosignatures


@pytest.fixture(scope="module")
def network():
    return make_network(["kz", PARENT, CHILD, "kz.other"], NOW)


def papers(network, **changes):
    own = Papered(network.root.der, network.certificates, network.current_crls())
    return msgspec.structs.replace(own, **changes)


def cosigned(network, size=7, witness=PARENT, by=None, at=NOW):
    """Return a checkpoint of the child's, and a cosignature of it as the record keeps it."""
    note = sign_checkpoint(origin(CHILD, 1), size, ROOT, network.nodes[CHILD].journal)
    whole = cosign(note, dns_name(witness), at // SECOND, network.nodes[by or witness].witness)
    return note, CosignatureRow(1, size, witness, at, whole.removeprefix(note), b"")


def judged(network, row, note, **changes):
    notes = {} if note is None else {row.size: note}
    return vouched_roots([row], notes, papers(network, **changes), Limits())


def test_cosignature_of_the_parent_counts(network):
    """A root counts that a witness has signed with a key under the network's root."""
    note, row = cosigned(network)
    found = judged(network, row, note)
    assert (found.roots, found.witnesses, found.faults) == ({7: ROOT}, [PARENT], [])


def test_edited_checkpoint_does_not_count(network):
    """A cosignature is of one checkpoint, not of another root put in its place."""
    _, row = cosigned(network)
    other = sign_checkpoint(origin(CHILD, 1), 7, bytes(32), network.nodes[CHILD].journal)
    found = judged(network, row, other)
    assert found.roots == {}
    assert "does not hold" in found.faults[0][1]


def test_deleted_checkpoint_is_named(network):
    """A cosignature whose checkpoint is gone says so."""
    _, row = cosigned(network)
    assert judged(network, row, None).faults[0][1] == "the checkpoint that it is of was deleted"


def test_cosignature_moved_to_another_size(network):
    """A cosignature hung onto another size does not vouch for that one."""
    note, row = cosigned(network)
    found = judged(network, msgspec.structs.replace(row, size=9), note)
    assert found.roots == {}
    assert found.faults[0][1] == "is of a checkpoint over 7 leaves"


def test_other_nodes_key_does_not_count(network):
    """A key that is certified for another address is not the witness's."""
    note, row = cosigned(network, witness=PARENT, by="kz.other")
    assert judged(network, row, note).roots == {}


def test_key_of_a_strange_authority_does_not_count(network):
    """A witness certificate slipped into the record under another root counts for nothing."""
    strange = make_network(["kz", PARENT, CHILD], NOW)
    note, row = cosigned(strange)
    found = judged(network, row, note, certificates=strange.certificates)
    assert found.roots == {}
    assert "does not count" in found.faults[0][1]


def test_cosignature_outside_the_keys_life_does_not_count(network):
    """A cosignature from after the end of the witness's certificate counts for nothing."""
    note, row = cosigned(network, at=NOW + 500 * DAY)
    assert judged(network, row, note).roots == {}
