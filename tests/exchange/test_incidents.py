"""What an operator must look at, and nothing else comes of: over real records, a link in memory.

kz.akmola (no authority on line) ── kz.akmola.burabay, which asks for certificates of its school
"""

import asyncio
import hashlib
import itertools
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from exchange import authority, dialogue
from exchange.gate import JudgedEntry
from exchange.jobs import Introduced
from exchange.signing_desk import body_of
from harness.drafts import draft, head_of
from harness.pki import DISTRICT, OBLAST, SCHOOL, make_network
from harness.service_node import Node, new_link, new_record
from nodes.clock import now
from schemas.answers import RECEIPT
from schemas.objects import pack_pieces
from schemas.reasons import Reason
from schemas.statements import Grant
from signing.authenticate import Refused
from signing.authority import Revoked, der_of, issue_crl, issue_node, make_request
from signing.chain import Untrusted
from signing.keys import fingerprint
from signing.profiles import Purpose
from signing.seal import sign_object

TOP, OTHER = "kz", f"{DISTRICT}.school-8"
PATIENCE_S = 30.0

_numbers = itertools.count()


@asynccontextmanager
async def living(server, folder, *, on_line=False):
    """Run oblast and district, the oblast's authority on line or not."""
    network, nodes = make_network([TOP, OBLAST, DISTRICT, SCHOOL], now()), {}
    for address in (OBLAST, DISTRICT):
        name = f"incidents_{next(_numbers)}"
        record = await new_record(server, name, address)
        nodes[address] = Node(address, network, folder / name, record)
    if on_line:
        nodes[OBLAST].authority = network.authorities[OBLAST]
    link = new_link(DISTRICT)
    async with nodes[OBLAST].live(link), nodes[DISTRICT].live(link):
        yield SimpleNamespace(network=network, oblast=nodes[OBLAST], district=nodes[DISTRICT])


@pytest.fixture(scope="module")
async def pair(server, tmp_path_factory):
    async with living(server, tmp_path_factory.mktemp("pair")) as pair:
        yield pair


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await condition()):  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.02)
        return found


async def incidents(node, kind):
    """Return neighbour and detail of a node's incidents of a kind, oldest first."""
    query = "SELECT neighbour, detail FROM incident WHERE kind = $1 ORDER BY happened"
    return [tuple(row) for row in await node.archive._rows(query, kind)]


async def in_batch(node, act):
    """Do something in the next sweep of a running node; return what it returns, once committed."""
    done = asyncio.get_running_loop().create_future()
    sweep = node.service.parts.instructions.sweep

    async def once(batch):
        node.service.parts.instructions.sweep = sweep
        found = await act(batch)
        batch.after_commit(lambda: done.set_result(found))
        await sweep(batch)

    node.service.parts.instructions.sweep = once
    async with asyncio.timeout(PATIENCE_S):
        return await done


def request_for(key, address=SCHOOL):
    pem = make_request(key, address, Purpose.PACKET)
    return x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)


async def ask(node, pieces):
    """Ask for certificates of the school; return the request's SHA-256."""

    async def begin(batch):
        return node.service.parts.requests.ask(SCHOOL, "join", pieces, batch)

    return await in_batch(node, begin)


# ------------------------------------------------------------------ asking for certificates


async def test_asking_where_no_authority_is_on_line_is_raised_and_waits(pair):
    """The node that is asked has no key to give any; who asked goes on asking."""
    asked = await ask(pair.district, [request_for(ec.generate_private_key(ec.SECP256R1()))])
    (neighbour, detail), *_ = await until(lambda: incidents(pair.oblast, "authority_off_line"))
    assert neighbour == DISTRICT
    assert detail == f"{DISTRICT} asks here for certificates: no authority is on line"
    assert asked in pair.district.service.parts.requests._waiting
    assert await pair.oblast.archive.grant(asked) is None


class Answerer:
    """Makes the authority's answer to one request, right but for what a test changes."""

    def __init__(self, pair, key, asked):
        self.network, self.key, self.asked = pair.network, key, asked

    def certificate(self, key=None, address=SCHOOL):
        issuer = self.network.authorities[OBLAST]
        public = (key or self.key).public_key()
        return der_of(issue_node(issuer, address, Purpose.PACKET, public, now()))

    def grant(self, pieces, by=OBLAST, outcome="granted", subject=SCHOOL, behind=b""):
        signer = self.network.nodes[by].packet
        body = pack_pieces(pieces) + behind
        header = Grant(
            from_=by,
            to=DISTRICT,
            epoch=1,
            number=now(),
            certificate=signer.fingerprint,
            subject=subject,
            request=self.asked.hex(),
            outcome=outcome,
            body=body_of(body),
        )
        return sign_object(header, signer, body)


BAD_GRANTS = {
    "a certificate for another key": lambda one: one.grant(
        [one.certificate(ec.generate_private_key(ec.SECP256R1()))]
    ),
    "a certificate that names another": lambda one: one.grant([one.certificate(address=OTHER)]),
    "0 certificates for 1 requests": lambda one: one.grant([]),
    "2 certificates for 1 requests": lambda one: one.grant([one.certificate()] * 2),
    "certificates where none were due": lambda one: one.grant(
        [one.certificate()], outcome="refused"
    ),
    "3 bytes behind the last certificate": lambda one: one.grant(
        [one.certificate()], behind=b"and"
    ),
    "it is not from whom was asked": lambda one: one.grant([one.certificate()], by=TOP),
    "or about another": lambda one: one.grant([one.certificate()], subject=OTHER),
}


