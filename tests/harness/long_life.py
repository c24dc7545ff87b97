"""A district and the oblast above it, run for a moment in each of many years: records are real.

office = Office(folder, years)
await office.set_up(server)
async with office.living():                 # both nodes, with CRLs of the day
    await office.until_renewed(before)
    async with office.stamping(authority):  # and whoever asks time-stamp authorities
        await office.until_stamped(authority)
office.year += 1

The oblast holds the authority of both on line. The root lives for longer than `years`.
"""

import asyncio
from contextlib import asynccontextmanager

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.identity import new_packet_id
from exchange.jobs import Introduced
from exchange.stamping import StampWish
from harness.key_folders import PASSPHRASE, make_key_folder
from harness.pki import Network
from harness.service_node import Node, new_link, new_record
from nodes import clock
from nodes.cli import exporting
from nodes.cli.opening import find, reading
from nodes.cli.shelf import Shelf
from nodes.config import Config, Database, Keys, Policies, Timestamps
from nodes.evidence.draft import pem
from nodes.evidence.gather import gather
from nodes.policies import Policies as Announcer
from nodes.stamping import Stamping
from schemas.moments import DAY
from schemas.records import InstructionRow
from signing.algorithms import DEFAULT, AlgorithmPolicy, encode_policy
from signing.authority import Issuer, issue_authority, make_root
from signing.profiles import Purpose

TOP, PARENT, HERE = "kz", "kz.akmola", "kz.akmola.burabay"
YEAR = 365 * DAY + DAY // 4
PATIENCE_S = 60.0
ROUND_S = 0.05


class Watch:
    """What a node's telemetry is told of time-stamps; none of them may fail."""

    def timestamp_waited(self, _authority, _waited_s):
        """Leave waiting to others."""

    def outside_missing(self, *, missing):
        """Leave policy to others: a district needs no authority from outside."""

    def committed(self, _changes, _took_us):
        """Leave counting to others."""

    def noticed(self, event, **facts):
        assert event != "timestamp_failed", facts


