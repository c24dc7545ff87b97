"""Gathers who vouches for the journal: checkpoints, cosignatures, time-stamps, renewed hashes."""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from nodes.cosigned import find_journal_certificate
from nodes.evidence.choosing import Known, beside, choose, end_of
from nodes.evidence.cosigned import cosignatures_of, witness_keys
from nodes.evidence.model import CheckpointEvidence, LatticeCosignature, Renewal, Stamp
from nodes.policies import root_policy_name
from schemas.errors import FormatError
from schemas.leaves import read_leaf
from schemas.limits import Limits
from schemas.moments import DAY, Instant
from schemas.records import RenewalRow, TimestampRow
from signing.algorithms import TREE, AlgorithmPolicy
from signing.notes import check_order, read_origin
from signing.timestamps import TokenFacts, load_roots, verify_token
from store.errors import StoreFault
from store.reading import Reading

STAMPS_EVERY_US = 10 * DAY
"""Of later time-stamps one for each authority and so much time is looked at: enough to renew."""


class Vouching(msgspec.Struct, frozen=True):
    """What vouches for the journal, its proofs still to be made."""

    checkpoints: list[CheckpointEvidence]
    renewals: list[Renewal]

    @property
    def moments(self) -> list[Instant]:
        """When something was signed, cosigned or stamped."""
        stamps = [stamp for each in self.checkpoints for stamp in each.stamps]
        stamps += [each.stamp for each in self.renewals]
        cosigned = [at for each in self.checkpoints for at in each.cosigned]
        objects = [
            witness.at
            for each in self.checkpoints
            for witness in each.witnesses
            if isinstance(witness, LatticeCosignature)
        ]
        signed = [each.at for each in self.checkpoints]
        return [*signed, *cosigned, *objects, *(stamp.gen_time for stamp in stamps)]


class _Token(msgspec.Struct, frozen=True):
    row: TimestampRow | RenewalRow
    facts: TokenFacts
    known: Known


