"""Authorities on line: answers, revocations, CRLs, and the public logs; over links in memory.

kz ── kz.akmola ── kz.akmola.burabay ── kz.akmola.burabay.school-7

The oblast's authority stands on line at its node; the republic's as well where a test wants it.
"""

import asyncio
import hashlib
import itertools
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from exchange.alarms import ALARMS_PER_HOUR
from exchange.signing_desk import body_of
from harness.cards import make_card
from harness.pki import DISTRICT, OBLAST, SCHOOL, make_network
from harness.service_node import Node, new_link, new_record
from nodes import clock
from schemas import wire
from schemas.issued import is_certificate, log_origin, read_crl_entry
from schemas.leaves import read_leaf
from schemas.moments import DAY
from schemas.objects import Ask, Issued, cut_object, pack_pieces, unpack_pieces
from schemas.statements import Alarm, Request, Revocation
from signing.authority import der_of, issue_node, make_request
from signing.chain import Trusted, Untrusted
from signing.keys import PacketSigner, fingerprint
from signing.notes import read_checkpoint, sign_checkpoint
from signing.profiles import Purpose
from signing.seal import sign_object
from store.merkle import leaf_hash, root_of
from store.packing import unpack

TOP = "kz"
WAY = (TOP, OBLAST, DISTRICT, SCHOOL)
NEW = "kz.akmola.burabay.school-9"
PATIENCE_S = 60.0

_numbers = itertools.count()


class Moved:
    """The clock, moved."""

    def __init__(self) -> None:
        self.by_us = 0

    def __call__(self) -> int:
        return clock.now() + self.by_us


class Country:
    """Four nodes in a row, each with its record."""

    def __init__(self, network, nodes, moved, names):
        self.network, self.nodes, self.moved, self.names = network, nodes, moved, names
        self.links = {child: new_link(child) for child in WAY[1:]}
        self.own = {address: network.nodes[address] for address in WAY}

    def __getitem__(self, address):
        return self.nodes[address]

    @asynccontextmanager
    async def running(self, *addresses):
        """Run nodes, all of them where none is named."""
        async with AsyncExitStack() as stack:
            for address in addresses or WAY:
                place = WAY.index(address)
                links = [self.links[each] for each in WAY[place : place + 2] if each != TOP]
                await stack.enter_async_context(self.nodes[address].live(*links))
            yield

    async def logged(self, address, authority=OBLAST):
        """Return the entries of a log as a node holds it."""
        return [row.entry for row in await self[address].archive.issued(authority, 0, 10_000)]

    async def size(self, address, authority=OBLAST):
        return len(await self.logged(address, authority))

    async def issued_since(self):
        """Return what the oblast has given beyond the certificates that it began with."""
        rows = await self[OBLAST].archive.certified()
        before = {hashlib.sha256(der).digest() for der in self.network.certificates}
        return [row for row in rows if row.sha256 not in before]

    async def signed(self, address):
        """Return what an authority has signed by its node's record: heads, certificates, grants."""
        query = """
            SELECT note FROM issued_head UNION SELECT encode(sha256, 'hex') FROM certified
            UNION SELECT encode(object, 'hex') FROM request_grant
        """
        return {row["note"] for row in await self[address].archive._rows(query)}

    async def details(self, address, kind):
        query = "SELECT detail FROM incident WHERE kind = $1 ORDER BY place"
        return [row["detail"] for row in await self[address].archive._rows(query, kind)]

    async def leaves(self, address):
        rows = await self[address].archive._rows("SELECT record FROM leaf ORDER BY index")
        return [read_leaf(unpack(row["record"])) for row in rows]

    def crl(self, address):
        """Return the oblast's list as a running node has it."""
        trust = self[address].service.state.gate.trust
        return trust.crl_of(self.network.authorities[OBLAST].certificate)

    async def newer_crl(self, address, before):
        return self.crl(address).number > before.number

    async def has_logged(self, ders):
        return set(ders) <= set(await self.logged(OBLAST))

    async def knows(self, address, name):
        return bool(self[address].service.state.gate.trust.ders_for(name))

    async def until_logged(self, der, address):
        async def look():
            return der in await self.logged(address)

        await until(look)

    async def until_size(self, address, size):
        async def look():
            return await self.size(address) >= size

        await until(look)

    async def until_incident(self, address, kind):
        async def look():
            return kind in self[address].eyes.incidents

        await until(look)

    async def settled(self):
        """Wait until all nodes have greeted, hold the oblast's log, and a few sweeps are over."""
        for address in WAY:
            await until(self[address].service.state.greeted.wait)
        for address in WAY:
            await self.until_size(address, max(1, await self.size(OBLAST)))
        await asyncio.sleep(0.5)

    def mint(self, address):
        """Make a certificate as a thief of the oblast's key would; return it and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.network.authorities[OBLAST]
        made = issue_node(issuer, address, Purpose.PACKET, key.public_key(), clock.now())
        return der_of(made), key

    def vouch(self, address, **changes):
        """Let every node begin with another card of an address."""
        for node in self.nodes.values():
            node.cards = [*node.cards, make_card(self.network, address, 2, **changes)]
            node.cards.sort(key=lambda raw: cut_object(raw).header.number, reverse=True)
            seen = set()
            node.cards = [
                raw
                for raw in node.cards
                if (to := cut_object(raw).header.to) not in seen and not seen.add(to)
            ]

    def hear(self, address):
        """Return a list that gets each object with its bytes as a running node takes them."""
        heard = []
        dialogue = self[address].service.parts.dialogue
        take = dialogue.take_object

        async def listen(opened, link, batch):
            heard.append((opened.header, opened.raw))
            await take(opened, link, batch)

        dialogue.take_object = listen
        return heard


async def until(condition, what=""):
    """Wait until something is so; the record tells no events."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return found


