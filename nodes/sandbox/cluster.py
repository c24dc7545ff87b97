"""Three private brokers as one cluster: each quorum queue has a replica on each of them.

What a network takes for its broker is `door`: with the ports of all three, so that daemons and
children go on at another node when theirs is gone. All must be started before topology is brought
there, or queues would get fewer replicas.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from nodes.errors import ServiceDown
from nodes.sandbox.port_mapper import PortMapper
from nodes.sandbox.processes import free_ports, give
from nodes.sandbox.rabbitmq import BrokerTls, ClusterPlace, PrivateBroker

MEMBERS = 3
"""One node or three: of two, neither has a majority without the other."""
FORMED_S = 60.0


class BrokerCluster:
    """Three brokers in one folder, on one machine."""

    def __init__(  # noqa: PLR0913 - what a single broker takes
        self,
        folder: Path,
        *,
        name: str,
        tls: BrokerTls | None = None,
        sni: Mapping[str, BrokerTls] | None = None,
        log_vhost: str | None = None,
        schedulers: int = 1,
        plugins: Sequence[str] = (),
    ) -> None:
        """Stand by to run in `folder`; the rest is as for one `PrivateBroker`."""
        self._folder = folder
        names = [f"{name}-{number}" for number in range(1, MEMBERS + 1)]
        self._port_mapper = PortMapper(folder, *free_ports(1))
        place = ClusterPlace(
            nodes=[f"{each}@localhost" for each in names],
            cookie=secrets.token_hex(20),
            port_mapper=self._port_mapper,
            crls=folder / "crls",
        )
        self.members = [
            PrivateBroker(
                folder / each,
                name=each,
                tls=tls,
                sni=sni,
                log_vhost=log_vhost,
                schedulers=schedulers,
                plugins=plugins,
                place=place,
            )
            for each in names
        ]
        for member in self.members:
            others = [each for each in self.members if each is not member]
            member.amqp_ports = [each.amqp_port for each in (member, *others)]
            member.amqps_ports = [each.amqps_port for each in (member, *others)]

    @property
    def door(self) -> PrivateBroker:
        """The first node, which also says where the others are."""
        return self.members[0]

    async def start(self) -> None:
        """Start all at once, and wait until each sees all. Raises ServiceDown."""
        self._folder.mkdir(parents=True, exist_ok=True)
        give(self._folder)
        await self._port_mapper.start()
        await asyncio.gather(*(member.start() for member in self.members))
        await self.until_whole()

    async def until_whole(self) -> None:
        """Wait until every node takes part, as after one was started again."""
        try:
            async with asyncio.timeout(FORMED_S):
                while len(await self.running()) < MEMBERS:  # noqa: ASYNC110 - others act
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            there = ", ".join(sorted(await self.running()))
            raise ServiceDown(f"after {FORMED_S:.0f} s the cluster is {there} alone") from error

    async def running(self) -> set[str]:
        """Return the Erlang nodes that take part, as one of them sees it."""
        status = json.loads(await self._one_up().ctl("cluster_status", "--formatter", "json"))
        return set(status["running_nodes"])

    async def leader_of(self, queue: str, vhost: str) -> PrivateBroker:
        """Return the node that leads a quorum queue. Raises ServiceDown where there is none."""
        words = ["-p", vhost, "name", "leader", "--formatter", "json"]
        listed = json.loads(await self._one_up().ctl("list_queues", *words))
        leaders = {each["name"]: each["leader"] for each in listed}
        for member in self.members:
            if leaders.get(queue) == member.node_name:
                return member
        raise ServiceDown(f"queue {queue} in {vhost} has no leader: {leaders}")

    def _one_up(self) -> PrivateBroker:
        return next(member for member in self.members if member.is_running)

    async def stop(self) -> None:
        """Shut all down in order, and the port mapper last."""
        await asyncio.gather(*(member.stop() for member in self.members))
        await self._port_mapper.stop()
