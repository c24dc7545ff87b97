"""At the end an auditor compares all records, with each other and with what was seen.

It reads rows and hashes them itself; what a program believed of them does not count.
"""

from typing import TYPE_CHECKING

from schemas.leaves import read_leaf
from schemas.records import EntryRow, IntakeRow, LeafRow, PacketRow, QuarantineRow, Released
from signing.notes import origin
from simulation.watch import FailureError
from store.merkle import leaf_hash, root_of

if TYPE_CHECKING:
    from simulation.country import Country


def audit(country: "Country") -> None:
    """Raise FailureError where records or journals contradict each other."""
    for address, machine in country.machines.items():
        record = machine.server.record
        leaves: list[LeafRow] = record.tables[LeafRow]
        _audit_journal(country, address, record.epoch, leaves)
        frames = [read_leaf(row.record)["id"] for row in leaves if row.kind == "released"]
        if len(set(frames)) < len(frames):
            raise FailureError(f"{address} has released a packet twice in its journal")
        if len(record.tables[Released]) != len(frames):
            raise FailureError(f"{address}: rows and leaves of what was released differ")
    for key, brought in country.streams.brought.items():
        if key[1] not in country.liars:
            _audit_custody(country, *key, brought)
    for line in country.lines.values():
        if {line.child, line.parent} & country.liars:
            continue
        _audit_streams(country, line.child, line.parent)
        _audit_streams(country, line.parent, line.child)


def _audit_journal(country: "Country", address: str, epoch: int, leaves: list[LeafRow]) -> None:
    hashes = [leaf_hash(row.record) for row in leaves]
    for (name, size), root in country.journals.heads.items():
        if name == origin(address, epoch) and root_of(hashes[:size]) != root:
            raise FailureError(f"{address} has shown {size} leaves that it does not have")


def _audit_streams(country: "Country", writer: str, reader: str) -> None:
    """Compare what one has placed for the other with what that one has taken."""
    placed: dict[tuple[str, int, int], EntryRow] = {
        (row.stream, row.epoch, row.number): row
        for row in country.machines[writer].server.record.tables[EntryRow]
    }
    for row in country.machines[reader].server.record.tables[IntakeRow]:
        neighbour, _, lane = row.stream.rpartition("/")
        if neighbour != writer or row.epoch < country.machines[writer].server.record.epoch:
            continue  # of an epoch whose end the writer's record has lost
        found = placed.get((f"{reader}/{lane}", row.epoch, row.last))
        if found is None or found.chain != row.chain:
            raise FailureError(f"{reader} has taken {row.last} of {row.stream} as nobody placed it")


def _audit_custody(
    country: "Country",
    writer: str,
    reader: str,
    lane: str,
    epoch: int,
    brought: dict[int, set[bytes]],
) -> None:
    """See that each frame that was taken is kept, byte for byte or as one that was refused."""
    tables = country.machines[reader].server.record.tables
    stream = f"{writer}/{lane}"
    rows: list[IntakeRow] = tables[IntakeRow]
    taken = max((row.last for row in rows if (row.stream, row.epoch) == (stream, epoch)), default=0)
    kept = {row.frame_sha256 for row in tables[PacketRow]}
    kept |= {row.sha256 for row in tables[QuarantineRow]}
    for number, digests in brought.items():
        if number <= taken and not digests & kept:
            raise FailureError(f"{reader} has taken {number} of {stream}, and keeps no such frame")
