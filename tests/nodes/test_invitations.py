"""An invitation at the machine that got it: what is believed, and what is not."""

import io

import msgspec
import pytest
import segno
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.signing_desk import body_of
from harness.pki import DISTRICT, INVITATION, NOW, OBLAST, SCHOOL, make_network
from nodes.cli import codes_to_scan
from nodes.cli.errors import FileFault
from nodes.cli.invitation_shapes import InvitationMade
from nodes.errors import NotAdmitted
from nodes.invitations import make_text, read_invitation
from schemas.invitations import (
    InvitationFacts,
    JoinReason,
    pack_invitation,
    read_text,
    unpack_invitation,
    write_text,
)
from schemas.moments import DAY, HOUR, format_instant
from schemas.objects import cut_object
from schemas.statements import Invitation, Join
from signing.keys import fingerprint
from signing.seal import sign_object

FACTS = InvitationFacts(
    urls=("amqps://broker.burabay.edu.kz:5671", "amqps://10.20.30.40:5671"),
    vhost="bbaj",
    tier="school",
)


@pytest.fixture(scope="module")
def network():
    return make_network([OBLAST, DISTRICT, f"{OBLAST}.other"], NOW)


@pytest.fixture(scope="module")
def stranger():
    """Another network that calls itself by the same names."""
    return make_network([DISTRICT], NOW)


def signed(network, *, by=DISTRICT, to=SCHOOL, certificates=None, kind=Invitation, **changes):
    """Return an invitation's object; what is not said otherwise is right."""
    node = network.nodes[by]
    if certificates is None:
        certificates = [
            network.nodes[DISTRICT].enrolment.certificate,
            network.authority_for(by).der,
            node.packet.certificate,
            network.root.der,
        ]
    body = pack_invitation(FACTS, certificates)
    fields = {
        "from_": by,
        "to": to,
        "epoch": 1,
        "number": NOW,
        "certificate": node.packet.fingerprint,
        "invitation": INVITATION,
        "body": body_of(body),
    }
    if kind is Invitation:
        fields["ends"] = format_instant(NOW + DAY - HOUR)
    return sign_object(kind(**{**fields, **changes}), node.packet, body)


def text_of(network, object_=None, key=None):
    key = key or network.nodes[DISTRICT].enrolment_key
    return make_text(object_ or signed(network), key)


def test_good_invitation(network):
    """Address, parent, broker and one-time key come out of the text."""
    found = read_invitation(text_of(network), NOW, fingerprint(network.root.der))
    assert (found.address, found.parent) == (SCHOOL, DISTRICT)
    assert found.enrolment == f"{DISTRICT}.enrolment.{INVITATION}"
    assert found.facts == FACTS
    assert found.signer.fingerprint == network.nodes[DISTRICT].enrolment.fingerprint
    assert found.root == network.root.der


def refused(text, now=NOW, root=None):
    with pytest.raises(NotAdmitted) as caught:
        read_invitation(text, now, root)
    return caught.value


def test_another_root(network):
    """A whole network of somebody's own making is found by the root's fingerprint."""
    found = refused(text_of(network), root="0" * 64)
    assert found.reason is JoinReason.FORGED
    assert fingerprint(network.root.der) in str(found)


def test_ended(network):
    """What has ended is not sent anywhere."""
    assert refused(text_of(network), NOW + DAY).reason is JoinReason.EXPIRED


def test_changed_address(network):
    """A changed word in what the parent has signed is found."""
    raw = signed(network).replace(b"school-7", b"school-8")
    found = refused(make_text(raw, network.nodes[DISTRICT].enrolment_key))
    assert found.reason is JoinReason.FORGED
    assert "sig-invalid" in str(found)


def test_changed_broker(network):
    """A changed broker url is found: the body is named by its digest."""
    raw = signed(network).replace(b"broker.burabay.edu.kz", b"broker.burabay.edu.zz")
    found = refused(make_text(raw, network.nodes[DISTRICT].enrolment_key))
    assert found.reason is JoinReason.FORGED
    assert "digest-mismatch" in str(found)


def test_signed_by_a_sibling(network):
    """Only its parent by name invites a node."""
    raw = signed(network, by=f"{OBLAST}.other")
    found = refused(text_of(network, raw))
    assert found.reason is JoinReason.FORGED
    assert f"{OBLAST}.other may not invite {SCHOOL}" in str(found)