@pytest.fixture
def moved():
    return Moved()


@pytest.fixture
async def country(server, moved, tmp_path):
    network = make_network(WAY, clock.now())
    nodes, names = {}, {}
    for address in WAY:
        names[address] = name = f"issuing_{next(_numbers)}"
        record = await new_record(server, name, address)
        nodes[address] = Node(address, network, tmp_path / name, record)
        nodes[address].clock = moved
    nodes[OBLAST].authority = network.authorities[OBLAST]
    return Country(network, nodes, moved, names)


def csr(key, address, purpose) -> bytes:
    pem = make_request(key, address, purpose)
    return x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)


def new_keys():
    """Return new keys of a machine, by purpose."""
    return {
        Purpose.PACKET: ec.generate_private_key(ec.SECP256R1()),
        Purpose.JOURNAL: ed25519.Ed25519PrivateKey.generate(),
        Purpose.LINK: ec.generate_private_key(ec.SECP256R1()),
    }


def requests_for(address, keys):
    return [csr(key, address, purpose) for purpose, key in keys.items()]


class Asker:
    """Lets a running node ask, in a batch of its own, and keeps what comes."""

    def __init__(self, node):
        self.node = node
        self.granted = {}
        requests = node.service.parts.requests
        for what in ("join", "enrol", "renew", "revoke"):
            requests.on_grant[what] = self._keep

    async def _keep(self, granted, _batch):
        self.granted[granted.request] = granted

    async def ask(self, subject, what, pieces):
        """Ask, and return the answer once it has come."""
        digest = await self.begin(subject, what, pieces)
        return await until(lambda: self._look(digest))

    async def begin(self, subject, what, pieces):
        return await in_batch(
            self.node,
            lambda batch: self.node.service.parts.requests.ask(subject, what, pieces, batch),
        )

    async def _look(self, digest):
        return self.granted.get(digest)


async def in_batch(node, act):
    """Do something in the next sweep of a running node; return what it returns, once committed."""
    done = asyncio.get_running_loop().create_future()
    sweep = node.service.parts.instructions.sweep

    async def once(batch):
        node.service.parts.instructions.sweep = sweep
        found = act(batch)
        if asyncio.iscoroutine(found):
            found = await found
        batch.after_commit(lambda: done.set_result(found))
        await sweep(batch)

    node.service.parts.instructions.sweep = once
    async with asyncio.timeout(PATIENCE_S):
        return await done


def revocation(reason="keyCompromise", sha256=None) -> bytes:
    return wire.encode(Revocation(reason=reason, sha256=sha256))


def make_statement(country, issuer, what, subject, pieces) -> bytes:
    """Return a request that a node has signed, and has not sent."""
    signer = country.own[issuer].packet
    body = pack_pieces(pieces)
    header = Request(
        from_=issuer,
        to=OBLAST,
        epoch=1,
        number=clock.now(),
        certificate=signer.fingerprint,
        subject=subject,
        what=what,
        body=body_of(body),
    )
    return sign_object(header, signer, body)