class JournalGatherer:
    """Reads the record's own words about its journal."""

    def __init__(
        self,
        desk: Reading,
        certificates: Mapping[str, bytes],
        policy: AlgorithmPolicy,
        now: Instant,
    ) -> None:
        """Use the certificates of the record, by fingerprint, and the policy in force."""
        self._desk = desk
        self._certificates = certificates
        self._policy = policy
        self._now = now
        self._witnesses = witness_keys(certificates.values())

    async def gather(self, firsts: Sequence[int]) -> Vouching:
        """Return what vouches for some leaves: the first of each frame, and the last of all."""
        tokens = await self._tokens(firsts) if firsts else {}
        found = [token.known for token in tokens.values()]
        chosen = choose(firsts, found, self._now, self._policy.end_of(TREE))
        wanted = {each.sha256 for each in [*chosen, *beside(chosen, found, self._now)]}
        stamps = [token for sha256, token in tokens.items() if sha256 in wanted]
        renewing = [each for each in stamps if isinstance(each.row, RenewalRow)]
        plain = [each for each in stamps if isinstance(each.row, TimestampRow)]
        renewed = max((each.row.size for each in renewing), default=None)
        last_leaf = max(firsts, default=0)
        sizes = await self._sizes({each.row.size for each in plain}, last_leaf, renewed)
        signed = await self._desk.checkpoints_at(sorted(sizes))
        return Vouching(
            [await self._checkpoint(size, *signed[size], plain) for size in sorted(signed)],
            [self._renewal(each) for each in sorted(renewing, key=lambda each: each.row.gen_time)],
        )

    # --- checkpoints ------------------------------------------------------------------------

    async def _sizes(
        self, stamped: Collection[int], last_leaf: int, renewed: int | None
    ) -> set[int]:
        """Return the checkpoints to show: those, the newest cosigned, and the newest if needed.

        Not the newest cosigned where the second log, of `renewed` leaves, ends before it: once the
        tree's hash has ended nothing proves what lies between.
        """
        cosigned = await self._newest_cosigned()
        is_shown = cosigned and (renewed is None or cosigned <= renewed)
        sizes = {*stamped, *([cosigned] if is_shown else [])}
        newest = await self._desk.last_checkpoint()
        if newest is not None and max(sizes, default=0) <= last_leaf:
            sizes.add(newest[0])
        return sizes

    async def _newest_cosigned(self) -> int:
        """Return the newest cosigned size, of an epoch of before where this one has none yet."""
        for epoch in range(self._desk.epoch, 0, -1):
            size = await self._desk.newest_cosigned(epoch)
            if size:
                return size
        return 0

    async def _checkpoint(
        self, size: int, at: Instant, note: str, tokens: Sequence[_Token]
    ) -> CheckpointEvidence:
        origin = note.partition("\n")[0]
        rows = await self._desk.cosignatures(read_origin(origin)[1], size)
        lines = dict.fromkeys(line for row in rows for line in row.lines.splitlines(keepends=True))
        cosigned = note + "".join(line for line in lines if line not in note)
        return CheckpointEvidence(
            size=size,
            note=cosigned,
            origin=origin,
            at=at,
            certificate=self._journal_certificate(note, origin),
            proofs={},
            witnesses=cosignatures_of(cosigned, rows, self._witnesses, self._certificates),
            stamps=[_stamp(each) for each in tokens if each.row.size == size],
        )

    def _journal_certificate(self, note: str, name: str) -> bytes:
        """Return the certificate of the journal key that signed a note. Raises StoreFault."""
        found = find_journal_certificate(note, name, self._certificates.values())
        if found is None:
            raise StoreFault(
                f"the checkpoint of {name} is signed by no journal key whose certificate is in "
                "the record: run `bbaj store verify`"
            )
        return found

    # --- time-stamps ------------------------------------------------------------------------

    async def _tokens(self, firsts: Sequence[int]) -> dict[bytes, _Token]:
        """Return the time-stamps worth looking at that hold, by the SHA-256 of the token."""
        rows: list[TimestampRow | RenewalRow] = [
            *await self._desk.stamps_over(firsts, STAMPS_EVERY_US),
            *await self._desk.renewals_over(firsts, STAMPS_EVERY_US),
        ]
        roots = await self._roots({row.authority for row in rows})
        leaves = await self._desk.binding_leaves([row.sha256.hex() for row in rows])
        at = {read_leaf(leaf.record).get("sha256"): leaf.index for leaf in leaves}
        return {
            row.sha256: _Token(row, facts, self._known(row, facts, at.get(row.sha256.hex())))
            for row in rows
            if (facts := _facts(row, roots.get(row.authority, []))) is not None
        }

    async def _roots(self, authorities: Collection[str]) -> dict[str, list[bytes]]:
        """Return the roots told of each authority, as PEM, the newest first."""
        found: dict[str, list[bytes]] = {}
        names = {root_policy_name(each): each for each in authorities}
        for policy in reversed(await self._desk.policies()):
            if policy.name in names:
                found.setdefault(names[policy.name], []).append(policy.content)
        return found

    def _known(self, row: TimestampRow | RenewalRow, facts: TokenFacts, leaf: int | None) -> Known:
        return Known(
            sha256=row.sha256,
            size=row.size,
            gen_time=row.gen_time,
            ends=end_of(facts, self._policy),
            leaf=leaf,
            second_log=isinstance(row, RenewalRow),
        )

    def _renewal(self, token: _Token) -> Renewal:
        note = token.row.note
        name = note.partition("\n")[0]
        return Renewal(
            note=note,
            origin=name,
            size=token.row.size,
            certificate=self._journal_certificate(note, name),
            stamp=_stamp(token),
            proofs={},
        )


def _facts(row: TimestampRow | RenewalRow, roots: Sequence[bytes]) -> TokenFacts | None:
    """Return what a token says where it holds by stock means, under some root told of.

    One that contradicts a cosignature in its note proves nothing to a reader.
    """
    for pem in roots:
        try:
            facts = verify_token(row.token, row.note.encode(), load_roots(pem))
            check_order(row.note, facts.gen_time, Limits().time_window_ahead_us)
        except FormatError:
            continue
        return facts if facts.supported else None
    return None


def _stamp(token: _Token) -> Stamp:
    assert token.facts.root is not None, "a token that holds has a chain to a root"
    return Stamp(
        note=token.row.note,
        token=token.row.token,
        authority=token.row.authority,
        gen_time=token.row.gen_time,
        chain=list(token.facts.certificates),
        root=token.facts.root,
    )
