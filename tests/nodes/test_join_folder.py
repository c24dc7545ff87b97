"""The folder of a machine that joins: made once, completed whatever interrupts it."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.enrolment import JOIN_PURPOSES
from harness.cards import facts_of
from harness.pki import DISTRICT, INVITATION, NOW, OBLAST, SCHOOL, make_network
from nodes import join_folder
from nodes.card_files import make_card
from nodes.config import load_config
from nodes.errors import ConfigurationFault
from nodes.invitations import ReceivedInvitation
from nodes.join_folder import JoinFolder, Received, Settings, without_password
from nodes.keyring import KeyFolder
from nodes.wiring import database_url, login_of, owner_url
from schemas.codes import Tier
from schemas.invitations import InvitationFacts
from schemas.moments import DAY, format_instant
from schemas.object_header import Body
from schemas.objects import unpack_pieces
from schemas.statements import Invitation
from signing.authority import der_of, issue_node, public_key_of_request
from signing.keys import fingerprint

SETTINGS = Settings(
    database_url="postgresql://daemon:p%40ss@127.0.0.1:5432/school",
    owner_url="postgresql://owner:other@127.0.0.1:5432/school",
    broker_url="amqp://127.0.0.1:5672",
    http_port=0,
)


@pytest.fixture(scope="module")
def network():
    return make_network([OBLAST, DISTRICT], NOW)


@pytest.fixture(scope="module")
def invitation(network):
    parent = network.nodes[DISTRICT]
    header = Invitation(
        from_=DISTRICT,
        to=SCHOOL,
        epoch=1,
        number=NOW,
        certificate=parent.packet.fingerprint,
        invitation=INVITATION,
        ends=format_instant(NOW + DAY),
        body=Body("0" * 64, 0),
    )
    facts = InvitationFacts(urls=("amqps://broker:5671",), vhost="bbaj", tier=Tier.SCHOOL)
    authority = network.authority_for(DISTRICT).der
    certificates = [parent.enrolment.certificate, authority, network.root.der]
    return ReceivedInvitation(header, facts, certificates, parent.enrolment, parent.enrolment_key)


def granted(network, requests):
    """Return what a parent brings for the requests of a machine."""
    authority = network.authority_for(SCHOOL)
    received = Received(
        vouchers=[authority.der, network.nodes[DISTRICT].packet.certificate],
        crls={fingerprint(network.root.der): network.crls()[0]},
        cards={SCHOOL: make_card(facts_of(SCHOOL), network.nodes[DISTRICT].packet, NOW)},
    )
    pieces = unpack_pieces(requests)[0]
    for purpose, request in zip(JOIN_PURPOSES, pieces, strict=False):
        key = public_key_of_request(request)
        der = der_of(issue_node(authority, SCHOOL, purpose, key, NOW))
        received.certificates[purpose] = [der, authority.der]
    return received


def test_requests_are_made_once(tmp_path):
    """A repeated command asks for exactly the same."""
    first = JoinFolder(tmp_path, None).prepare(SCHOOL, Tier.SCHOOL)
    assert JoinFolder(tmp_path, None).prepare(SCHOOL, Tier.SCHOOL) == first
    assert len(unpack_pieces(first)[0]) == 3


def test_a_node_with_children_asks_for_a_witness_key(tmp_path):
    """All tiers above schools get a fourth key."""
    requests = JoinFolder(tmp_path, None).prepare(DISTRICT, Tier.DISTRICT)
    assert len(unpack_pieces(requests)[0]) == 4


def test_a_folder_belongs_to_one_address(tmp_path):
    """Keys made for one address are not used for another."""
    JoinFolder(tmp_path, None).prepare(SCHOOL, Tier.SCHOOL)
    with pytest.raises(ConfigurationFault, match="belongs to"):
        JoinFolder(tmp_path, None).prepare(f"{DISTRICT}.school-8", Tier.SCHOOL)


def test_complete(tmp_path, network, invitation):
    """The configuration loads, secrets stand in files of mode 0600, the invitation is gone."""
    place = JoinFolder(tmp_path, None)
    requests = place.prepare(SCHOOL, Tier.SCHOOL)
    place.lay_out_login(invitation)
    received = granted(network, requests)
    place.complete(invitation, received, SETTINGS)
    config = load_config(place.config)
    assert (config.address, config.tier, config.parent.urls) == (
        SCHOOL,
        Tier.SCHOOL,
        ("amqps://broker:5671",),
    )
    assert database_url(config) == SETTINGS.database_url
    assert owner_url(config) == SETTINGS.owner_url
    assert config.broker.url == "amqp://127.0.0.1:5672"
    assert len(login_of(config.broker).password) > 20
    assert "p%40ss" not in place.config.read_text()
    assert not (tmp_path / ".joining").exists()
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o600}
    used = KeyFolder(tmp_path / "keys", SCHOOL).certificates()
    assert used == {each: ders[0] for each, ders in received.certificates.items()}


def test_a_crash_at_any_write_can_be_repeated(tmp_path, network, invitation, monkeypatch):
    """Wherever writing breaks off, nothing has joined, and the same again completes it."""
    write = join_folder.write_whole
    for broken in range(1, 100):
        folder = tmp_path / str(broken)
        place = JoinFolder(folder, None)
        received = granted(network, place.prepare(SCHOOL, Tier.SCHOOL))
        left = broken

        def fail(path, data):
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(28, "No space left on device")
            write(path, data)

        monkeypatch.setattr(join_folder, "write_whole", fail)
        try:
            place.complete(invitation, received, SETTINGS)
            break
        except OSError:
            assert not place.is_ready
        monkeypatch.setattr(join_folder, "write_whole", write)
        place.complete(invitation, received, SETTINGS)
        assert load_config(place.config).address == SCHOOL
    assert broken > 8


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql://u:p@h:1/d", "postgresql://u@h:1/d", "p"),
        ("postgresql://u:p%2Fq@h/d?x=1", "postgresql://u@h/d?x=1", "p/q"),
        ("postgresql://u@h/d", "postgresql://u@h/d", None),
        ("amqp://127.0.0.1:5672", "amqp://127.0.0.1:5672", None),
    ],
)
def test_passwords_are_cut_out(url, bare, password):
    """A URL loses its password, and nothing else."""
    assert without_password(url) == (bare, password)


def test_one_time_login(tmp_path, network, invitation):
    """The login lies in the folder with mode 0600, and TLS takes it; again, too."""
    place = JoinFolder(tmp_path, None)
    place.prepare(SCHOOL, Tier.SCHOOL)
    for _ in range(2):
        tls = place.lay_out_login(invitation)
        tls.context()
        assert tls.key.stat().st_mode & 0o777 == 0o600
    assert isinstance(invitation.key, ec.EllipticCurvePrivateKey)
