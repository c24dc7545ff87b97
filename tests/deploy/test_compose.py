"""The network of containers is sound in itself: no engine is here to run it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest
import yaml

from nodes.config import load_config
from nodes.sandbox.postgres import PrivatePostgres
from schemas.addresses import label_of, parent_of

pytestmark = pytest.mark.slow

TOP = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((TOP / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
NETWORK = {
    "kz": "republic",
    "kz.zhambyl": "oblast",
    "kz.zhambyl.taraz": "city",
    "kz.zhambyl.taraz.auliyeata": "district",
    "kz.zhambyl.taraz.auliyeata.school-7": "school",
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Make the files of the network as the service `prepare` does."""
    folder = tmp_path_factory.mktemp("prepared") / "network"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for _ in range(2):
        subprocess.run(
            [TOP / "deploy" / "prepare.sh", folder], env=environment, check=True, timeout=100
        )
    return folder


def mounts():
    return [
        (name, *volume.split(":")[:2])
        for name, service in SERVICES.items()
        for volume in service.get("volumes", ())
    ]


@pytest.mark.parametrize("address", NETWORK)
def test_every_tier_has_its_services(address):
    """Each has a database and a node; each but the leaf a broker."""
    label = label_of(address)
    kinds = [kind for kind in ("database", "broker", "node") if f"{kind}-{label}" in SERVICES]
    leaf = address not in map(parent_of, NETWORK)
    assert kinds == (["database", "node"] if leaf else ["database", "broker", "node"])


def test_what_services_wait_for_exists():
    """Every name that is waited for, or whose network is shared, is a service."""
    named = [name for service in SERVICES.values() for name in service.get("depends_on", ())]
    shared = [
        service.get("network_mode", "").removeprefix("service:") for service in SERVICES.values()
    ]
    assert {*named, *filter(None, shared)} - set(SERVICES) == set()


def test_volumes_are_declared():
    """Every named volume stands in the list of volumes, and none beside them."""
    used = {source for _, source, _ in mounts() if not source.startswith(".")}
    assert used == set(COMPOSE["volumes"])


def test_no_two_services_share_data():
    """A named volume has one service."""
    used = [source for _, source, _ in mounts() if not source.startswith(".")]
    assert sorted(used) == sorted(set(used))


def test_what_is_mounted_exists(prepared):
    """Every folder or file mounted is in the checkout, or made by `prepare`."""
    sources = {source for _, source, _ in mounts() if source.startswith("./")}
    places = {
        source: prepared / Path(source).relative_to("network")
        if source.startswith("./network")
        else TOP / source
        for source in sources
    }
    assert [source for source, place in places.items() if not place.exists()] == []


@pytest.mark.parametrize("address", NETWORK)
def test_configurations_are_sound(prepared, address):
    """`prepare` writes configurations that nodes accept."""
    assert load_config(prepared / address / "node" / "node.toml").address == address


@pytest.mark.parametrize("address", NETWORK)
def test_configurations_name_services(prepared, address):
    """Databases and parents' brokers are named as the services are."""
    config = load_config(prepared / address / "node" / "node.toml")
    urls = [config.database.url, *(config.parent.urls if config.parent else ())]
    hosts = {re.split(r"[/@:]+", url.split("://")[1].rsplit("@")[-1])[0] for url in urls}
    assert hosts <= set(SERVICES)


def test_brokers_get_no_other_key(prepared):
    """A broker sees the link key alone: packets and journal are not its to sign."""
    files = {path.name for path in prepared.glob("*/broker/*")}
    assert files == {"root.pem", "link.pem", "link.key", "definitions.json"}


def test_prometheus_scrapes_every_node_and_broker():
    """Targets are services, with the node and the tier as labels."""
    config = yaml.safe_load((TOP / "deploy" / "prometheus.yml").read_text())
    nodes, brokers = [job["static_configs"] for job in config["scrape_configs"]]
    assert {each["labels"]["node"]: each["labels"]["tier"] for each in nodes} == NETWORK
    hosts = {target.split(":")[0] for each in nodes + brokers for target in each["targets"]}
    assert hosts <= set(SERVICES)


def test_image_runs_what_was_tested():
    """What the image installs is pinned as in the lock of the whole."""
    whole, image = [
        set(re.findall(r"^\S+==\S+", (TOP / path).read_text(), re.MULTILINE))
        for path in ("requirements.lock", "deploy/requirements.lock")
    ]
    assert image < whole


async def test_roles_of_the_database(prepared):
    """The owner can make tables, the daemon cannot, with the passwords that nodes have."""
    with tempfile.TemporaryDirectory(prefix="bbaj-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        server = PrivatePostgres(Path(name) / "postgres")
        await server.start()
        try:
            make_roles(server, prepared / "kz" / "database")
            await execute_as(server, prepared, "owner")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await execute_as(server, prepared, "daemon")
        finally:
            await server.stop()


def make_roles(server, secrets):
    password = (server.folder / "superuser").read_text()
    environment = {
        "PATH": os.environ["PATH"],
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGPASSWORD": password,
        "POSTGRES_USER": "postgres",
        "BBAJ_SECRETS": str(secrets),
    }
    script = TOP / "deploy" / "initdb" / "roles.sh"
    subprocess.run([shutil.which("sh"), script], env=environment, check=True, timeout=30)


async def execute_as(server, prepared, role):
    connection = await asyncpg.connect(
        host="127.0.0.1",
        port=server.port,
        user=f"bbaj_{role}",
        database="bbaj",
        password=(prepared / "kz" / "node" / f"{role}.password").read_text().strip(),
    )
    try:
        await connection.execute("CREATE TABLE anything ()")
    finally:
        await connection.close()
