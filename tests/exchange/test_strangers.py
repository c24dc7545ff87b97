"""Whom our broker did not let in: read out of its log, told once an hour for each address."""

import pytest

from exchange.batch import Batch, Tails
from exchange.strangers import APART_MAX, Stranger, Strangers, read_log_entry
from schemas.moments import HOUR, MINUTE
from schemas.records import Position

START = 1_800_000_000_000_000
ALERT = (
    "2026-11-23 10:02:30.213442+00:00 [notice] <0.3399.0> TLS server: In state {state} at "
    "ssl_handshake.erl:2111 generated SERVER ALERT: Fatal - {alert}\n"
    "2026-11-23 10:02:30.213442+00:00 [notice] <0.3399.0> {more}\n"
)
LOGIN = (
    "2026-11-23 10:02:33.246857+00:00 [error] <0.3710.0> Error on AMQP connection <0.3710.0> "
    "({peer}:45952 -> 10.0.0.1:5671, state: starting):\n2026-11-23 10:02:33.246857+00:00 [error] "
    "<0.3710.0> {how} login refused: user '{user}' - invalid credentials\n"
)
NEWER = (
    r'{{"level":"error","msg":"{{tls_alert,{{unknown_ca,\"TLS server: In state wait_cert at '
    r"ssl_handshake.erl:2111 generated SERVER ALERT: Fatal - Unknown CA\n\"}}}} error during "
    r'handshake for protocol amqps and peer {peer}:40866"}}'
)


def alert(alert="Unknown CA", state="wait_cert", more=""):
    return read_log_entry(ALERT.format(alert=alert, state=state, more=more).encode())


@pytest.mark.parametrize("state", ["certify", "wait_cert"])
@pytest.mark.parametrize(
    ("said", "more", "what"),
    [
        ("Unknown CA", "", "certificate-unknown"),
        ("Certificate Expired", "", "certificate-expired"),
        ("Certificate Revoked", "", "certificate-revoked"),
        ("Certificate required", " - certificate_required", "certificate-missing"),
        ("Handshake Failure", " - no_client_certificate_provided", "certificate-missing"),
        ("Bad Certificate", "", "certificate-bad"),
    ],
)
def test_refused_certificates_are_read(state, said, more, what):
    """Each alert of TLS has its reason; the log names no address."""
    assert alert(said, state, more) == Stranger(what, None)


def test_newer_brokers_name_the_address():
    """What RabbitMQ says since 3.13 is read, as text within JSON too."""
    found = read_log_entry(NEWER.format(peer="192.0.2.7").encode())
    assert found == Stranger("certificate-unknown", "192.0.2.7")


@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::7"])
def test_refused_logins_are_read(peer):
    """A login that the broker does not know has its address, and the name that was certified."""
    shown = f"[{peer}]" if ":" in peer else peer
    name = "a1.enrolment.burabay.akmola.kz.bbaj.internal"
    entry = LOGIN.format(peer=shown, how="EXTERNAL", user=name).encode()
    assert read_log_entry(entry) == Stranger("login-refused", peer, name)


def test_what_nobody_has_certified_is_not_kept():
    """Under a login of the stranger's own choice stands what he likes: it is left out."""
    entry = LOGIN.format(peer="192.0.2.7", how="PLAIN", user="Aigul 870101400123").encode()
    assert read_log_entry(entry) == Stranger("login-refused", "192.0.2.7")


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"\xff\xfe",
        b"[notice] queue 'up.a' in vhost 'bbaj': candidate -> leader in term: 1",
        b"[error] Channel error on connection <0.1.0> (10.0.0.2:4 -> 10.0.0.1:5672, vhost: 'bbaj')",
        b"[notice] TLS server: In state hello generated SERVER ALERT: Fatal - Unexpected Message",
        b"[notice] TLS server: In state connection received CLIENT ALERT: Fatal - Unknown CA",
    ],
)
def test_other_entries_tell_of_nobody(entry):
    """Port scans, our own errors and the broker's housekeeping are no strangers."""
    assert read_log_entry(entry) is None


class Told:
    """Strangers of one node, and what its operator is told of them."""

    def __init__(self):
        self.told = []
        self._strangers = Strangers("kz.a")

    def take(self, *strangers, at=START, committed=True):
        batch = Batch(Tails(Position("kz.a", 1, 0, 0, {}, {}, {}, at)), at)
        for each in strangers:
            self._strangers.take(each, batch)
        self._end(batch, committed=committed)

    def sweep(self, at):
        batch = Batch(Tails(Position("kz.a", 1, 0, 0, {}, {}, {}, at)), at)
        self._strangers.sweep(batch)
        self._end(batch)

    def _end(self, batch, *, committed=True):
        if committed:
            batch.follow_up()
            assert {row.kind for row in batch.changes.incidents} <= {"stranger_refused"}
            self.told += [row.detail for row in batch.changes.incidents]


UNKNOWN = Stranger("certificate-unknown", "192.0.2.7")


def test_the_first_attempt_is_told_at_once_and_the_rest_once_an_hour():
    """Who knocks all the time is told of twice: when he begins, and how often it was."""
    told = Told()
    for minute in range(50):
        told.take(UNKNOWN, at=START + minute * MINUTE)
        told.sweep(START + minute * MINUTE)
    assert told.told == ["certificate-unknown: from 192.0.2.7"]
    told.sweep(START + HOUR)
    assert told.told[1:] == ["certificate-unknown: 49 more from 192.0.2.7 within an hour"]
    told.take(UNKNOWN, at=START + HOUR)
    assert told.told[2:] == ["certificate-unknown: from 192.0.2.7"]


def test_one_attempt_is_told_of_once():
    """Where nothing followed, the hour's end has nothing to add."""
    told = Told()
    told.take(UNKNOWN)
    told.sweep(START + HOUR)
    assert len(told.told) == 1


def test_reasons_and_addresses_are_told_apart():
    """Another address, another reason, or none that the log names: each is told by itself."""
    told = Told()
    login = Stranger("login-refused", "192.0.2.7", "a1.enrolment.kz.bbaj.internal")
    told.take(UNKNOWN, login, Stranger("certificate-unknown", None), UNKNOWN)
    assert told.told == [
        "certificate-unknown: from 192.0.2.7",
        "login-refused: from 192.0.2.7 as a1.enrolment.kz.bbaj.internal",
        "certificate-unknown: from an address that the broker's log does not name",
    ]


def test_a_thousand_addresses_are_bounded():
    """Beyond so many an hour they are one: the record does not grow with who knocks."""
    told = Told()
    for number in range(1000):
        told.take(Stranger("certificate-unknown", f"10.0.{number // 256}.{number % 256}"))
    assert len(told.told) == APART_MAX + 1
    assert told.told[-1] == "certificate-unknown: from further addresses"
    told.sweep(START + HOUR)
    more = 1000 - APART_MAX - 1
    expected = f"certificate-unknown: {more} more from further addresses within an hour"
    assert told.told[APART_MAX + 1 :] == [expected]


def test_what_was_not_committed_is_told_again():
    """An attempt whose commit failed is new when it comes again."""
    told = Told()
    told.take(UNKNOWN, committed=False)
    told.take(UNKNOWN)
    assert told.told == ["certificate-unknown: from 192.0.2.7"]
