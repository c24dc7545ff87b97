"""Cards made where keys lie together, and folders that are looked at again."""

import os

import pytest

from exchange.core.registry import Registry
from exchange.vouching import keys_bytes, read_card
from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL
from nodes.authority_files import AuthorityFiles
from nodes.card_files import load_card, registry_from, statements_in, tier_by_depth
from nodes.config import Config, Database, Keys
from nodes.introducing import Folders
from nodes.keyring import KeyFolder
from schemas.codes import Names, Tier
from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.moments import DAY, MINUTE, format_instant
from schemas.objects import cut_object
from signing.authenticate import check_object
from signing.chain import TrustStore
from signing.encryption import EncryptionKeyring
from signing.errors import IssueError, KeyFileError, KeyFileMissingError
from signing.keys import fingerprint, load_certificate, load_crl

ROOT = "kz"
NAMES = Names(kk="Бурабай", ru="Бурабай", en="Burabay")


@pytest.fixture
def files(tmp_path):
    """Make a folder with a root and an authority for everybody."""
    made = AuthorityFiles(tmp_path / "ca")
    made.init_root(NOW)
    made.issue_authority(ROOT, NOW)
    return made


@pytest.fixture
def trust(files, tmp_path):
    """Return a trust store that learns the certificates of the cards' folder."""

    def learn():
        store = TrustStore(load_certificate(tmp_path / "ca" / "root.pem"))
        store.add_certificates(files.certificates())
        store.add_certificates(map(load_certificate, files.cards.folder.glob("*.pem")))
        return store

    return learn


def check(raw, trust, now=NOW):
    """Check a statement as whoever meets it does."""
    return check_object(
        raw, trust=trust, here="kz.abai", neighbour="kz", now=now, limits=Limits()
    ).header


def issue(files, *addresses):
    return [files.issue_node(address, NOW) for address in addresses]


def test_a_new_node_has_a_card_that_its_parent_signed(files, trust):
    """The card's signature is of the parent's packet key, as its certificate beside it proves."""
    issue(files, ROOT, OBLAST, DISTRICT)
    card = load_card(files.cards.folder, DISTRICT)
    header = check(card.raw, trust())
    signer = fingerprint(load_certificate(files.cards.folder / f"{OBLAST}.pem"))
    assert (header.from_, header.to, header.certificate) == (OBLAST, DISTRICT, signer)
    assert (card.facts.standing, card.facts.tier) == ("active", Tier.DISTRICT)
    assert card.facts.since == format_instant(NOW)


def test_the_root_vouches_for_itself(files, trust):
    """Nobody is above the root: its card is its own word."""
    issue(files, ROOT)
    header = check(load_card(files.cards.folder, ROOT).raw, trust())
    assert (header.from_, header.to) == (ROOT, ROOT)


def test_a_card_has_the_keys_that_the_node_itself_states(files, trust):
    """Certificates and encryption key are those of the node's folder, under its own signature."""
    _, node = issue(files, ROOT, OBLAST)
    card = load_card(files.cards.folder, OBLAST)
    header = check(keys_bytes(card.facts), trust())
    names = [fingerprint(load_certificate(node / f"{each}.pem")) for each in ("packet", "journal")]
    assert header.from_ == OBLAST
    assert [card.keys.packet, card.keys.journal] == names
    assert card.keys.encryption == EncryptionKeyring.load(node).facts


def test_a_card_waits_for_the_parents_key(files, trust):
    """Children that were issued first get their cards as soon as their parent has a key."""
    issue(files, DISTRICT, SCHOOL)
    before = load_card(files.cards.folder, DISTRICT), load_card(files.cards.folder, SCHOOL)
    issue(files, OBLAST)
    card = load_card(files.cards.folder, DISTRICT)
    assert before[0] is None
    assert before[1].facts.address == SCHOOL
    assert check(card.raw, trust()).from_ == OBLAST


def test_without_the_parents_passphrase_there_is_no_card(files):
    """A parent's key that does not open makes no card, and stops nobody's keys from being made."""
    files.issue_node(OBLAST, NOW, passphrase=b"oblast")
    assert files.issue_node(DISTRICT, NOW, passphrase=b"district").is_dir()
    assert load_card(files.cards.folder, DISTRICT) is None
    with pytest.raises(KeyFileError):
        files.issue_card(DISTRICT, NOW, {})
    files.issue_card(DISTRICT, NOW, {}, b"oblast")
    assert load_card(files.cards.folder, DISTRICT).facts.address == DISTRICT