@pytest.mark.parametrize("why", BAD_GRANTS)
async def test_an_answer_that_does_not_fit_is_raised_and_the_request_waits(pair, why):
    """Nothing of it is taken; the right answer still counts when it comes."""
    key, requests = ec.generate_private_key(ec.SECP256R1()), pair.district.service.parts.requests
    asked = await ask(pair.district, [request_for(key)])
    answerer = Answerer(pair, key, asked)
    told = len(await incidents(pair.district, "grant_refused"))
    link = pair.oblast.service.state.links[DISTRICT]
    signers = [pair.network.nodes[each].packet.fingerprint for each in (TOP, OBLAST)]
    link.send_statement(BAD_GRANTS[why](answerer), *signers)

    async def raised():
        return (await incidents(pair.district, "grant_refused"))[told:]

    [(_, detail)] = await until(raised)
    assert why in detail
    assert asked in requests._waiting
    assert await pair.district.archive.grant(asked) is None
    good = answerer.certificate()
    link.send_statement(answerer.grant([good]), *signers)
    grant = await until(lambda: pair.district.archive.grant(asked))
    assert (grant.outcome, asked in requests._waiting) == ("granted", False)
    assert pair.district.service.state.gate.trust.ders_for(fingerprint(good))


async def test_past_the_quota_of_requests_nothing_is_answered(server, tmp_path, monkeypatch):
    """A node that asks too often is told of once; what it asks beyond that waits."""
    monkeypatch.setattr(authority, "REQUESTS_PER_HOUR", 3)
    async with living(server, tmp_path, on_line=True) as pair:
        for _ in range(3):
            asked = await ask(pair.district, [])
            await until(lambda asked=asked: pair.district.archive.grant(asked))
        beyond = [await ask(pair.district, []) for _ in range(3)]
        [(neighbour, detail)] = await until(lambda: incidents(pair.oblast, "requests_limited"))
        await asyncio.sleep(1)
        assert (neighbour, "more than 3 requests" in detail) == (DISTRICT, True)
        assert [await pair.oblast.archive.grant(each) for each in beyond] == [None] * 3
        assert len(await incidents(pair.oblast, "requests_limited")) == 1


async def test_messages_that_prove_nothing_open_so_many_incidents_an_hour(
    server, tmp_path, monkeypatch
):
    """Past that one incident tells of the rest; each is kept in quarantine all the same."""
    monkeypatch.setattr(dialogue, "UNREADABLE_PER_HOUR", 3)
    async with living(server, tmp_path) as pair:
        service = pair.oblast.service

        async def hear(batch):
            for number in range(6):
                link, raw = service.state.links[DISTRICT], b"%d" % number
                service.parts.dialogue.keep_evidence(link, raw, "nonsense", batch)

        await in_batch(pair.oblast, hear)
        told = [(DISTRICT, "nonsense")] * 3
        assert await incidents(pair.oblast, "message_unreadable") == told
        [(_, detail)] = await incidents(pair.oblast, "messages_limited")
        assert detail == "more than 3 within an hour: the rest lies in quarantine"
        kept = "SELECT count(*) FROM quarantine WHERE neighbour = $1 AND kept"
        assert await pair.oblast.archive._value(kept, DISTRICT) == 6


# ------------------------------------------------------------------ lists, answers, dead letters


async def test_a_list_that_drops_entries_is_raised_and_they_stay_revoked(pair):
    """A newer list counts; what the one before revoked is not taken back."""
    issuer, service = pair.network.authorities[OBLAST], pair.district.service
    victim = pair.network.nodes[SCHOOL].packet.certificate
    serial = x509.load_der_x509_certificate(victim).serial_number
    number = pair.network.current_number + 10
    revoking = issue_crl(issuer, [Revoked(serial, now())], number, now())
    dropping = issue_crl(issuer, [], number + 1, now())
    for der in (revoking, dropping):
        await service.submit(Introduced([], [der], []))
    [(_, detail), *_] = await until(lambda: incidents(pair.district, "crl_entries_dropped"))
    assert detail == f"CRL {number + 1} drops 1 entries: they stay revoked"
    trust, limits = service.state.gate.trust, service.state.rules.limits
    assert trust.crl_of(issuer.certificate).number == number + 1
    standing = trust.judge(fingerprint(victim), SCHOOL, Purpose.PACKET, now(), now(), limits)
    assert isinstance(standing, Untrusted)
    assert standing.reason == Reason.KEY_REVOKED


async def test_an_answer_that_has_no_way_back_is_raised(pair):
    """Who sent is below us and has no link any more: nothing is sealed for it."""
    header = draft(from_=f"{OBLAST}.nowhere", to=OBLAST)
    raw = head_of(header)
    digest = hashlib.sha256(raw).digest()
    refused = Refused(Reason.EXPIRED, "", raw, digest, None, proven=True)
    answering = pair.oblast.service.state.effects.answering

    async def answer(batch):
        packet = await answering.send_receipt(
            header,
            JudgedEntry(raw, digest, refused),
            batch,
            verdict="refused",
            reason=Reason.EXPIRED,
        )
        return packet, batch.changes.packets, batch.changes.entries

    assert await in_batch(pair.oblast, answer) == (None, [], [])
    assert await incidents(pair.oblast, "no_way_back") == [
        (header.from_, f"{RECEIPT} to {header.from_}")
    ]


async def test_what_the_broker_gave_up_on_is_kept(pair):
    """A dead letter lies in quarantine, and the operator is told where it died."""
    body = b"what nobody could take"
    await pair.oblast.service.keep_dead_letter(body, "{'x-death': 'delivery-limit'}")
    assert await incidents(pair.oblast, "dead_letter") == [
        (OBLAST, "{'x-death': 'delivery-limit'}")
    ]
    [row] = await pair.oblast.archive._rows(
        "SELECT state, kept FROM quarantine WHERE sha256 = $1", hashlib.sha256(body).digest()
    )
    assert tuple(row) == ("incident", True)
