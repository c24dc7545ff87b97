"""Metrics: what documents and deployment name is what a node serves."""

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from nodes.telemetry import Telemetry
from schemas.leaves import LeafKind
from schemas.records import Changes, IncidentRow, LeafRow

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
NAMED = re.compile(r"\bbbaj_[a-z_]*[a-z]\b")
NO_METRICS = {"bbaj_owner", "bbaj_daemon"}
"""Database roles of the example deployment."""


def served():
    """Return the names of all metrics, as a scrape of a fresh node shows them."""
    text = generate_latest(Telemetry("kz").registry).decode()
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}


def known(names):
    """Return the names less what a scrape adds to a metric's own."""
    return {re.sub(r"_(created|bucket|sum|count)$", "", name) for name in names}


DEPLOYED = [
    path
    for path in sorted((ROOT / "deploy").rglob("*"))
    if path.is_file() and path.suffix in {".yml", ".yaml", ".json", ".sh", ".conf", ".md"}
]


@pytest.mark.parametrize("path", DEPLOYED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_metrics_that_the_deployment_names_exist(path):
    """A dashboard or alert on a metric that nobody serves would stay silent for ever."""
    names = set(NAMED.findall(path.read_text(encoding="utf-8"))) - NO_METRICS
    assert known(names) <= known(served())


def test_the_operations_manual_lists_every_metric():
    """The manual's table has exactly what a node serves."""
    text = OPERATIONS.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(bbaj_[a-z_]+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(name for name in served() if not name.endswith("_created"))


def test_every_metric_that_a_document_names_exists():
    """Prose about metrics names real ones, too."""
    named = set()
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        named |= set(NAMED.findall(path.read_text(encoding="utf-8")))
    assert known(named - NO_METRICS) <= known(served())


def test_incidents_that_the_manual_names_exist():
    """An incident worth an alert is one that the code opens."""
    text = OPERATIONS.read_text(encoding="utf-8")
    alert = text.split("Worth an alert:", 1)[1].split("\n\n", 1)[0]
    kinds = {word for word in re.findall(r"`([a-z_]+)`", alert) if not word.startswith("bbaj_")}
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "exchange").rglob("*.py"))
    assert {kind for kind in kinds if f'"{kind}"' not in code} == set()


def test_what_is_committed_is_counted():
    """A leaf and an incident raise their counters, by kind."""
    telemetry = Telemetry("kz")
    leaf = LeafRow(0, LeafKind.RELAYED, 1, b"")
    incident = IncidentRow(0, "replay", "kz.a", "twice", None)
    telemetry.committed(Changes(leaves=[leaf, leaf], incidents=[incident]), 1000)
    value = telemetry.registry.get_sample_value
    assert value("bbaj_leaves_total", {"kind": "relayed"}) == 2
    assert value("bbaj_incidents_total", {"kind": "replay"}) == 1
    assert value("bbaj_group_seconds_count") == 1