def test_a_newer_card_counts_and_keeps_what_did_not_change(files, trust):
    """A change has a higher number, even at the same moment; keys, tier and the rest stay."""
    issue(files, OBLAST, DISTRICT)
    first = load_card(files.cards.folder, DISTRICT)
    files.issue_card(DISTRICT, NOW, {"standing": "suspended"})
    second = load_card(files.cards.folder, DISTRICT)
    files.issue_card(DISTRICT, NOW + MINUTE, {"names": NAMES})
    third = load_card(files.cards.folder, DISTRICT)
    assert check(third.raw, trust()).number == third.number
    assert first.number < second.number < third.number
    assert (second.facts.standing, third.facts.standing) == ("suspended", "suspended")
    assert (third.facts.names, third.facts.keys) == (NAMES, first.facts.keys)
    assert third.facts.since == format_instant(NOW + MINUTE)


def test_a_machine_that_replaces_another_has_its_keys_in_the_card(files):
    """Issued again, an address's card shows the new keys under a higher number."""
    _, node = issue(files, OBLAST, DISTRICT)
    before = load_card(files.cards.folder, DISTRICT)
    node.rename(node.with_name(".lost"))
    issue(files, DISTRICT)
    after = load_card(files.cards.folder, DISTRICT)
    assert after.number > before.number
    assert after.keys.packet != before.keys.packet


@pytest.mark.parametrize("tier", [Tier.OBLAST, Tier.REPUBLIC])
def test_a_tier_must_be_below_the_parents(files, tier):
    """R-6: nobody is of its parent's tier or above; nothing is issued for such a one."""
    issue(files, ROOT, OBLAST)
    with pytest.raises(IssueError, match="must be above"):
        files.issue_node(DISTRICT, NOW, tier=tier)
    assert not (files.cards.folder / f"{DISTRICT}.pem").exists()
    assert files.issue_node(DISTRICT, NOW, tier=Tier.CITY).is_dir()
    with pytest.raises(IssueError, match="must be above"):
        files.issue_card(DISTRICT, NOW, {"tier": tier})


def test_no_node_has_the_name_of_invitations(files):
    """The label that invitations have their names under is nobody's."""
    with pytest.raises(IssueError, match="invitations"):
        files.issue_node(f"{OBLAST}.enrolment", NOW)


@pytest.mark.parametrize(
    ("address", "tier"),
    [
        ("kz", Tier.REPUBLIC),
        (OBLAST, Tier.OBLAST),
        (DISTRICT, Tier.DISTRICT),
        (SCHOOL, Tier.SCHOOL),
        (f"{SCHOOL}.annex", Tier.SCHOOL),
    ],
)
def test_the_depth_tells_the_tier(address, tier):
    """Where nothing is said, an address is of the tier that its depth has."""
    assert tier_by_depth(address) is tier


def test_a_folder_of_cards_is_a_tree(files):
    """Children are those whose cards name us, closed ones left out, whatever else lies there."""
    issue(files, ROOT, OBLAST, DISTRICT, SCHOOL, f"{DISTRICT}.school-8")
    files.issue_card(f"{DISTRICT}.school-8", NOW, {"standing": "closed"})
    (files.cards.folder / "notes.card").write_bytes(b"no card at all")
    found = registry_from(DISTRICT, statements_in(files.cards.folder))
    assert (found.children, found.uplink) == ((SCHOOL,), OBLAST)
    assert found.next_hop(SCHOOL) == SCHOOL


def test_no_folder_is_an_empty_tree():
    """A node without a folder of cards begins with nothing but its name."""
    found = registry_from(DISTRICT, statements_in(None))
    assert (found.children, found.uplink) == (Registry(DISTRICT).children, OBLAST)


def test_what_is_no_card_is_named(files):
    """A damaged card stops its own changing, and says which file it is."""
    issue(files, ROOT, OBLAST)
    (files.cards.folder / f"{OBLAST}.card").write_bytes(b"BBAL")
    with pytest.raises(KeyFileError, match=r"kz\.akmola\.card"):
        files.issue_card(OBLAST, NOW, {})


