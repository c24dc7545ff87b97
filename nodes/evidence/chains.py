"""Chain folders: what a certificate is judged by at a moment (protocol clause 20.3)."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nodes.evidence.draft import Draft, crl_pem, line, pem
from nodes.evidence.model import IssuingProof, Trust
from nodes.evidence.notes import own_signature, signed_text
from nodes.evidence.reading import inside
from nodes.said import Said
from schemas.errors import FormatError
from schemas.moments import SECOND, Instant, from_datetime
from signing.certificates import is_authority, is_issued_by, parse_certificate
from signing.crl import Crl, parse_crl, read_crl
from signing.proofs import LeafProof, proof_text

ISSUED_JOURNAL = "issued_journal"


class Chain(msgspec.Struct, frozen=True):
    """What a certificate is judged by: its authority, the root's and the authority's lists."""

    authority: bytes
    crls: list[bytes]
    """Of the root, then of the authority: in force at the moment, or the nearest."""
    after: list[bytes]
    """The first one of each that came later, where there is one."""
    fault: str = ""
    """Why it does not hold at the moment; empty where all of it was in force."""


class _List(msgspec.Struct, frozen=True):
    """A revocation list, parsed and not checked yet."""

    since: Instant
    parsed: x509.CertificateRevocationList
    der: bytes


class Chains:
    """The certificates and lists of a record, looked through once."""

    def __init__(self, trust: Trust) -> None:
        """Sort what there is by issuer; what cannot be read is passed over."""
        self.trust = trust
        self._root = x509.load_der_x509_certificate(trust.root)
        self._authorities: defaultdict[x509.Name, list[x509.Certificate]] = defaultdict(list)
        for der in trust.certificates.values():
            found = parse_certificate(der)
            if found is not None and is_authority(found):
                self._authorities[found.subject].append(found)
        self._lists: defaultdict[x509.Name, list[_List]] = defaultdict(list)
        for der in trust.crls:
            self._sort_in(der)
        for lists in self._lists.values():
            lists.sort(key=lambda each: each.since)

    def _sort_in(self, der: bytes) -> None:
        try:
            parsed = parse_crl(der)
        except FormatError:
            return
        self._lists[parsed.issuer].append(_List(from_datetime(parsed.last_update_utc), parsed, der))

    def find(self, certificate: bytes, moment: Instant) -> Chain | str:
        """Return what a certificate is judged by at a moment, or what is missing for it."""
        at = moment // SECOND * SECOND
        signer = x509.load_der_x509_certificate(certificate)
        authority = self._authority_of(signer, at)
        if authority is None:
            return "the authority's certificate is not in the record"
        own, above = self._nearest(authority, at), self._nearest(self._root, at)
        if own is None or above is None:
            whose = "the authority" if own is None else "the root"
            return f"no revocation list of {whose} is in the record"
        following = (self._next(issuer, at) for issuer in (self._root, authority))
        return Chain(
            authority=authority.public_bytes(Encoding.DER),
            crls=[above.der, own.der],
            after=[each.der for each in following if each is not None],
            fault=_fault_at(at, (signer, authority, self._root), above, own),
        )

    def _authority_of(self, signer: x509.Certificate, at: Instant) -> x509.Certificate | None:
        """Return the authority that issued a certificate: of several, the one in force longest."""
        issued = [each for each in self._authorities[signer.issuer] if is_issued_by(signer, each)]
        return max(
            issued, key=lambda each: (_lives(each, at), each.not_valid_after_utc), default=None
        )

    def _nearest(self, issuer: x509.Certificate, at: Instant) -> Crl | None:
        """Return the issuer's list of a moment, else the last one before it, else the next."""
        lists = self._lists[issuer.subject]
        before = _read([each for each in lists if each.since <= at][::-1], issuer)
        return before or self._next(issuer, at)

    def _next(self, issuer: x509.Certificate, at: Instant) -> Crl | None:
        """Return the issuer's first list after a moment."""
        return _read([each for each in self._lists[issuer.subject] if each.since > at], issuer)


def add_chain(
    draft: Draft, chains: Chains, folder: str, certificate: bytes, moment: Instant
) -> bytes | None:
    """Add a chain folder; return the authority's certificate, None where it is not at hand."""
    draft.put(folder, "signer.pem", pem(certificate))
    draft.put(folder, "attime.txt", line(moment // SECOND))
    draft.bind(certificate)
    chain = chains.find(certificate, moment)
    if isinstance(chain, str):
        draft.note(folder, chain)
        return None
    if chain.fault:
        draft.note(folder, chain.fault)
    draft.bind(chain.authority, *chain.crls, *chain.after)
    draft.put(folder, "authority.pem", pem(chain.authority))
    lists = b"".join(map(crl_pem, chain.crls))
    draft.put(folder, "roots_and_crls.pem", pem(chains.trust.root) + lists)
    if chain.after:
        draft.put(folder, "crls_after.pem", b"".join(map(crl_pem, chain.after)))
    return chain.authority


def add_issuing(draft: Draft, chains: Chains, folder: str, fingerprint: str) -> None:
    """Add the proof that the certificate of a chain folder stands in its authority's log."""
    found = chains.trust.issued.get(fingerprint)
    if found is None:
        draft.note(folder, Said("proof.missing.issued"))
        return
    draft.put(folder, "issued.der", chains.trust.certificates[fingerprint])
    proof = proof_text(LeafProof(found.index, found.proof, found.note))
    draft.put(folder, "issued.proof", proof.encode())
    _add_log_head(draft, chains, inside(folder, ISSUED_JOURNAL), found)


def _add_log_head(draft: Draft, chains: Chains, folder: str, found: IssuingProof) -> None:
    name = found.note.partition("\n")[0]
    draft.put(folder, "signed.txt", signed_text(found.note))
    draft.put(folder, "signature.bin", own_signature(found.note, name))
    add_chain(draft, chains, folder, found.certificate, found.at)


def _read(lists: Iterable[_List], issuer: x509.Certificate) -> Crl | None:
    """Return the first of some lists that the issuer has really signed."""
    for each in lists:
        try:
            return read_crl(each.parsed, issuer, each.der)
        except FormatError:
            continue
    return None


def _fault_at(at: Instant, certificates: Iterable[x509.Certificate], *lists: Crl) -> str:
    """Say why a chain does not hold at a moment, as far as dates go."""
    if not all(_lives(each, at) for each in certificates):
        return "a certificate of the chain was not in force at the moment judged"
    if not all(each.this_update <= at < each.next_update for each in lists):
        return "no revocation list in force at the moment judged is at hand: the nearest one is"
    return ""


def _lives(certificate: x509.Certificate, at: Instant) -> bool:
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return from_datetime(since) <= at <= from_datetime(until)
