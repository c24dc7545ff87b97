"""What people read of backups: every fact, in the language spoken here."""

import pytest

from harness.spoken import drawn, strangers
from nodes.cli import backup_tables
from nodes.cli.backup_shapes import BackupDone, KeysBack, RestoreDone
from nodes.said import Said
from nodes.texts import text
from schemas.codes import Language

MADE = "2026-11-23T02:15:00.000000Z"
BACK = KeysBack(buckets=["R5-2027-08"], encryption=["ab"], destroyed=["R5-2015-08"])
DONE = BackupDone(
    folder="/backup/kz-20261123T021500Z",
    made=MADE,
    leaves=1234,
    root="cm9vdA==",
    files=17,
    bytes=98_700_000,
    verified=True,
    buckets=42,
    destroyed=3,
    keys="/escrow",
)
RESTORED = RestoreDone(
    backup="/backup/kz-20261123T021500Z",
    made=MADE,
    epoch=2,
    leaves=1234,
    keys=BACK,
    signed=None,
    stands_still=False,
    next_step=Said("backup.next-whole"),
)


@pytest.mark.parametrize("language", ["kk", "ru", "en"])
def test_every_fact_is_drawn(monkeypatch, language):
    """Neither a backup nor a restore hides anything, whatever language is spoken."""
    monkeypatch.setenv("BBAJ_LANG", language)
    said = drawn(backup_tables.backup(DONE))
    for fact in ("/backup/kz-2026", "1234", "cm9vdA==", "17", "98.7", "/escrow", "42", "3"):
        assert fact in said
    said = drawn(backup_tables.restored(RESTORED))
    next_step = text("backup.next-whole", Language(language))
    for fact in ("/backup/kz-2026", "1234", "2", "R5-2015-08", next_step):
        assert fact in said
    assert strangers(said, Language(language), "backup") == set()
