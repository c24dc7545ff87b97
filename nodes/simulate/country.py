"""Who is in the network: offices from KATO or from counts by oblast, organisations below them.

Addresses follow from codes alone; names of places are never read. The tree comes out of the
addresses, as in the network itself.
"""

import csv
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from nodes.errors import ConfigurationFault
from nodes.simulate.draws import Draws
from schemas.addresses import child_towards, common_ancestor, parent_of
from schemas.codes import Tier

ROOT = "kz"
KATO_BYTES_MAX = 64 * 1024 * 1024
ORGANISATIONS_MAX = 100_000
CITY_TYPES = frozenset({"1", "3"})
"""Type codes of district-level objects that are city administrations."""
REPUBLICAN_CITY = "1"
"""Type code of oblast-level objects that are cities: their districts stand one level lower."""
COLUMNS = ("kato", "level", "type_code")


class Member(msgspec.Struct, frozen=True, gc=False):
    """One node of the network."""

    address: str
    tier: Tier
    kind: str
    """Its tier, or what kind of organisation it is: `school`, `preschool`, `college` …"""


class Country(msgspec.Struct, frozen=True):
    """All nodes, parents before children, and where each stands in that order."""

    members: Sequence[Member]
    places: Mapping[str, int]
    parents: Sequence[int]
    """The place of each node's parent; the root's is its own."""

    def path(self, sender: int, recipient: int) -> tuple[int, ...]:
        """Return the nodes that a packet meets, both ends included."""
        here, to = self.members[sender].address, self.members[recipient].address
        top = common_ancestor(here, to)
        way = [here]
        while way[-1] != top:
            above = parent_of(way[-1])
            assert above is not None, f"{top} lies above {here}"
            way.append(above)
        while way[-1] != to:
            way.append(child_towards(way[-1], to))
        return tuple(self.places[address] for address in way)

    def tier_of(self, place: int) -> Tier:
        """Return the tier of the node at a place."""
        return self.members[place].tier


class OblastCounts(msgspec.Struct, frozen=True):
    """How many offices hang under one oblast."""

    code: str
    districts: int
    cities: int


class _Counts(msgspec.Struct, frozen=True):
    oblast: list[OblastCounts]


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of organisation: how many in 1,000, and under which tier they hang."""

    kind: str
    in_1000: int
    under: tuple[Tier, ...]


def offices(kato: Path | None) -> list[Member]:
    """Return the governing nodes: of a KATO file, or of the counts that come with the package.

    Raises ConfigurationFault naming the file and what is wrong in it.
    """
    found = _counted() if kato is None else _of_file(kato)
    return [Member(ROOT, Tier.REPUBLIC, Tier.REPUBLIC), *found]


def populate(
    governing: Sequence[Member], shares: Sequence[Share], organisations: int, seed: int
) -> Country:
    """Return the country with so many organisations; offices have half to one and a half shares.

    Raises ConfigurationFault where no office is of a tier that organisations hang under.
    """
    members = list(governing)
    draws = Draws(f"organisations {seed}")
    weights = {each.address: 0.5 + draws.next() for each in governing}
    numbers: dict[str, int] = {}
    for share, count in zip(shares, _counts(shares, organisations), strict=True):
        parents = [each.address for each in governing if each.tier in share.under]
        if count and not parents:
            raise ConfigurationFault(
                [f"KATO: no {' or '.join(share.under)} for a {share.kind} to hang under"]
            )
        chosen = draws.places([weights[each] for each in parents], count)
        for parent in sorted(parents[place] for place in chosen):
            numbers[parent] = numbers.get(parent, 0) + 1
            address = f"{parent}.o{numbers[parent]}"
            members.append(Member(address, Tier.SCHOOL, share.kind))
    places = {each.address: place for place, each in enumerate(members)}
    parents_at = [places[parent_of(each.address) or ROOT] for each in members]
    return Country(members, places, parents_at)


def _counts(shares: Sequence[Share], organisations: int) -> list[int]:
    """Return how many there are of each kind; the first takes what rounding leaves."""
    whole = sum(share.in_1000 for share in shares)
    counts = [organisations * share.in_1000 // whole for share in shares]
    counts[0] += organisations - sum(counts)
    return counts


def _counted() -> Iterator[Member]:
    text = files("nodes.simulate").joinpath("country.toml").read_text(encoding="utf-8")
    for oblast in msgspec.convert(tomllib.loads(text), _Counts).oblast:
        address = f"{ROOT}.k{oblast.code}"
        yield Member(address, Tier.OBLAST, Tier.OBLAST)
        for tier, count in ((Tier.CITY, oblast.cities), (Tier.DISTRICT, oblast.districts)):
            for number in range(1, count + 1):
                yield Member(f"{address}.{tier}{number}", tier, tier)


def _of_file(path: Path) -> Iterator[Member]:
    """Yield the offices of a KATO file (CSV with `kato`, `level` and `type_code`)."""
    rows = _read(path)
    oblasts = {row["kato"][:2]: row for row in rows if row["level"] == "oblast"}
    if not oblasts:
        raise ConfigurationFault([f"{path}: no row of level oblast: this is no KATO file"])
    for code in oblasts:
        yield Member(f"{ROOT}.k{code}", Tier.OBLAST, Tier.OBLAST)
    for row in rows:
        kato = row["kato"]
        oblast = oblasts.get(kato[:2])
        if oblast is None:
            raise ConfigurationFault([f"{path}: {kato} lies in no oblast of the file"])
        if row["level"] == "district":
            tier = Tier.CITY if row["type_code"] in CITY_TYPES else Tier.DISTRICT
            yield Member(f"{ROOT}.k{kato[:2]}.k{kato[:4]}", tier, tier)
        elif row["level"] == "sub_district" and oblast["type_code"] == REPUBLICAN_CITY:
            yield Member(f"{ROOT}.k{kato[:2]}.k{kato[:6]}", Tier.DISTRICT, Tier.DISTRICT)


def _read(path: Path) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > KATO_BYTES_MAX:
            raise ConfigurationFault([f"{path}: larger than {KATO_BYTES_MAX} bytes"])
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [each for each in COLUMNS if each not in (reader.fieldnames or ())]
            if missing:
                raise ConfigurationFault([f"{path}: no column {', '.join(missing)}"])
            rows = list(reader)
    except OSError as error:
        raise ConfigurationFault([f"{path}: {error.strerror}"]) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationFault([f"{path}: {error}"]) from error
    for number, row in enumerate(rows, 2):
        kato = row["kato"] or ""
        if len(kato) != 9 or not (kato.isascii() and kato.isdigit()):
            raise ConfigurationFault([f"{path}: line {number}: kato {kato!r} is not nine digits"])
    seen = {row["kato"] for row in rows}
    if len(seen) != len(rows):
        raise ConfigurationFault([f"{path}: {len(rows) - len(seen)} codes come more than once"])
    return rows
