"""Whom a node calls: its parent by name, or the neighbour that its configuration names."""

import msgspec
import pytest

from exchange.core.registry import KnownCard, Registry
from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL
from nodes.config import Broker, Config, Database, Keys, Parent, load_config
from nodes.errors import ConfigurationFault
from nodes.wiring import broker_plan, child_keys, own_endpoint, with_password
from schemas.cards import CardFacts
from schemas.codes import Tier
from schemas.moments import format_instant

MOVED = "kz.abai.semey"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "password").write_text("secret\n")
    keys = Keys(folder=tmp_path, root=tmp_path, authorities=tmp_path, crls=tmp_path)
    broker = Broker(url="amqp://localhost", user="daemon", password_file=tmp_path / "password")
    return Config(
        address=DISTRICT,
        data=tmp_path,
        keys=keys,
        database=Database(url="postgresql:///"),
        broker=broker,
        parent=Parent(urls=("amqps://parent",)),
    )


def registry(*cards):
    """Return a district's registry of children, each an address, a standing and an uplink."""
    found = Registry(DISTRICT)
    for number, (address, standing, uplink) in enumerate(cards, 1):
        facts = CardFacts(
            address=address,
            tier=Tier.SCHOOL,
            standing=standing,
            since=format_instant(NOW),
            uplink=uplink,
        )
        found.take(KnownCard(facts, number, b"", b""))
    return found


def test_a_node_calls_its_parent_by_name(config):
    """Without another word the address tells whom to call."""
    assert config.uplink == OBLAST


def test_a_moved_node_calls_whom_it_is_told(config):
    """`[parent] address` names the neighbour that the node hangs under."""
    parent = Parent(urls=("amqps://parent",), address="kz.abai")
    assert msgspec.structs.replace(config, parent=parent).uplink == "kz.abai"


def test_the_root_calls_nobody(config):
    """Without a parent in name or configuration there is nobody."""
    assert msgspec.structs.replace(config, address="kz", parent=None).uplink is None


def toml(tmp_path, *lines):
    path = tmp_path / "node.toml"
    head = [
        f'address = "{DISTRICT}"',
        'data = "."',
        *lines,
        "[keys]",
        'folder = "."',
        'root = "."',
        'authorities = "."',
        'crls = "."',
        "[database]",
        'url = "postgresql:///"',
        "[parent]",
        'urls = ["amqps://parent"]',
    ]
    path.write_text("\n".join(head) + "\n")
    return path


@pytest.mark.parametrize("address", [DISTRICT, SCHOOL])
def test_nobody_hangs_below_itself(tmp_path, address):
    """An uplink that is the node itself, or lies below it, is a fault of the configuration."""
    path = toml(tmp_path)
    path.write_text(f'{path.read_text()}address = "{address}"\n')
    with pytest.raises(ConfigurationFault, match=r"parent\.address"):
        load_config(path)


def test_children_are_no_configuration(tmp_path):
    """A file that still lists children is told so, and not taken half."""
    with pytest.raises(ConfigurationFault, match="children: unknown"):
        load_config(toml(tmp_path, "children = []"))


def test_a_folder_of_cards_must_be_there(tmp_path):
    """A path to cards that leads nowhere is a fault, as for lists and authorities."""
    path = toml(tmp_path)
    path.write_text(path.read_text().replace('crls = "."', 'crls = "."\ncards = "nowhere"'))
    with pytest.raises(ConfigurationFault, match=r"keys\.cards"):
        load_config(path)


def test_the_brokers_plan_follows_the_cards(config):
    """All that hang under us have login and queues, suspended ones too; who left has nothing."""
    tree = registry(
        (f"{DISTRICT}.school-1", "active", None),
        (f"{DISTRICT}.school-2", "suspended", None),
        (f"{DISTRICT}.school-3", "closed", None),
        (f"{DISTRICT}.school-4", "active", OBLAST),
        (MOVED, "active", DISTRICT),
    )
    planned = broker_plan(config, tree)
    queues = {row["name"] for row in planned["queues"] if row["name"].startswith("up.")}
    assert child_keys(tree) == ["school-1", "school-2", MOVED]
    assert queues == {"up.school-1", "up.school-2", f"up.{MOVED}"}
    assert [row["name"] for row in planned["users"]] == [
        "daemon",
        "school-1.burabay.akmola.kz.bbaj.internal",
        "school-2.burabay.akmola.kz.bbaj.internal",
        "semey.abai.kz.bbaj.internal",
    ]


def test_a_daemon_tries_every_node_of_its_cluster(config):
    """`broker.url` comes first, `more_urls` after it."""
    more = ("amqp://second", "amqp://third")
    broker = msgspec.structs.replace(config.broker, more_urls=more)
    endpoint = own_endpoint(msgspec.structs.replace(config, broker=broker))
    assert [target.url for target in endpoint._targets] == ["amqp://localhost", *more]


def test_a_password_goes_with_every_host():
    """A URL that names a standby beside the primary keeps both, and what it asks of them."""
    url = "postgresql://{}@first:5432,second:5433/bbaj?target_session_attrs=read-write"
    assert with_password(url.format("bbaj"), "a/b") == url.format("bbaj:a%2Fb")
