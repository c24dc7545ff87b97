"""A private RabbitMQ for tests of links, provisioned as a district with many schools."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from exchange.amqp import (
    Backoff,
    ClientTls,
    LocalEndpoint,
    OwnBrokerEndpoint,
    ParentEndpoint,
    PlainLogin,
)
from exchange.provision import Administration
from exchange.topology import Definitions, Names, hash_password, plan
from harness import link_pki
from schemas.addresses import dns_name

BINARIES = Path("/usr/lib/rabbitmq/bin")
ADDRESS = "kz.akmola.burabay"
CHILDREN = [f"school-{number}" for number in range(1, 101)]
SYSTEMS = [f"sis-{number}" for number in range(1, 9)]
FAST = Backoff(first_s=0.05, most_s=0.2)


@dataclass
class Child:
    """One school that no other test uses, and where its link key lies."""

    label: str
    address: str
    tls: ClientTls


@dataclass
class Broker:
    """A private broker, and all that tests need to know of it."""

    folder: Path
    port: int
    tls_port: int
    environment: dict[str, str]
    root: link_pki.Issuer
    authority: link_pki.Issuer
    names: Names
    administration: Administration
    login: PlainLogin
    planned: Definitions
    free_children: list[str] = field(default_factory=lambda: list(reversed(CHILDREN)))
    free_systems: list[str] = field(default_factory=lambda: list(reversed(SYSTEMS)))

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"amqps://127.0.0.1:{self.tls_port}"

    @property
    def ca(self) -> Path:
        return self.folder / "root.crt"

    def client_tls(self, files: link_pki.Files) -> ClientTls:
        return ClientTls(ca=self.ca, certificate=files.certificate, key=files.key)

    def new_child(self) -> Child:
        label = self.free_children.pop()
        address = f"{ADDRESS}.{label}"
        files = link_pki.issue(self.folder / label, self.authority, dns=(dns_name(address),))
        return Child(label, address, self.client_tls(files))

    def new_system(self) -> PlainLogin:
        name = self.free_systems.pop()
        return PlainLogin(name, f"password of {name}")

    def ctl(self, *words: str) -> str:
        return subprocess.run(
            [BINARIES / "rabbitmqctl", "--quiet", *words],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    def parent_endpoint(self, child: Child, *urls: str) -> ParentEndpoint:
        """Return the endpoint of a child of this broker's node."""
        return ParentEndpoint(
            address=child.address, urls=urls or [self.tls_url], tls=child.tls, backoff=FAST
        )

    def own_endpoint(self, url: str | None = None) -> OwnBrokerEndpoint:
        """Return the endpoint of this broker's node for its children."""
        return OwnBrokerEndpoint(
            address=ADDRESS, urls=[url or self.url], login=self.login, backoff=FAST
        )

    def local_endpoint(self) -> LocalEndpoint:
        """Return the endpoint of this broker's node for its local systems."""
        return LocalEndpoint(address=ADDRESS, urls=[self.url], login=self.login, backoff=FAST)


@contextmanager
def private_broker(folder: Path) -> Iterator[Broker]:
    """Start a broker in `folder`, provision it, and end it after the block."""
    root = link_pki.make_root()
    authority = link_pki.make_authority(root, "akmola.kz.bbaj.internal")
    (folder / "root.crt").write_bytes(link_pki.pem(root.certificate))
    files = link_pki.issue(folder / "node", authority, dns=(dns_name(ADDRESS),))
    ports = free_ports(5)
    environment = write_node(folder, files, ports)
    server = subprocess.Popen(
        [BINARIES / "rabbitmq-server"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until_started(environment, server)
        names = Names(address=ADDRESS, daemon_user="daemon")
        planned = plan(
            names,
            CHILDREN,
            {system: hash_password(system, f"password of {system}") for system in SYSTEMS},
            daemon_password_hash=hash_password("daemon", "secret of the daemon"),
        )
        administration = Administration([str(BINARIES / "rabbitmqctl")], environment)
        assert administration.apply(planned) == []
        yield Broker(
            folder=folder,
            port=ports[0],
            tls_port=ports[1],
            environment=environment,
            root=root,
            authority=authority,
            names=names,
            administration=administration,
            login=PlainLogin("daemon", "secret of the daemon"),
            planned=planned,
        )
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        stop_epmd(folder)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def write_node(folder: Path, files: link_pki.Files, ports: list[int]) -> dict[str, str]:
    """Write a node's files, and return the environment that its commands run in."""
    amqp, amqps, distribution, epmd, _ = ports
    cookie = folder / ".erlang.cookie"
    cookie.write_text(secrets.token_hex(16))
    cookie.chmod(0o400)
    (folder / "plugins").write_text("[rabbitmq_auth_mechanism_ssl].")
    (folder / "node.conf").write_text(
        f"""
listeners.tcp.1 = 127.0.0.1:{amqp}
listeners.ssl.1 = 127.0.0.1:{amqps}
ssl_options.cacertfile = {folder}/root.crt
ssl_options.certfile = {files.certificate}
ssl_options.keyfile = {files.key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
auth_mechanisms.1 = EXTERNAL
auth_mechanisms.2 = PLAIN
ssl_cert_login_from = subject_alternative_name
ssl_cert_login_san_type = dns
ssl_cert_login_san_index = 0
max_message_size = 16777216
raft.wal_max_size_bytes = 64000000
disk_free_limit.absolute = 50MB
log.file.level = info
"""
    )
    return {
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_NODENAME": f"t{amqp}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(folder / "node.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2"
        ),
    }


def wait_until_started(environment: dict[str, str], server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while True:
        done = subprocess.run(
            [BINARIES / "rabbitmqctl", "--quiet", "await_startup", "--timeout", "60"],
            env=environment,
            check=False,
            capture_output=True,
            timeout=90,
        )
        if done.returncode == 0:
            return
        assert server.poll() is None, "the broker ended at start"
        assert time.monotonic() < deadline, done.stderr.decode()
        time.sleep(0.5)


def stop_epmd(folder: Path) -> None:
    """End the port mapper that the node started and left behind: the one with its HOME."""
    home = f"HOME={folder}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "comm").read_text() != "epmd\n":
                continue
            if home in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGTERM)