def stands(node, der, address, purpose=Purpose.PACKET):
    """Return how a running node judges a certificate now."""
    trust = node.service.state.gate.trust
    limits = node.service.state.rules.limits
    at = node.clock()
    return trust.judge(fingerprint(der), address, purpose, at, at, limits)


# ------------------------------------------------------------------ asking and answering


async def test_a_parent_gets_its_childs_certificates_from_the_oblast(country):
    """A district asks for a school; it gets certificates for exactly those keys and that name."""
    keys = new_keys()
    async with country.running():
        granted = await Asker(country[DISTRICT]).ask(NEW, "join", requests_for(NEW, keys))
        parsed = [x509.load_der_x509_certificate(der) for der in granted.certificates]
        assert [each.public_key() for each in parsed] == [key.public_key() for key in keys.values()]
        assert isinstance(stands(country[DISTRICT], granted.certificates[0], NEW), Trusted)
        assert set(granted.certificates) <= set(await country.logged(OBLAST))
        leaves = await country.leaves(OBLAST)
        journaled = {leaf["sha256"] for leaf in leaves if leaf["kind"] == "certificate"}
        assert {fingerprint(der) for der in granted.certificates} <= journaled


async def test_the_same_request_gets_the_same_answer(country):
    """A grant that is lost is sent again when the request comes again; nothing is issued twice."""
    async with country.running():
        asker = Asker(country[DISTRICT])
        await asker.ask(NEW, "join", requests_for(NEW, new_keys()))
        archive = country[OBLAST].archive
        before = await archive.certified(NEW)
        (row,) = await country[DISTRICT].archive.requests_of(NEW, 0)
        link = country[DISTRICT].service.state.links[OBLAST]
        heard = country.hear(DISTRICT)
        link.send_statement(row.object, country.own[DISTRICT].packet.fingerprint)
        again = await until(lambda: heard_grant(heard, row.sha256))
        assert again == (await archive.grant(row.sha256)).object
        assert await archive.certified(NEW) == before


async def heard_grant(heard, request):
    """Return the newest grant on a request among what a node has heard."""
    return next(
        (raw for header, raw in heard if getattr(header, "request", "") == request.hex()), None
    )


async def test_an_invitation_gets_a_certificate_of_a_day(country):
    """The parent's enrolment certificate lives a day, and is no alarm in the parent's own name."""
    name = f"{DISTRICT}.enrolment.two"
    key = ec.generate_private_key(ec.SECP256R1())
    async with country.running():
        asked = [csr(key, name, Purpose.ENROLMENT)]
        granted = await Asker(country[DISTRICT]).ask(name, "enrol", asked)
        (parsed,) = (x509.load_der_x509_certificate(der) for der in granted.certificates)
        life = parsed.not_valid_after_utc - parsed.not_valid_before_utc
        assert life.total_seconds() == 86_400 + 300
        await country.until_logged(granted.certificates[0], DISTRICT)
        assert "certificate_unasked" not in country[DISTRICT].eyes.incidents


MAY_NOT = [
    (SCHOOL, NEW, "join"),
    (DISTRICT, SCHOOL, "renew"),
    (DISTRICT, "kz.akmola.stepnogorsk.school-1", "join"),
    (SCHOOL, DISTRICT, "revoke"),
    (DISTRICT, "kz.abai.semey", "join"),
    (SCHOOL, f"{DISTRICT}.enrolment.two", "enrol"),
    (DISTRICT, f"{DISTRICT}.enrolment", "join"),
]


async def test_who_may_not_ask_is_refused(country):
    """Only the parent asks for a child, only a node for itself: the oblast's operator sees it."""
    async with country.running():
        for number, (issuer, subject, what) in enumerate(MAY_NOT, 1):
            country[issuer].service.parts.requests._authority_for = lambda _subject: OBLAST
            pieces = revocation() if what == "revoke" else requests_for(subject, new_keys())
            granted = await Asker(country[issuer]).ask(subject, what, pieces)
            assert (granted.certificates, granted.detail != "") == ([], True), (issuer, what)
            assert country[OBLAST].eyes.incidents.count("request_refused") == number
        assert await country.issued_since() == []


