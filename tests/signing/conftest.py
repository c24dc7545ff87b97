"""One small network, and frames of one sender, for all tests of signing."""

from collections.abc import Callable

import pytest

from harness.cards import registry_of
from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL, Network, make_network
from schemas.frame import ECDSA_P256_SHA256, MAGIC, VERSION, join_head
from schemas.header import Header
from schemas.limits import Limits
from schemas.moments import Instant, format_instant
from signing.authenticate import Accepted, Held, Refused, authenticate
from signing.chain import TrustStore
from signing.keys import PacketSigner
from signing.payload import make_payload, payload_facts
from signing.seal import seal

ROUTES = registry_of(DISTRICT, SCHOOL)


@pytest.fixture(scope="session")
def network() -> Network:
    return make_network(["kz", OBLAST, DISTRICT, SCHOOL, "kz.abai", "kz.abai.semey"], NOW)


@pytest.fixture
def trust(network: Network) -> TrustStore:
    return network.trust()


@pytest.fixture
def signer(network: Network) -> PacketSigner:
    return network.nodes[SCHOOL].packet


@pytest.fixture
def draft(signer: PacketSigner) -> Callable[..., tuple[Header, bytes]]:
    """Make header and payload of a packet from the school to the oblast."""

    def make(content: bytes = b'{"absent":3}', **changes: object) -> tuple[Header, bytes]:
        payload, coding = make_payload(content, bytes(range(16)))
        fields: dict[str, object] = {
            "id": "019ab1c2-d3e4-7000-8000-000000000001",
            "type": "attendance.daily/1",
            "from_": SCHOOL,
            "to": OBLAST,
            "sent": format_instant(NOW),
            "epoch": 1,
            "seq": 1,
            "section": "S04",
            "class_": "R5",
            "flow": "oper",
            "certificate": signer.fingerprint,
            "payload": payload_facts(payload, "application/json", coding),
        }
        return Header(**{**fields, **changes}), payload

    return make


@pytest.fixture
def frame(draft: Callable[..., tuple[Header, bytes]], signer: PacketSigner) -> bytes:
    return seal(*draft(), signer)


@pytest.fixture
def judge(trust: TrustStore) -> Callable[..., Accepted | Refused | Held]:
    """Authenticate a frame at the district, on the school's link."""

    def run(raw: bytes, now: Instant = NOW, **changes: object) -> Accepted | Refused | Held:
        where = {"trust": trust, "routes": ROUTES, "neighbour": SCHOOL, "limits": Limits()}
        return authenticate(raw, now=now, **{**where, **changes})

    return run


@pytest.fixture
def signed_text(signer: PacketSigner) -> Callable[[bytes, bytes], bytes]:
    """Make a frame with a good signature round whatever stands for the header."""

    def make(header: bytes, payload: bytes) -> bytes:
        prefix = MAGIC + bytes([VERSION, ECDSA_P256_SHA256]) + len(header).to_bytes(2)
        return join_head(prefix + header, signer.sign(prefix + header)) + payload

    return make