async def until(look):
    """Return what there is to see, once there is anything: neither record nor folder tells."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await look()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


class Office:
    """The district with its record and its keys, and the oblast above it."""

    def __init__(self, folder, years):
        self.folder = folder
        self.years = years
        self.began = clock.now()
        self.year = 0
        root = make_root(
            ec.generate_private_key(ec.SECP384R1()), self.began, life_us=(years + 1) * YEAR
        )
        self.network = Network(self.began, root)
        for address in (TOP, PARENT, HERE):
            self.network.add(address)
        self.root_path = folder / "root.pem"
        self.root_path.write_bytes(pem(root.der))
        self.secret = folder / "passphrase"
        self.secret.touch(mode=0o600)
        self.secret.write_bytes(PASSPHRASE)
        self.table = folder / "algorithms.json"
        self.ends = {}
        self.child: Node
        self.parent: Node

    def now(self):
        """Return the moment that both nodes believe in."""
        return clock.now() + self.year * YEAR

    async def set_up(self, server):
        """Make both nodes' records, with room for every year, and their key folders."""
        moments = [self.began + year * YEAR for year in range(self.years + 1)]
        self.parent = await self._node(server, PARENT, moments)
        self.child = await self._node(server, HERE, moments)
        self.parent.authority = self.network.authorities[PARENT]
        self.child.signs = self.parent.signs = True
        self.network.current_crls()  # what a gate begins with is older than what the record hears

    async def _node(self, server, address, moments):
        name = f"years_{address.rpartition('.')[2]}"
        (self.folder / name).mkdir()
        record = await new_record(server, name, address, moments=moments)
        node = Node(address, self.network, self.folder / name, record)
        node.keys = make_key_folder(self.network, address, self.folder / f"{name}_keys")
        node.clock = self.now
        return node

    def config(self, *authorities):
        """Return the district's configuration, as far as stamps and exports read it."""
        self.table.write_bytes(encode_policy(self.policy))
        keys = Keys(
            folder=self.child.keys._folder,
            root=self.root_path,
            authorities=self.folder,
            crls=self.folder,
            passphrase_file=self.secret,
        )
        return Config(
            address=HERE,
            data=self.child._folder,
            keys=keys,
            database=Database(self.child.archive._url),
            policies=Policies(self.table),
            timestamps=tuple(Timestamps(a.name, a.url, a.root_path) for a in authorities),
        )

    @property
    def policy(self):
        """The table of algorithms as it is believed now."""
        ends = {name: self.began + year * YEAR for name, year in self.ends.items()}
        return AlgorithmPolicy({**DEFAULT.ends, **ends})

    # --- a life of both nodes -----------------------------------------------------------------

    @asynccontextmanager
    async def living(self):
        """Run both nodes with fresh CRLs, until the block ends."""
        link = new_link(HERE)
        self.network.crl_number = 100 * (self.year + 1)
        crls = self.network.crls(self.now())
        authorities = [each.der for each in self.network.authorities.values()]
        async with self.parent.live(link) as above, self.child.live(link) as here:
            above.state.greeted.set()  # its own parent is not here
            for service in (above, here):
                await service.submit(Introduced(authorities, crls, []))
            yield

    def replace_authority(self):
        """Have the root give the oblast's authority its next certificate, for the same key."""
        old = self.network.authorities[PARENT]
        public = old.key.public_key()
        made = issue_authority(self.network.root, PARENT, public, self.now())
        self.network.authorities[PARENT] = self.parent.authority = Issuer(made, old.key)

    def packet_keys(self):
        """Return the packet certificates in use, the district's first."""
        return [node.keys.certificates()[Purpose.PACKET] for node in (self.child, self.parent)]

    async def until_renewed(self, before):
        """Wait until both nodes have all of their next keys."""

        async def look():
            is_new = all(old != new for old, new in zip(before, self.packet_keys(), strict=True))
            nodes = (self.child, self.parent)
            return is_new and not any(n.keys.granted() or n.keys.asked() for n in nodes)

        await until(look)

    async def until_cosigned(self):
        """Wait until the oblast has cosigned all that counts in the district's journal."""

        async def look():
            journal = self.child.service.journal
            cosigned = await self.child.archive.newest_cosigned(1)
            return journal is not None and 0 < journal.leaves - journal.quiet <= cosigned

        await until(look)

    @asynccontextmanager
    async def stamping(self, *authorities):
        """Tell the node its policies, and have what is cosigned stamped, until the block ends."""
        config = self.config(*authorities)
        await Announcer(config, self.child.archive).announce(self.now())
        for each in authorities:
            each.clock_at = self.now()
        stamping = Stamping(config, self.child.service, self.now, Watch())
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(stamping.run(ROUND_S))
            yield
            task.cancel()

    async def until_stamped(self, by):
        """Wait for this year's time-stamp of an authority."""

        async def look():
            row = (await self.child.archive.newest_timestamps()).get(by.name)
            return row is not None and self.now() - row.at < DAY

        await until(look)

    async def renew_hash(self):
        """Do as `bbaj journal renew --hash` does; return what was stamped."""
        id_ = new_packet_id(self.now())
        said = msgspec.json.encode(StampWish(second_log=True))
        row = InstructionRow(id_, self.now(), "0" * 16, "renew-journal", said)
        await self.child.archive.instruct(row)
        outcome = await until(lambda: self.child.archive.instruction_outcome(id_))
        assert outcome.state == "done", outcome
        return [each["hash"] for each in msgspec.json.decode(outcome.content)["stamps"]]

    # --- the end ------------------------------------------------------------------------------

    async def gather(self, packet):
        """Return what the district's record has of a packet; no node runs."""
        config = self.config()
        shelf = Shelf(config)
        async with reading(config) as desk:
            row = (await find(desk, packet)).packet

            async def open_frame(each):
                return await exporting._opened(shelf, desk, each)

            exporter = exporting._exporter(config)
            return await gather(desk, row, exporter, open_frame, self.now())