def same_purpose(keys):
    return [requests_for(NEW, keys)[0]] * 3


def same_key(keys):
    purposes = (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK)
    return [csr(keys[Purpose.PACKET], NEW, purpose) for purpose in purposes]


BAD = [
    (lambda keys: requests_for(NEW, keys)[:2], "missing"),
    (same_purpose, "one purpose"),
    (lambda keys: [*requests_for(NEW, keys)[:2], b"junk"], "cannot be read"),
    (lambda _keys: [], "certificate requests"),
    (lambda keys: [csr(keys[Purpose.PACKET], NEW, Purpose.ENROLMENT)], "is given to join"),
    (same_key, "share a key"),
]


async def test_bad_certificate_requests_are_refused(country):
    """What is no proof of fitting keys gets a grant that says so, and no certificate."""
    async with country.running():
        for bad, why in BAD:
            granted = await Asker(country[DISTRICT]).ask(NEW, "join", bad(new_keys()))
            assert granted.certificates == []
            assert why in granted.detail
        assert await country.issued_since() == []


async def test_a_request_over_a_foreign_link_goes_no_further(country):
    """A child that brings its parent's own request up is not believed; the parent sees it."""
    async with country.running():
        raw = make_statement(country, DISTRICT, "join", NEW, requests_for(NEW, new_keys()))
        link = country[SCHOOL].service.state.links[DISTRICT]
        link.send_statement(raw, country.own[DISTRICT].packet.fingerprint)
        await country.until_incident(DISTRICT, "statement_misrouted")
        assert await country[OBLAST].archive.certified(NEW) == []


async def test_a_request_of_a_suspended_node_goes_no_further(country):
    """Who is not in active standing cannot have its certificates renewed through its parent."""
    country.vouch(SCHOOL, standing="suspended")
    async with country.running():
        raw = make_statement(country, SCHOOL, "renew", SCHOOL, requests_for(SCHOOL, new_keys()))
        link = country[SCHOOL].service.state.links[DISTRICT]
        link.send_statement(raw, country.own[SCHOOL].packet.fingerprint)
        await country.until_incident(DISTRICT, "statement_misrouted")
        assert await country[OBLAST].archive.request(hashlib.sha256(raw).digest()) is None


async def test_a_request_is_asked_again_after_a_crash(country):
    """A node that ends before its answer has come asks again by its record when it is back."""
    async with country.running(DISTRICT):
        asker = Asker(country[DISTRICT])
        digest = await asker.begin(NEW, "join", requests_for(NEW, new_keys()))
        assert country[DISTRICT].service.parts.requests.is_pending(NEW, "join")
    async with country.running():
        grant = await until(lambda: country[DISTRICT].archive.grant(digest))
        assert grant.outcome == "granted"
        assert not country[DISTRICT].service.parts.requests.is_pending(NEW, "join")


# ------------------------------------------------------------------ renewing


async def test_a_second_renewal_with_other_keys_is_refused(country):
    """Under one old key each purpose is renewed once; the same keys again get the same again."""
    keys, others = new_keys(), new_keys()
    async with country.running():
        asker = Asker(country[SCHOOL])
        first = await asker.ask(SCHOOL, "renew", requests_for(SCHOOL, keys))
        assert len(first.certificates) == 3
        again = await asker.ask(SCHOOL, "renew", requests_for(SCHOOL, keys))
        assert again.certificates == first.certificates
        second = await asker.ask(SCHOOL, "renew", requests_for(SCHOOL, others))
        assert second.certificates == []
        assert country[OBLAST].eyes.incidents.count("second_renewal") == 1
        assert "certificate_unasked" not in country[SCHOOL].eyes.incidents


async def test_nothing_is_renewed_under_a_revoked_key(country):
    """A revoked node's request does not count, whoever carries it."""
    async with country.running():
        asker = Asker(country[DISTRICT])
        await asker.ask(SCHOOL, "revoke", revocation())
        raw = make_statement(country, SCHOOL, "renew", SCHOOL, requests_for(SCHOOL, new_keys()))
        country[DISTRICT].service.state.links[OBLAST].send_statement(
            raw, country.own[SCHOOL].packet.fingerprint
        )
        await country.until_incident(OBLAST, "message_unreadable")
        assert await country[OBLAST].archive.request(hashlib.sha256(raw).digest()) is None


