"""Evidence folders in memory: judged, changed, and mended again as an exporter or a forger would.

case = make_case(tmp_path / "keys")
case.judge(case.files).holds
forged = mend(case.files | {"content": b"{}"})      # sums and manifest again, without the key
case.sealed(case.files | {"content": b"{}"})        # as a dishonest exporter does, with it
"""

import hashlib
import re
from pathlib import Path

import msgspec

from harness.dossier import Exchange
from harness.evidence import make_exchange, rich_dossier
from harness.pki import NOW, SCHOOL
from nodes.evidence.case import Terms
from nodes.evidence.manifest import MANIFEST, SEAL, SUMS, sums_of
from nodes.evidence.reading import Folder
from nodes.evidence.verdict import Verdict
from nodes.evidence.verify import verify
from nodes.evidence.write import make_files
from schemas.limits import Limits
from schemas.moments import DAY, Instant
from signing.algorithms import DEFAULT, AlgorithmPolicy
from signing.cms import detached_cms

Files = dict[str, bytes]
LATER = NOW + DAY
"""When evidence is judged here: a day after all of it happened."""


class Case(msgspec.Struct, frozen=True):
    """A folder's files, and the exchange with all keys that it was made from."""

    files: Files
    exchange: Exchange
    now: Instant = LATER
    policy: AlgorithmPolicy = DEFAULT
    stamp_roots: tuple[bytes, ...] = ()
    """DER; none: those in the folder count."""

    def judge(self, files: Files | None = None) -> Verdict:
        """Return the verdict about the folder, or about other files in its place."""
        terms = Terms(
            root=self.exchange.network.root.der,
            policy=self.policy,
            now=self.now,
            limits=Limits(),
            stamp_roots=self.stamp_roots,
        )
        return verify(Folder(self.files if files is None else files, {}), terms)

    def sealed(self, files: Files) -> "Case":
        """Return the case with other files, under a seal that its exporter made over them."""
        mended = mend(files)
        node = self.exchange.network.nodes[SCHOOL].packet
        authority = self.exchange.network.authority_for(SCHOOL).der
        seal = detached_cms(node.sign(mended[MANIFEST]), node.certificate, authority)
        return msgspec.structs.replace(self, files=mended | {SEAL: seal})


def make_case(keys: Path, **how: bool) -> Case:
    """Return a whole exchange's evidence; `how` as `harness.evidence.make_exchange` has it."""
    return case_of(make_exchange(keys, **how))


def case_of(exchange: Exchange) -> Case:
    """Return the evidence of an exchange."""
    return Case(make_files(rich_dossier(exchange))[0], exchange)


def mend(files: Files) -> Files:
    """Return files with sums of their own and a manifest that names those: what anybody can do."""
    sums = sums_of({name: files[name] for name in files.keys() - {SUMS, MANIFEST, SEAL}})
    digest = hashlib.sha256(sums).hexdigest().encode()
    manifest = re.sub(rb'"sums":"[0-9a-f]*"', b'"sums":"%b"' % digest, files.get(MANIFEST, b""))
    return files | {SUMS: sums, MANIFEST: manifest}


def flipped(data: bytes, bit: int) -> bytes:
    """Return data with one bit turned."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def failing(verdict: Verdict) -> set[str]:
    """Return the names of the checks that fail."""
    return {each.check for each in verdict.checks if each.result == "fails"}


def places(verdict: Verdict) -> set[str]:
    """Return where checks fail."""
    return {each.where for each in verdict.checks if each.result == "fails"}


def details(verdict: Verdict) -> str:
    """Return what is said of what fails."""
    return "\n".join(each.detail for each in verdict.checks if each.result == "fails")


def write(files: Files, folder: Path) -> Path:
    """Write files as a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
