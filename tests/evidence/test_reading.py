"""A folder is read once, within bounds, and what is strange in it is named."""

import os

import pytest

from harness.forging import failing, make_case, write
from nodes.evidence import reading
from nodes.evidence.checks_files import check_files
from nodes.evidence.reading import PieceFault, read_folder


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("keys"), stamped=False)


@pytest.fixture
def folder(case, tmp_path):
    return write(case.files, tmp_path / "evidence")


def faults(folder):
    """Return what check `files` says is wrong, by name."""
    found = check_files(read_folder(folder))
    return {each.where: each.detail for each in found if each.result == "fails"}


def test_what_was_written_is_read(case, folder):
    """Every byte comes back, and nothing is strange."""
    found = read_folder(folder)
    assert (dict(found.files), dict(found.strange)) == (case.files, {})


def test_a_link_is_not_followed(folder, tmp_path):
    """A file that is a link is named, even where it leads to the right bytes."""
    (folder / "content").rename(tmp_path / "elsewhere")
    (folder / "content").symlink_to(tmp_path / "elsewhere")
    assert faults(folder) == {"content": "is no file: a link, or something else"}


def test_a_linked_folder_is_not_entered(folder, tmp_path):
    """A folder that is a link is named, and what is in it counts as not there."""
    (folder / "custody").rename(tmp_path / "custody")
    (folder / "custody").symlink_to(tmp_path / "custody")
    found = faults(folder)
    assert found["custody"] == "is no folder: a link"
    assert found["custody/1/note.bin"] == "is listed, and is not there"


def test_a_pipe_is_not_waited_for(folder):
    """A named pipe in a file's place is named at once."""
    os.mkfifo(folder / "pipe")
    assert faults(folder) == {"pipe": "is no file: a link, or something else"}


def test_what_is_not_listed_is_named(folder):
    """A file and an empty folder that nobody listed are both faults."""
    (folder / "more.txt").write_bytes(b"?")
    (folder / "empty").mkdir()
    assert faults(folder) == {
        "more.txt": "is not listed in SHA256SUMS",
        "empty/": "is an empty folder",
    }


@pytest.mark.parametrize("name", ["a b", "-rf", "\x1b[2J", "caf\u00e9", "..txt", "a" * 200])
def test_a_strange_name_is_shown_safely(folder, name):
    """A name that no evidence has is not read, and printed without what steers a terminal."""
    (folder / name).write_bytes(b"?")
    (shown,) = faults(folder)
    assert shown.isascii()
    assert shown.isprintable()


def test_a_file_beyond_the_limit_is_not_read(folder, monkeypatch):
    """A file over its limit is named, and takes no more memory than the limit."""
    monkeypatch.setattr(reading, "FILE_BYTES_MAX", 100_000)
    (folder / "content").write_bytes(bytes(200_000))
    assert faults(folder)["content"] == "is over 100000 bytes"


def test_a_deep_folder_is_not_entered(folder):
    """Folders end somewhere."""
    (folder / "/".join("abcdefghij")).mkdir(parents=True)
    assert "is deeper than 6 folders" in faults(folder).values()


def test_no_folder_is_an_error(tmp_path):
    """What is not there is an error of the system, not a verdict."""
    with pytest.raises(FileNotFoundError):
        read_folder(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"-----BEGIN", b"x-----BEGIN"), (b"\n", b"\r\n"), (b"-----END", b"\n-----END"), (b"M", b"*")],
)
def test_pem_has_one_form(case, before, after):
    """A certificate in any other form than openssl writes it in is damaged."""
    files = case.files | {"signer.pem": case.files["signer.pem"].replace(before, after, 1)}
    with pytest.raises(PieceFault, match=r"PEM|base64"):
        reading.Folder(files, {}).certificate("signer.pem")


@pytest.mark.parametrize("name", ["SHA256SUMS", "manifest.json", "manifest.p7s", "head.bin"])
def test_without_a_needed_file_nothing_holds(case, name):
    """A folder without its sums, its seal or the packet's head proves nothing."""
    verdict = case.judge({path: data for path, data in case.files.items() if path != name})
    assert not verdict.holds
    assert failing(verdict)


def test_an_empty_folder_proves_nothing(case):
    """Nothing at all is a verdict as well."""
    verdict = case.judge({})
    assert (verdict.holds, verdict.packet, verdict.existed) == (False, None, None)
    assert {"files", "manifest", "pieces", "signature", "chain"} <= failing(verdict)