# ------------------------------------------------------------------ revoking


async def test_revoking_reaches_everybody_and_what_was_renewed(country):
    """A revoked key takes with it what was renewed under it; every node knows within a round."""
    async with country.running():
        renewed = await Asker(country[SCHOOL]).ask(
            SCHOOL, "renew", requests_for(SCHOOL, new_keys())
        )
        old = country.own[SCHOOL].packet
        asker = Asker(country[DISTRICT])
        await asker.ask(SCHOOL, "revoke", revocation(sha256=old.fingerprint))
        for address in WAY:
            await until(lambda node=country[address]: revoked(node, old.certificate))
            (packet, *_) = map(x509.load_der_x509_certificate, renewed.certificates)
            assert packet.serial_number in country.crl(address).revoked
        journal = country.own[SCHOOL].journal.certificate
        standing = stands(country[OBLAST], journal, SCHOOL, Purpose.JOURNAL)
        assert isinstance(standing, Trusted)


async def revoked(node, der):
    standing = stands(node, der, SCHOOL)
    return isinstance(standing, Untrusted) and standing.reason == "key-revoked"


async def test_a_replaced_machine_ends_the_keys_of_the_one_before(country):
    """A second joining of an address revokes what it had, and nothing else."""
    async with country.running():
        asker = Asker(country[DISTRICT])
        await asker.ask(SCHOOL, "join", requests_for(SCHOOL, new_keys()))
        for der in country.own[SCHOOL].certificates[:1]:
            await until(lambda: revoked(country[TOP], der))  # noqa: B023
        district = country.own[DISTRICT].packet.certificate
        assert isinstance(stands(country[TOP], district, DISTRICT), Trusted)


async def test_a_list_is_signed_daily_and_drops_nothing(country):
    """A day later there is a list with a higher number, and what was revoked is still on it."""
    async with country.running():
        await Asker(country[DISTRICT]).ask(SCHOOL, "revoke", revocation())
        serial = x509.load_der_x509_certificate(
            country.own[SCHOOL].packet.certificate
        ).serial_number
        before = country.crl(OBLAST)
        assert serial in before.revoked
        country.moved.by_us = DAY
        await until(lambda: country.newer_crl(SCHOOL, before))
        after = country.crl(SCHOOL)
        assert after.revoked >= before.revoked
        assert after.next_update > before.next_update
        written = [
            read_crl_entry(each)
            for each in await country.logged(OBLAST)
            if not is_certificate(each)
        ]
        assert [each.number for each in written] == [before.number, after.number]
        assert written[-1].sha256 == hashlib.sha256(after.der).digest()


# ------------------------------------------------------------------ the public logs


async def test_every_node_recomputes_the_log_to_the_same_root(country):
    """All nodes above and below hold the same entries under the same signed head."""
    async with country.running():
        granted = await Asker(country[DISTRICT]).ask(NEW, "join", requests_for(NEW, new_keys()))
        for address in WAY:
            await country.until_logged(granted.certificates[-1], address)
        for address in WAY:
            entries = await country.logged(address)
            head = (await country[address].archive.issued_heads())[OBLAST]
            checkpoint = read_checkpoint(head.note.partition("\n\n")[0] + "\n")
            assert checkpoint.origin == "akmola.kz.bbaj.internal/issuing"
            assert checkpoint.size == len(entries)
            assert checkpoint.root == root_of([leaf_hash(entry) for entry in entries])


async def test_the_log_begins_with_what_was_given_off_line(country):
    """What the authority had given before it went on line stands in its log, once."""
    own = [der for address in WAY[1:] for der in country.own[address].certificates]
    async with country.running(OBLAST):
        await until(lambda: country.has_logged(own))
    async with country.running(OBLAST):
        await until(lambda: country.has_logged(own))
        entries = await country.logged(OBLAST)
        assert len(entries) == len(set(entries))


async def test_who_was_away_gets_what_it_lacks(country):
    """A school that was off for hundreds of entries downloads them page by page."""
    async with country.running(TOP, OBLAST, DISTRICT):
        authority = country[OBLAST].service.parts.issuing.authority
        many = [country.mint(f"{DISTRICT}.school-{number}")[0] for number in range(600)]
        await in_batch(country[OBLAST], lambda batch: authority.log_first(many, batch))
    async with country.running():
        await country.until_logged(many[-1], SCHOOL)
        assert await country.logged(SCHOOL) == await country.logged(OBLAST)


