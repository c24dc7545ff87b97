"""A private RabbitMQ: own node name, epmd, cookie, ports and folder; mutual TLS and EXTERNAL.

Several nodes of bbaj may share one broker, a virtual host each: the TLS server name then chooses
the certificate (Erlang's `sni_hosts`), so that each child still checks its own parent's name.
"""

import asyncio
import json
import os
import re
import secrets
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from nodes.errors import ServiceDown
from nodes.sandbox.port_mapper import PortMapper
from nodes.sandbox.processes import (
    call,
    copy_for_service,
    end,
    give,
    keep_ports,
    kept_ports,
    programs_folder,
    spawn,
    wait_for_port,
)

BINARIES = ("/usr/lib/rabbitmq/bin", "/usr/local/lib/rabbitmq/bin", "/opt/rabbitmq/sbin")
PLUGINS = ("rabbitmq_auth_mechanism_ssl",)
STARTUP_S = 120.0


class BrokerTls(msgspec.Struct, frozen=True):
    """PEM files: the root alone, the server's certificate with its authority's, and its key."""

    ca: Path
    certificate: Path
    key: Path


class ClusterPlace(msgspec.Struct, frozen=True):
    """What a broker has in common with the others of its cluster."""

    nodes: Sequence[str]
    """Names of all as Erlang nodes; whoever starts first is joined by the rest."""
    cookie: str
    port_mapper: PortMapper
    crls: Path


