"""Who presents at the parent's broker what is none of its authority: the operator sees it."""

import asyncio
import socket
import ssl

import pytest

from harness import link_pki
from harness.cli_run import bbaj
from harness.joining import hears_strangers, is_stranger_told
from schemas.addresses import dns_name
from schemas.cards import enrolment_address

pytestmark = pytest.mark.slow

DISTRICT = "kz.zhambyl.taraz"
SEEN_WITHIN_S = 10.0


def forged_login(folder, invitation):
    """Return an enrolment certificate as our authority would issue it, but of another's key."""
    root = link_pki.make_root()
    authority = link_pki.make_authority(root, "kz.bbaj.internal")
    name = dns_name(enrolment_address(DISTRICT, invitation))
    return link_pki.issue(folder, authority, dns=(name,))


def knock(port, root, files):
    """Present a certificate at a broker's door, and wait until it hangs up."""
    context = ssl.create_default_context(cafile=str(root))
    context.load_cert_chain(files.certificate, files.key)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as line,
        # With TLS 1.3 the alert comes after our handshake, and a reset may overtake it.
        pytest.raises((ssl.SSLError, ConnectionResetError)),
        context.wrap_socket(line, server_hostname=dns_name(DISTRICT)) as tls,
    ):
        tls.recv(1)


async def test_a_forged_enrolment_certificate_is_seen(joiner, district, tmp_path):
    """It fails in TLS, where only the broker hears of it; the operator has it within seconds."""
    await district.until(lambda: hears_strangers(district))
    port = joiner.network._brokers[DISTRICT].amqps_port
    root = joiner.network.keys_of(DISTRICT) / "root.pem"
    await asyncio.to_thread(knock, port, root, forged_login(tmp_path / "forged", "a1"))
    seen = "certificate-unknown: from "
    await district.until(lambda: is_stranger_told(district, seen), SEEN_WITHIN_S)
    shown = await bbaj("invitation", "list", config=joiner.config_path)
    assert b"stranger_refused" in shown.out