async def test_a_key_minted_behind_a_schools_back_is_found_by_the_school(country):
    """The school finds a certificate in its name that it did not ask for; all above are told."""
    async with country.running():
        minted, _ = country.mint(SCHOOL)
        authority = country[OBLAST].service.parts.issuing.authority
        await in_batch(country[OBLAST], lambda batch: authority.log_first([minted], batch))
        for address in WAY[::-1]:
            await country.until_incident(address, "certificate_unasked")
        (alarm,) = await country[TOP].archive.alarms(0, 10)
        found = cut_object(alarm.object)
        assert (alarm.issuer, alarm.authority) == (SCHOOL, OBLAST)
        assert found.body == minted
    async with country.running():
        await country.settled()
        assert len(await country[TOP].archive.alarms(0, 10)) == 1
        assert country[SCHOOL].eyes.incidents.count("certificate_unasked") == 1


async def test_a_certificate_met_and_not_logged_is_raised_after_the_hold_limit(country):
    """A certificate that its authority hides is found by whoever meets it, once it is late."""
    hidden, key = country.mint(SCHOOL)
    async with country.running():
        await country.settled()
        signer = PacketSigner(key, hidden)
        link = country[SCHOOL].service.state.links[DISTRICT]
        gate = country[SCHOOL].service.state.gate
        gate.trust.add_certificates([hidden])
        link.send_object(gate.make_certificates(DISTRICT, signer.fingerprint, clock.now()))
        await until(lambda: country.knows(DISTRICT, signer.fingerprint))
        await country.settled()
        assert "certificate_unlogged" not in country[DISTRICT].eyes.incidents
        country.moved.by_us = 73 * 3600 * 1_000_000
        for address in (DISTRICT, OBLAST, TOP):
            await country.until_incident(address, "certificate_unlogged")


async def test_two_heads_that_do_not_fit_are_kept_and_raised(country):
    """An authority that shows another log to a district is found out, with both of its heads."""
    async with country.running():
        await country.until_size(DISTRICT, await country.size(OBLAST))
        issuer = country[OBLAST].service.state.gate.issuer
        size = await country.size(OBLAST)
        forged = issuer.sign_head(size, bytes(32))
        logs = country[OBLAST].service.parts.issuing.logs
        log = logs._logs[OBLAST]
        forked = msgspec.structs.replace(log, head=msgspec.structs.replace(log.head, note=forged))
        await in_batch(country[OBLAST], lambda batch: send(country, logs, forked, batch))
        for address in (DISTRICT, OBLAST, TOP):
            await country.until_incident(address, "log_forked")
        (alarm,) = await country[TOP].archive.alarms(0, 10)
        ours, other = unpack_pieces(cut_object(alarm.object).body)[0]
        assert other.decode() == forged
        assert ours.decode() == log.head.note


@pytest.fixture
async def followed(country):
    """Give a running country whose school has the oblast's log: its entries, and how it signs."""
    async with country.running():
        await country.until_size(SCHOOL, await country.size(OBLAST))
        await country.settled()
        yield country, await country.logged(OBLAST), country[OBLAST].service.state.gate.issuer


def bring_to_school(country, issuer, head, entries, first):
    name = issuer.journal.fingerprint
    bring(country, DISTRICT, SCHOOL, OBLAST, name, head, entries, first)


def head_over(issuer, entries):
    return issuer.sign_head(len(entries), root_of([*map(leaf_hash, entries)]))


async def test_false_entries_under_a_true_head_accuse_who_brings_them(followed):
    """A district that makes up entries raises no fork of the oblast's, twice is an incident."""
    country, known, issuer = followed
    true, false = country.mint(SCHOOL)[0], country.mint(SCHOOL)[0]
    head = head_over(issuer, [*known, true])
    bring_to_school(country, issuer, head, [false], len(known))
    await country.settled()
    assert "log_misbrought" not in country[SCHOOL].eyes.incidents
    bring_to_school(country, issuer, head, [*known, false], 0)
    await country.until_incident(SCHOOL, "log_misbrought")
    authority = country[OBLAST].service.parts.issuing.authority
    await in_batch(country[OBLAST], lambda batch: authority.log_first([true], batch))
    await country.until_logged(true, SCHOOL)
    assert "log_forked" not in country[SCHOOL].eyes.incidents