class PrivateBroker:
    """One RabbitMQ in one folder; stopped and started again, it has its data."""

    def __init__(  # noqa: PLR0913 - all but two are for few, and have defaults
        self,
        folder: Path,
        *,
        name: str,
        tls: BrokerTls | None = None,
        sni: Mapping[str, BrokerTls] | None = None,
        log_vhost: str | None = None,
        schedulers: int = 1,
        plugins: Sequence[str] = (),
        place: ClusterPlace | None = None,
    ) -> None:
        """Stand by to run in `folder`; without `tls` nobody is let in but from this machine.

        With `log_vhost`, which is made, the broker publishes its log there; `plugins` are those
        beside the ones that every one of us has; with `place` it is one node of a cluster.
        """
        self.folder = folder
        self.name = name
        self._tls = tls
        self._sni = dict(sni or {})
        self._log_vhost = log_vhost
        self._schedulers = schedulers
        self._plugins = (*PLUGINS, *plugins)
        self._programs = programs_folder(BINARIES, "rabbitmq-server")
        self._process: asyncio.subprocess.Process | None = None
        self._place = place
        self.crls = place.crls if place else folder / "crls"
        """Where it looks for revocation lists; the nodes that it serves write them."""
        self._ports = kept_ports(folder / "ports", 4)
        self.amqp_port, self.amqps_port, self._distribution, epmd = self._ports
        self.amqp_ports: Sequence[int] = [self.amqp_port]
        self.amqps_ports: Sequence[int] = [self.amqps_port]
        """What clients try in turn; a cluster writes the ports of all its nodes here."""
        self._port_mapper = place.port_mapper if place else PortMapper(folder, epmd)

    @property
    def pid(self) -> int:
        """The broker's process id, once it is started."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Say whether it was started, and neither stopped nor killed since."""
        return self._process is not None and self._process.returncode is None

    @property
    def node_name(self) -> str:
        """Its name as an Erlang node; a cluster's own port mapper makes short ones do."""
        return f"{self.name}{'' if self._place else self.amqp_port}@localhost"

    @property
    def ctl_command(self) -> tuple[str, ...]:
        """The administration command; it wants `environment`."""
        return (str(self.folder / "programs" / "sbin" / "rabbitmqctl"),)

    @property
    def environment(self) -> dict[str, str]:
        """What the broker and its commands run with."""
        folder = self.folder
        return {
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": self.node_name,
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_PLUGINS_DIR": str(folder / "programs" / "plugins"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._port_mapper.port),
            # The start script then becomes the broker: no shell between us and it.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} "
                f"+S {self._schedulers}:{self._schedulers} +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }

    async def start(self) -> None:
        """Write the files, start, and wait until the broker takes connections."""
        self._write_files()
        await self._port_mapper.start()
        self._process = await spawn(
            [self.folder / "programs" / "sbin" / "rabbitmq-server"],
            environment=self.environment,
            folder=self.folder,
            log=self.folder / "server.log",
        )
        if not await wait_for_port(self.amqp_port, self._process, STARTUP_S):
            raise ServiceDown(f"broker {self.name} does not start: see {self.folder}/*.log")
        await self.ctl("await_startup", "--timeout", str(int(STARTUP_S)))

    async def ctl(self, *words: str) -> str:
        """Run rabbitmqctl and return its output. Raises ServiceDown."""
        return await call(
            [*self.ctl_command, "--quiet", *words],
            environment=self.environment,
            folder=self.folder,
        )

    async def stop(self) -> None:
        """Shut down in order; queues stay."""
        if self._process is not None:
            await end(self._process, signal.SIGTERM)
            self._process = None
        if self._place is None:
            await self._port_mapper.stop()

    async def kill(self) -> None:
        """End as a power cut of the process would; `start` or `stop` comes next."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            self._process = None

    async def restart(self) -> None:
        """Stop and start again on the same ports."""
        await self.stop()
        await self.start()

    def _write_files(self) -> None:
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        cookie = folder / ".erlang.cookie"
        if not cookie.exists():
            secret = self._place.cookie if self._place else secrets.token_hex(20)
            cookie.write_text(secret, encoding="ascii")
            cookie.chmod(0o400)
            keep_ports(folder / "ports", self._ports)
            link_programs(self._programs, folder / "programs", self._plugins)
        self.crls.mkdir(exist_ok=True)
        self.crls.chmod(0o755)
        (folder / "plugins").write_text(f"[{','.join(self._plugins)}].\n", encoding="ascii")
        (folder / "rabbitmq.conf").write_text(self._conf(), encoding="ascii")
        (folder / "advanced.config").write_text(self._advanced(), encoding="ascii")
        vhosts = [{"name": name} for name in ("/", self._log_vhost) if name]
        (folder / "definitions.json").write_text(json.dumps({"vhosts": vhosts}), encoding="ascii")
        give(folder)

    def _conf(self) -> str:
        secure = f"listeners.ssl.1 = 127.0.0.1:{self.amqps_port}\n" if self._tls else ""
        return f"""\
listeners.tcp.1 = 127.0.0.1:{self.amqp_port}
{secure}auth_mechanisms.1 = EXTERNAL
auth_mechanisms.2 = PLAIN
ssl_cert_login_from = subject_alternative_name
ssl_cert_login_san_type = dns
ssl_cert_login_san_index = 0
max_message_size = 16777216
raft.wal_max_size_bytes = 64000000
vm_memory_high_watermark.absolute = 1024MB
disk_free_limit.absolute = 100MB
log.file.level = info
{self._cluster_conf()}{self._log_conf()}"""

    def _cluster_conf(self) -> str:
        if self._place is None:
            return ""
        seeds = "".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}\n"
            for number, name in enumerate(self._place.nodes, start=1)
        )
        return f"""\
cluster_formation.peer_discovery_backend = classic_config
{seeds}cluster_partition_handling = pause_minority
"""

    def _log_conf(self) -> str:
        if self._log_vhost is None:
            return ""
        # Definitions of ours: else the broker would give `guest` all rights in that virtual host.
        return f"""\
log.exchange = true
log.exchange.level = notice
default_vhost = {self._log_vhost}
load_definitions = {self.folder}/definitions.json
"""

    def _advanced(self) -> str:
        """TLS stands here, whole: `sni_hosts` has no place in rabbitmq.conf."""
        if self._tls is None:
            return "[].\n"
        ca = copy_for_service(self._tls.ca, self.folder / "tls" / "root.pem")
        own = self._pair(self._tls, "server")
        hosts = ", ".join(
            f'{{"{name}", [{self._pair(tls, name)}]}}' for name, tls in self._sni.items()
        )
        return f"""\
[{{rabbit, [{{ssl_options, [
  {{cacertfile, "{ca}"}}, {own},
  {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}},
  {{versions, ['tlsv1.3', 'tlsv1.2']}}, {{reuse_sessions, false}},
  {{crl_check, best_effort}},
  {{crl_cache, {{ssl_crl_hash_dir, {{internal, [{{dir, "{self.crls}"}}]}}}}}},
  {{sni_hosts, [{hosts}]}}
]}}]}}].
"""

    def _pair(self, tls: BrokerTls, name: str) -> str:
        certificate = copy_for_service(tls.certificate, self.folder / "tls" / f"{name}.pem")
        key = copy_for_service(tls.key, self.folder / "tls" / f"{name}.key")
        return f'{{certfile, "{certificate}"}}, {{keyfile, "{key}"}}'


def link_programs(programs: Path, target: Path, plugins: Sequence[str]) -> None:
    """Lay RabbitMQ's programs out anew, with those plugins alone, and what they need.

    The broker looks at every plugin it finds at each start; without the others it needs half the
    time.
    """
    home = (programs / "rabbitmq-server").resolve().parent.parent
    target.mkdir()
    for name in ("sbin", "escript"):
        (target / name).symlink_to(home / name)
    (target / "plugins").mkdir()
    for plugin in needed_plugins(home / "plugins", plugins):
        (target / "plugins" / plugin.name).symlink_to(plugin)


def needed_plugins(folder: Path, plugins: Sequence[str]) -> list[Path]:
    """Return the applications in a plugin folder that plugins need, all that they name included."""
    found = {path.stem: path.parent.parent for path in folder.glob("*/ebin/*.app")}
    waiting = ["rabbit", "rabbitmq_prelaunch", *plugins]
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in needed or name not in found:
            continue
        needed.add(name)
        text = (found[name] / "ebin" / f"{name}.app").read_text(encoding="utf-8")
        listed = re.search(r"\{applications,\s*\[([^\]]*)\]", text)
        waiting += re.findall(r"\w+", listed[1]) if listed else []
    return [found[name] for name in sorted(needed)]
