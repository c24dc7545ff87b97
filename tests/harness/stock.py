"""Runs VERIFY.md as its reader does: with stock tools, in an empty environment."""

import re
import subprocess
from pathlib import Path

PATH = "/usr/bin:/bin"
TOOLS, SUMS = "Tools of the checks", "1"


def run_all(folder: Path, path: str = PATH) -> subprocess.CompletedProcess[str]:
    """Run all blocks as they stand, one behind the other."""
    return _run(folder, "".join(sections(folder).values()), path)


def run_section(folder: Path, number: str) -> subprocess.CompletedProcess[str]:
    """Run one section, behind the tools and the first section that all others rest on."""
    found = sections(folder)
    wanted = [TOOLS, SUMS] if number == SUMS else [TOOLS, SUMS, number]
    return _run(folder, "".join(found[each] for each in wanted), PATH)


def holds(folder: Path) -> bool:
    """Say whether everything holds, by the last line."""
    done = run_all(folder)
    return done.returncode == 0 and done.stdout.endswith("evidence: holds\n")


def sections(folder: Path) -> dict[str, str]:
    """Return the blocks of each section by its number, else by its title."""
    text = (folder / "VERIFY.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (?:([0-9]+)\. )?(.*)$", text, flags=re.MULTILINE)
    found = {
        number or title: "".join(re.findall(r"^```sh\n(.*?)^```$", body, re.MULTILINE | re.DOTALL))
        for number, title, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }
    assert all(found.values()), "each section has a block"
    return found


def _run(folder: Path, script: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/env", "-i", f"PATH={path}", "sh", "-eu"],
        input=script,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