async def test_a_log_that_was_doubted_once_goes_on(followed):
    """True entries that come after false ones count, though all of them are fetched again."""
    country, known, issuer = followed
    true, false = country.mint(SCHOOL)[0], country.mint(SCHOOL)[0]
    bring_to_school(country, issuer, head_over(issuer, [*known, true]), [false], len(known))
    await country.settled()
    authority = country[OBLAST].service.parts.issuing.authority
    await in_batch(country[OBLAST], lambda batch: authority.log_first([true], batch))
    await country.until_logged(true, SCHOOL)
    assert await country.logged(SCHOOL) == [*known, true]
    assert not {"log_forked", "log_misbrought"} & {*country[SCHOOL].eyes.incidents}


async def test_another_log_that_is_whole_is_a_fork(followed):
    """A district may show the school another log that the oblast has signed: it is found out."""
    country, known, issuer = followed
    other = [*known[:-1], country.mint(SCHOOL)[0], country.mint(SCHOOL)[0]]
    head = head_over(issuer, other)
    bring_to_school(country, issuer, head, other[len(known) :], len(known))
    await country.settled()
    assert "log_forked" not in country[SCHOOL].eyes.incidents
    bring_to_school(country, issuer, head, other, 0)
    for address in (SCHOOL, TOP):
        await country.until_incident(address, "log_forked")


def send(country, logs, log, batch):
    link = country[OBLAST].service.state.links[DISTRICT]
    logs._send(log, log.head.size, [], link, batch)


async def test_the_first_certificates_stand_in_the_genesis_file(country):
    """What the root has listed is no alarm; an authority that it has not is raised, once."""
    first, _ = country.mint(SCHOOL)
    listed = {country.network.authorities[OBLAST].der, first}
    country[SCHOOL].first = frozenset(hashlib.sha256(der).digest() for der in listed)
    country.network.authority_for("kz.abai")
    async with country.running():
        authority = country[OBLAST].service.parts.issuing.authority
        await in_batch(country[OBLAST], lambda batch: authority.log_first([first], batch))
        await country.until_logged(first, SCHOOL)
        await country.until_incident(SCHOOL, "authority_unlisted")
        await country.settled()
        kinds = country[SCHOOL].eyes.incidents
        others = set(country.network.authorities) - {OBLAST}
        assert kinds.count("authority_unlisted") == len(others)
        assert "certificate_unasked" not in kinds


async def test_a_log_of_who_is_no_authority_is_not_kept(country):
    """A district that signs a log of its own finds no followers."""
    async with country.running():
        await country.settled()
        district = country[DISTRICT].service
        journal = country.own[DISTRICT].journal
        entry = country.own[DISTRICT].packet.certificate
        head = sign_checkpoint(log_origin(DISTRICT), 1, root_of([leaf_hash(entry)]), journal)
        bring(country, DISTRICT, SCHOOL, DISTRICT, journal.fingerprint, head, [entry])
        await country.settled()
        assert DISTRICT not in await country[SCHOOL].archive.issued_heads()
        assert district.state.gate.issuer is None


async def test_entries_that_are_none_are_not_taken(country):
    """A log with junk in it is an incident at who reads it, and nothing of it is kept."""
    async with country.running():
        await country.settled()
        issuer = country[OBLAST].service.state.gate.issuer
        size = await country.size(DISTRICT)
        head = issuer.sign_head(size + 1, bytes(32))
        name = issuer.journal.fingerprint
        bring(country, OBLAST, DISTRICT, OBLAST, name, head, [b"junk"], size)
        await country.until_incident(DISTRICT, "log_unreadable")
        assert await country.size(DISTRICT) == size


def bring(country, who, whom, authority, journal, head, entries, first=0):
    """Let a node send an object of a log that its service would not."""
    gate = country[who].service.state.gate
    body = pack_pieces([head.encode(), *entries])
    last = first + len(entries)
    header = Issued(
        **gate.stamp(whom, clock.now()),
        authority=authority,
        journal=journal,
        first=first,
        last=last,
        size=last,
        body=body_of(body),
    )
    link = country[who].service.state.links[whom]
    link.send_statement(gate.sign(header, body), journal)