def test_signed_by_a_stranger(network, stranger):
    """A parent of another root is none, though it bears the name."""
    theirs = stranger.nodes[DISTRICT]
    certificates = [
        theirs.enrolment.certificate,
        stranger.authority_for(DISTRICT).der,
        theirs.packet.certificate,
        network.root.der,
    ]
    raw = signed(stranger, certificates=certificates)
    assert refused(make_text(raw, theirs.enrolment_key)).reason is JoinReason.FORGED


def test_another_key(network):
    """A key that the one-time certificate is not for is found here, not at the parent's."""
    found = refused(text_of(network, key=ec.generate_private_key(ec.SECP256R1())))
    assert found.reason is JoinReason.FORGED


def test_another_one_time_certificate(network):
    """A one-time certificate of another invitation does not serve this one."""
    raw = signed(network, invitation="another")
    found = refused(text_of(network, raw))
    assert found.reason is JoinReason.FORGED
    assert "one-time certificate" in str(found)


def test_packet_key_is_no_one_time_key(network):
    """A node's own packet key does not let a machine join."""
    node = network.nodes[DISTRICT]
    authority = network.authority_for(DISTRICT).der
    packet = node.packet.certificate
    raw = signed(network, certificates=[packet, authority, packet, network.root.der])
    assert refused(make_text(raw, node.packet_key)).reason is JoinReason.FORGED


def test_other_objects_are_no_invitations(network):
    """An object of another kind, well signed, invites nobody."""
    found = refused(text_of(network, signed(network, kind=Join)))
    assert found.reason is JoinReason.DAMAGED


@pytest.mark.parametrize("key", [b"", b"no key", bytes(200)])
def test_no_key(network, key):
    """A text without a private key is damaged."""
    assert refused(write_text(signed(network), key)).reason is JoinReason.DAMAGED


def test_key_on_a_curve_that_nobody_knows(network):
    """A key whose algorithm is none of those known is as good as none."""
    found = text_of(network)
    key = read_text(found)[1].replace(
        bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030163")
    )
    assert refused(write_text(signed(network), key)).reason is JoinReason.DAMAGED


@pytest.mark.parametrize(
    ("what", "becomes"),
    [("a003020102", "a003020105"), ("2a8648ce3d030107", "2a8648ce3d030163")],
    ids=["version", "curve"],
)
def test_one_time_certificate_that_cannot_be_read(network, what, becomes):
    """A certificate whose version or key nobody knows is none that the parent gave."""
    enrolment, *others = unpack_invitation(cut_object(signed(network)).body)[1]
    changed = enrolment.replace(bytes.fromhex(what), bytes.fromhex(becomes))
    assert changed != enrolment
    object_ = signed(network, certificates=[changed, *others])
    assert refused(text_of(network, object_)).reason is JoinReason.FORGED


def test_junk_is_damaged():
    """What is no invitation at all says so, with what to do."""
    found = refused("bbaj1:AAAA")
    assert found.reason is JoinReason.DAMAGED
    assert "copy the whole text again" in str(found)


# ------------------------------------------------------------------ codes to scan


def made(network, address=SCHOOL):
    ends = format_instant(NOW + DAY)
    text = text_of(network)
    return InvitationMade(address=address, invitation=INVITATION, ends=ends, new=True, text=text)


def test_text_fits_a_code(network):
    """The text fits one QR code, and the code says the text."""
    code = codes_to_scan._code(text_of(network))
    assert code.error == "L"
    assert code.version <= 40
    assert code.mode == "byte"


def test_codes_are_files_that_others_cannot_read(network, tmp_path):
    """Each address gets its own SVG, mode 0600, never over another file."""
    rows = [made(network), made(network, f"{DISTRICT}.school-8")]
    target = tmp_path / "codes.svg"
    files = codes_to_scan.draw(rows, str(target))
    assert files == [str(tmp_path / f"codes-{row.address}.svg") for row in rows]
    for name in files:
        path = tmp_path / name
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_bytes().startswith(b"<?xml")
    with pytest.raises(FileFault):
        codes_to_scan.draw(rows, str(target))


def test_code_on_the_terminal(network):
    """On a terminal the code stands below its address."""
    [drawn] = codes_to_scan.draw([made(network)], "terminal")
    address, _, lines = drawn.partition("\n")
    assert address == SCHOOL
    wanted = io.StringIO()
    segno.make_qr(text_of(network), error="l", boost_error=False).terminal(wanted, compact=True)
    assert lines.count("\n") == wanted.getvalue().count("\n") > 50


def test_shapes_keep_secrets_to_their_text(network):
    """Of an invitation, the text alone holds the private key."""
    shown = msgspec.to_builtins(made(network))
    assert [name for name, value in shown.items() if str(value).startswith("bbaj1:")] == ["text"]
