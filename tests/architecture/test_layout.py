"""The layout: what an installation holds, and the words that code and documents use."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"schemas", "signing", "store", "exchange", "nodes"}
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel, and return the names in it."""
    folder = tmp_path_factory.mktemp("wheel")
    tools = Path(sys.executable).parent
    subprocess.run(
        [sys.executable, "-c", f"import uv_build; uv_build.build_wheel({str(folder)!r})"],
        check=True,
        cwd=ROOT,
        env={"PATH": f"{tools}{os.pathsep}/usr/bin:/bin"},
        capture_output=True,
    )
    [built] = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_wheel_has_exactly_the_five_packages(wheel):
    """An installation brings five import names, and neither tests nor deploy."""
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_the_wheel_has_every_source_file(wheel):
    """What is imported in a checkout is there in an installation."""
    assert {name for name in wheel if name.endswith(".py")} == {
        path.relative_to(ROOT).as_posix() for path in SOURCES
    }


def test_the_wheel_has_the_data_files(wheel):
    """Migrations and whatever else is no module travel along."""
    data = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert any(name.endswith(".sql") for name in data)
    assert data <= set(wheel)


def test_the_five_packages_are_packages_and_nothing_else_is():
    """The five have an `__init__`; tests and deploy are folders."""
    assert all((ROOT / package / "__init__.py").is_file() for package in PACKAGES)
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert not list((ROOT / "deploy").rglob("__init__.py"))


def test_only_one_module_reads_the_clock():
    """Time comes in as a parameter; one adapter reads it (benches and sandboxes measure)."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if re.search(r"\btime\.time(_ns)?\(|datetime\.now\(", path.read_text(encoding="utf-8"))
    }
    assert readers == {"nodes/clock.py"}


# ------------------------------------------------------------------ words

BANNED = {
    "envelope": "frame",
    "control packet": "link object",
    "dead letters": "quarantine",
    "retry job": "sweep",
    "ack of ack": "closing",
    "tunnel": "link",
    "upload": "drop",
    "broker node": "node",
}
"""Words that the glossary gives up, each with the one to use."""


def text_of(path):
    return re.sub(r"\s+", " ", path.read_text(encoding="utf-8")).lower()


@pytest.mark.parametrize("word", BANNED)
def test_banned_words_occur_nowhere(word):
    """One thing has one name, in code, comments and documents."""
    pattern = re.compile(rf"\b{word}s?\b")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in [*SOURCES, *DOCUMENTS]
        if pattern.search(text_of(path))
    }
    assert found <= {"docs/glossary.md"}, f"use {BANNED[word]!r}"


@pytest.mark.parametrize("word", BANNED)
def test_banned_words_are_the_glossarys(word):
    """What is banned here is what the glossary gives up."""
    assert word in text_of(ROOT / "docs" / "glossary.md")


def headings(path):
    """Return the anchors of a document's headings."""
    lines = path.read_text(encoding="utf-8").splitlines()
    titles = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(path):
    """Every relative link names a file that is there, and a heading in it."""
    dead = []
    prose = re.sub(r"(?s)```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in headings(file)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_clauses_that_code_cites_exist(path):
    """A comment that cites a clause of the protocol cites one that is there."""
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    clauses = set(re.findall(r"^\*\*(\d+\.\d+)", protocol, re.MULTILINE))
    clauses |= set(re.findall(r"^## (\d+)\.", protocol, re.MULTILINE))
    cited = re.findall(r"\bclauses? (\d+(?:\.\d+)?)", path.read_text(encoding="utf-8"))
    assert set(cited) <= clauses