async def test_a_flood_of_alarms_is_cut(country):
    """A child that raises ever new alarms fills neither the record nor the operator's list."""
    async with country.running():
        await country.settled()
        signer = country.own[SCHOOL].packet
        link = country[SCHOOL].service.state.links[DISTRICT]
        for number in range(ALARMS_PER_HOUR + 20):
            body = b"evidence %d" % number
            header = Alarm(
                from_=SCHOOL,
                to=OBLAST,
                epoch=1,
                number=clock.now() + number,
                certificate=signer.fingerprint,
                what="certificate-unlogged",
                detail="",
                body=body_of(body),
            )
            link.send_statement(sign_object(header, signer, body), signer.fingerprint)
        await country.until_incident(DISTRICT, "alarms_limited")
        await country.settled()
        assert len(await country[DISTRICT].archive.alarms(0, 1000)) == ALARMS_PER_HOUR
        assert country[DISTRICT].eyes.incidents.count("alarms_limited") == 1


DAMAGES = {
    "an entry": ("UPDATE issued SET entry = '\\x00' WHERE index = 0", "its newest head says"),
    "the end": ("DELETE FROM issued WHERE index > 0", "its newest head says"),
    "the head": ("UPDATE issued_head SET note = 'no note'", "cannot be read"),
    "no head": ("DELETE FROM issued_head", "behind its newest head, which is of 0"),
}


@pytest.mark.parametrize(
    "what",
    ["an entry", *(pytest.param(each, marks=pytest.mark.slow) for each in [*DAMAGES][1:])],
)
async def test_an_authority_with_a_damaged_log_signs_nothing_and_goes_on(country, server, what):
    """No certificate, no list, no head: the incident says so; frames pass as before."""
    async with country.running():
        await country.settled()
        list_before, before = country.crl(OBLAST), await country.signed(OBLAST)
    change, said = DAMAGES[what]
    statement = f"SET session_replication_role = replica; {change}"
    await server.psql(statement, database=country.names[OBLAST])
    async with country.running():
        await country.until_incident(OBLAST, "log_damaged")
        (detail,) = await country.details(OBLAST, "log_damaged")
        assert said in detail
        assert "no certificate and no CRL is given until the record is restored" in detail
        heard = country.hear(OBLAST)
        asker = Asker(country[DISTRICT])
        digest = await asker.begin(NEW, "join", requests_for(NEW, new_keys()))
        await until(lambda: has_heard(heard, Request))
        (packet,) = await country[SCHOOL].drop(TOP, [1])
        await country[SCHOOL].until(SCHOOL, packet, "confirmed")
        country.moved.by_us = DAY  # the next list is due
        for _ in range(2):
            await in_batch(country[OBLAST], lambda _batch: None)
        assert digest not in asker.granted
        assert country.crl(OBLAST).number == list_before.number
        assert await country.signed(OBLAST) - before <= {"no note"}
        for address in (TOP, DISTRICT):
            assert "log_forked" not in country[address].eyes.incidents


async def test_a_damaged_copy_of_a_log_is_given_to_nobody(country, server):
    """Its entries under the true head would look like a fork of the authority's."""
    async with country.running(TOP, OBLAST, DISTRICT):
        await country.until_size(DISTRICT, 1)
        await country.until_size(DISTRICT, await country.size(OBLAST))
    change = "UPDATE issued SET entry = entry || '\\x00' WHERE index = 0"
    statement = f"SET session_replication_role = replica; {change}"
    await server.psql(statement, database=country.names[DISTRICT])
    country.links[SCHOOL] = new_link(SCHOOL)  # what was sent before is lost
    async with country.running(DISTRICT, SCHOOL):
        await country.until_incident(DISTRICT, "log_damaged")
        heard = country.hear(DISTRICT)
        country[DISTRICT].service.state.links[SCHOOL].greet_anew()
        await until(lambda: has_heard(heard, Ask))
        (packet,) = await country[DISTRICT].drop(SCHOOL, [1])
        await country[DISTRICT].until(DISTRICT, packet, "confirmed")
        assert "log_forked" not in country[SCHOOL].eyes.incidents
        assert await country.size(SCHOOL) == 0


async def has_heard(heard, kind):
    return any(isinstance(header, kind) for header, _ in heard)