# ------------------------------------------------------------------ folders looked at again


@pytest.fixture
def folders(files, tmp_path):
    """Return the folders of a node of the network, and the trust that learns from them."""
    issue(files, ROOT, OBLAST)
    ca = tmp_path / "ca"
    keys = Keys(
        folder=ca / "nodes" / OBLAST,
        root=ca / "root.pem",
        authorities=ca / "authorities",
        crls=ca / "crls",
        cards=ca / "cards",
    )
    config = Config(address=OBLAST, data=ca, keys=keys, database=Database(url="postgresql:///"))
    store = TrustStore(load_certificate(keys.root))
    store.add_certificates(files.certificates())
    return Folders(config, store, KeyFolder(keys.folder, OBLAST)), store


def fail(error):
    raise error


def test_everything_is_brought_at_the_start(files, folders):
    """Root, authorities, packet certificates, lists and cards are there; then nothing is news."""
    first = folders[0].all()
    packets = {load_certificate(path) for path in files.cards.folder.glob("*.pem")}
    assert set(first.certificates) >= {folders[1].root, *files.certificates(), *packets}
    assert {read_card(raw).facts.address for raw in first.cards} == {ROOT, OBLAST}
    assert len(first.crls) == 2
    assert folders[0].news(fail) is None


def test_a_new_card_comes_with_its_certificate(files, folders):
    """What is put there later is brought once, and the trust store has its certificate first."""
    folders[0].all()
    issue(files, DISTRICT)
    news = folders[0].news(fail)
    packet = load_certificate(files.cards.folder / f"{DISTRICT}.pem")
    assert [cut_object(raw).header.to for raw in news.cards] == [DISTRICT]
    assert (news.certificates, news.crls) == ([packet], [])
    assert folders[1].ders_for(fingerprint(packet))
    assert folders[0].news(fail) is None


def test_a_newer_card_and_list_in_the_same_place_are_news(files, folders):
    """A file that was written over is brought again, and nothing beside it."""
    folders[0].all()
    card = files.issue_card(OBLAST, NOW + MINUTE, {"standing": "suspended"})
    lists = files.write_crls(NOW + DAY)
    news = folders[0].news(fail)
    assert news.cards == [card.read_bytes()]
    assert sorted(news.crls) == sorted(map(load_crl, lists))
    assert news.certificates == []


def test_a_damaged_list_is_told_until_it_is_whole(files, folders, tmp_path):
    """A list that is half there stops nothing, is told each time, and is taken once it is whole."""
    folders[0].all()
    (whole,) = [path for path in files.write_crls(NOW + DAY) if path.name == f"{ROOT}.pem"]
    content, told = whole.read_bytes(), []
    whole.write_bytes(content[:100])
    assert folders[0].news(told.append) is not None  # the root's own list
    assert folders[0].news(told.append) is None
    whole.write_bytes(content)
    assert (len(told), folders[0].news(fail).crls) == (2, [load_crl(whole)])


def test_at_the_start_a_damaged_file_is_a_fault(files, folders):
    """What cannot be read at the start ends it: somebody looks."""
    (files.cards.folder / f"{OBLAST}.pem").write_bytes(b"no certificate")
    with pytest.raises(KeyFileError, match=f"{OBLAST}.pem"):
        folders[0].all()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_card_that_is_closed_to_us_is_told(files, folders):
    """A file of somebody else's is named, with what to do."""
    folders[0].all()
    path = files.issue_card(OBLAST, NOW + MINUTE, {})
    path.chmod(0)
    told = []
    assert folders[0].news(told.append) is None
    assert isinstance(told[0], KeyFileMissingError)


def test_a_forged_card_is_left_to_the_daemon(files, folders):
    """Whether a card's signature holds is judged where it is taken, with incident and evidence."""
    folders[0].all()
    path = files.cards.folder / f"{OBLAST}.card"
    forged = bytearray(path.read_bytes())
    forged[-1] ^= 1
    path.write_bytes(forged)
    news = folders[0].news(fail)
    assert news.cards == [bytes(forged)]
    with pytest.raises(FormatError):
        check(news.cards[0], folders[1])
