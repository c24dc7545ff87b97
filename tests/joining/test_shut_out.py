"""Machines whose link certificate has ended: the broker itself lets them in no more."""

import asyncio
import contextlib
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from harness.cli_run import bbaj
from harness.joining import Joiner, Machine, send
from harness.watch import Watch
from nodes.cli.registry_shapes import RevokingDone
from schemas.addresses import dns_name
from signing.keys import fingerprint

pytestmark = pytest.mark.slow

DISTRICT = "kz.zhambyl.taraz"
GREETING = b"AMQP\x00\x00\x09\x01"
START_OF_FRAME = b"\x01"
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
LET_IN = "let in"
ALERT_S = 1.0
REVOKED = "certificate revoked"


class Knocker:
    """Knocks at the district's broker with a machine's link certificate."""

    def __init__(self, joiner: Joiner, machine: Machine, version: ssl.TLSVersion) -> None:
        keys = machine.folder / "keys"
        self._port = joiner.network._brokers[DISTRICT].amqps_port
        self._context = ssl.create_default_context(cafile=str(keys / "root.pem"))
        self._context.minimum_version = self._context.maximum_version = version
        self._context.load_cert_chain(keys / "link.pem", keys / "link.key")
        self._session: ssl.SSLSession | None = None

    async def knock(self) -> str:
        """Greet the broker, in the TLS session of the last time; return what came of it."""
        return await asyncio.to_thread(self._greet)

    def _greet(self) -> str:
        with socket.create_connection(("127.0.0.1", self._port), timeout=10) as line:
            try:
                with self._context.wrap_socket(
                    line, server_hostname=dns_name(DISTRICT), session=self._session
                ) as tls:
                    # With TLS 1.3 the alert comes after our handshake; writing might cost it.
                    tls.settimeout(ALERT_S)
                    with contextlib.suppress(TimeoutError):
                        tls.recv(1)
                    tls.settimeout(10)
                    tls.sendall(GREETING)
                    answer = tls.recv(7)
                    self._session = tls.session
            except ssl.SSLError as error:
                return str(error)
        return LET_IN if answer[:1] == START_OF_FRAME else f"said {answer!r}"


async def has_run(district: Watch, machine: Machine) -> None:
    """Wait until a machine that runs has stated its keys."""

    async def stated() -> bool:
        cards = await (await district.reading()).cards()
        return any(row.address == machine.address and b'"keys"' in row.object for row in cards)

    await district.until(stated)


async def test_a_replaced_machine_is_shut_out(joiner, district):
    """The broker hangs up on the machine before, and refuses it in every version of TLS."""
    old = await joiner.invited()
    assert (await old.join()).code == 0
    old.hurry()
    knockers = [Knocker(joiner, old, version) for version in VERSIONS]
    async with old.running() as running:
        await has_run(district, old)
        assert [await each.knock() for each in knockers] == [LET_IN, LET_IN]
        [made] = await joiner.invite(old.address)
        new = await joiner.machine(old.address, made.text, old.urls)
        assert (await new.join()).code == 0
        await running.until_said(REVOKED)  # though it was connected all the time
    assert [REVOKED in await each.knock() for each in knockers] == [True, True]
    assert [await Knocker(joiner, new, each).knock() for each in VERSIONS] == [LET_IN, LET_IN]
    (old.folder / "data").rename(new.folder / "brought")
    (new.folder / "data").rmdir()
    (new.folder / "brought").rename(new.folder / "data")
    new.hurry()
    async with new.running():
        assert (await send(new, DISTRICT)).state in {"delivered", "closed"}


async def test_a_revoked_link_certificate_is_shut_out(joiner, district):
    """`bbaj revoke` ends one certificate: its machine is cut off at once, and stays so."""
    machine = await joiner.invited()
    assert (await machine.join()).code == 0
    knockers = [Knocker(joiner, machine, version) for version in VERSIONS]
    link = x509.load_pem_x509_certificate((machine.folder / "keys" / "link.pem").read_bytes())
    name = fingerprint(link.public_bytes(Encoding.DER))
    async with machine.running() as running:
        await has_run(district, machine)
        assert [await each.knock() for each in knockers] == [LET_IN, LET_IN]
        words = ("revoke", name, "--reason", "keyCompromise", "--json")
        done = (await bbaj(*words, config=joiner.config_path)).shape(RevokingDone)
        assert done.broker == [f"connections of {dns_name(machine.address)} closed"]
        assert [REVOKED in await each.knock() for each in knockers] == [True, True]
        await running.until_said(REVOKED)
