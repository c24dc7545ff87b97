"""The country at work: events in order of time, from the first drop until everything is closed.

A node takes groups of messages, as `exchange.service` does, at the measured cost of commits and
pieces; a group that a power cut ends comes again. Lines carry bundles and know nothing of time.
What is left out: files and inboxes of local systems, certificates and cards, checks that refuse,
receipts that are repeated, and all that neighbours say while nothing is sent.
"""

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from exchange.core.backoff import next_resend
from exchange.supervisor import Backoff, fraction
from nodes.simulate.costs import PLACE_OF_TIER, Costs
from nodes.simulate.country import Country
from nodes.simulate.groups import Greeting, NodeState, wall_us
from nodes.simulate.lines import LIMITS, Bundle, Exchange, Frame, Line
from nodes.simulate.outages import Outage
from nodes.simulate.traffic import Drop, LineClass, Traffic
from schemas.codes import Tier
from schemas.moments import HOUR, MINUTE, SECOND

BOOT_MOST_US = 3 * MINUTE
"""Machines come up within so long after the power."""
CATCH_UP_US = 30 * MINUTE
"""Local systems hand over within so long what could not be handed over in the dark."""

Progress = Callable[[str, int, int], None]


class World:
    """A day of the country."""

    def __init__(
        self,
        country: Country,
        traffic: Traffic,
        *,
        classes: Sequence[LineClass],
        drops: Sequence[Drop],
        outages: Sequence[Outage],
        costs: Costs,
    ) -> None:
        """Lay the lines, and put down what will be handed over and what will fail."""
        self.country = country
        self.nodes = [NodeState(place) for place in range(len(country.members))]
        self.lines: dict[tuple[int, int], Line] = {}
        self.exchanges: list[Exchange] = []
        self.resent = 0
        self.lost_bundles = 0
        self.greetings = 0
        self.events = 0
        self.open = 0
        self.most_open = 0
        self._costs = costs
        self._cut: set[int] = set()
        """Nodes whose line to the parent is cut."""
        self._connecting: set[int] = set()
        self._heap: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._order = 0
        self._now = 0
        lone = costs.piece_us["relay"] + costs.commit_us["relay"]
        self._message_us = max(0, costs.hop_us - wall_us(lone))
        self._children: list[list[int]] = [[] for _ in self.nodes]
        for place, parent in enumerate(country.parents):
            if place != parent:
                self._children[parent].append(place)
                rate, delay_us = classes[place].bytes_per_s, classes[place].delay_ms * 1000
                self.lines[place, parent] = Line(place, parent, rate, delay_us)
                self.lines[parent, place] = Line(parent, place, rate, delay_us)
        for number, drop in enumerate(drops):
            exchange = self._exchange(number, drop, traffic)
            self.exchanges.append(exchange)
            self._at(drop.at, self._hand_over, exchange)
        for outage in outages:
            self._at(outage.begins, self._fail, outage)
            self._at(outage.ends, self._mend, outage)

    def run(self, on_progress: Progress, until: int) -> None:
        """Let time go by until nothing is left to happen, or until a moment."""
        hours = until // HOUR
        told = -1
        while self._heap and self._heap[0][0] <= until:
            self._now, _, action, argument = heapq.heappop(self._heap)
            self.events += 1
            if self._now // HOUR > told:
                told = self._now // HOUR
                on_progress("country", told, hours)
            action(argument)
        on_progress("country", hours, hours)

    def idle_us_per_s(self, tier: Tier) -> float:
        """Return the processor time that a node of a tier uses when nothing comes."""
        return self._costs.idle_us_per_s[PLACE_OF_TIER[tier]]

    # --- documents ----------------------------------------------------------------------------

    def _exchange(self, number: int, drop: Drop, traffic: Traffic) -> Exchange:
        rule = traffic.document[drop.rule]
        return Exchange(
            number=number,
            rule=drop.rule,
            path=self.country.path(drop.sender, drop.recipient),
            dropped=drop.at,
            sizes=(self._costs.frame_bytes[rule.type], *self._costs.answer_bytes),
            lane=rule.lane,
            custody=[],
        )

    def _hand_over(self, exchange: Exchange) -> None:
        node = self.nodes[exchange.path[0]]
        if not node.is_up:
            node.dark.append(exchange)
            return
        node.queue.append(exchange)
        self._work(node)

    def _resend(self, exchange: Exchange) -> None:
        """Place a packet again that no receipt came for, unless its first place is not noted."""
        if exchange.delivered >= 0:
            return
        exchange.attempts += 1
        self._plan_resend(exchange)
        if len(exchange.custody) > 1 and self.nodes[exchange.path[0]].is_up:
            self.resent += 1
            size = exchange.sizes[0]
            copy = Frame(exchange, 0, exchange.path, size, exchange.lane, again=True)
            self._place(copy)

    def _plan_resend(self, exchange: Exchange) -> None:
        when = next_resend(str(exchange.number), exchange.attempts, self._now, LIMITS)
        self._at(when, self._resend, exchange)

    # --- nodes --------------------------------------------------------------------------------

    def _work(self, node: NodeState) -> None:
        """Begin the next group, where there is one and the node is free."""
        if node.group or not node.is_up or not node.queue:
            return
        frames, cost = node.take_group(self._costs)
        minute = self._now // MINUTE
        node.used_us[minute] += round(cost.total)
        node.frames[minute] += frames
        self._at(self._now + wall_us(cost), self._committed, (node, node.life))

    def _committed(self, ended: tuple[NodeState, int]) -> None:
        node, life = ended
        if life != node.life:
            return
        group, node.group = node.group, []
        for message in group:
            match message:
                case Greeting():
                    self._greeted(message.child)
                case Exchange():
                    message.custody.append(self._now)
                    self.open += 1
                    self.most_open = max(self.most_open, self.open)
                    self._plan_resend(message)
                    way = message.path
                    self._place(Frame(message, 0, way, message.sizes[0], message.lane))
                case Bundle() if message.life != message.line.life:
                    self.lost_bundles += 1  # its connection is over: it comes again
                case Bundle():
                    for frame in message.frames:
                        self._take(frame)
                    when = self._now + self._message_us + message.line.delay_us
                    self._at(when, self._noted, message)
        self._work(node)

    def _take(self, frame: Frame) -> None:
        """Do what a frame causes at the node that has just committed it."""
        frame.at += 1
        exchange, is_last = frame.exchange, frame.at == len(frame.way) - 1
        if frame.again:
            if _goes_on(frame):
                self._place(frame)
            return
        if frame.step == 0:
            exchange.custody.append(self._now)
        elif frame.step == 1:
            exchange.answered += 1
        if not is_last:
            self._place(frame)
        elif frame.step == 0:
            exchange.answered = 1
            self._answer(exchange, 1)
        elif frame.step == 1:
            exchange.delivered = self._now
            self._answer(exchange, 2)
        else:
            exchange.closed = self._now
            self.open -= 1

    def _answer(self, exchange: Exchange, step: int) -> None:
        way = exchange.path[::-1] if step == 1 else exchange.path
        self._place(Frame(exchange, step, way, exchange.sizes[step], "fast"))

    # --- lines --------------------------------------------------------------------------------

    def _place(self, frame: Frame) -> None:
        line = self.lines[frame.way[frame.at], frame.way[frame.at + 1]]
        line.place(frame, self._now)
        self._send(line)

    def _send(self, line: Line) -> None:
        """Send the next bundle, now or when the line is free."""
        if not line.is_up or line.is_woken:
            return
        if line.free_at > self._now:
            line.is_woken = True
            self._at(line.free_at, self._wake, line)
            return
        bundle = line.next_bundle()
        if bundle is None:
            return
        size = sum(frame.size for frame in bundle.frames) + self._costs.bundle_bytes
        through = line.carry(size, self._now)
        self._at(through + line.delay_us + self._message_us, self._arrive, bundle)
        self._send(line)

    def _wake(self, line: Line) -> None:
        line.is_woken = False
        self._send(line)

    def _arrive(self, bundle: Bundle) -> None:
        if bundle.life != bundle.line.life:
            self.lost_bundles += 1
            return
        node = self.nodes[bundle.line.receiver]
        node.queue.append(bundle)
        self._work(node)

    def _noted(self, bundle: Bundle) -> None:
        if bundle.life == bundle.line.life:
            bundle.line.taken(bundle.lane, len(bundle.frames))
            self._send(bundle.line)

    # --- what fails -----------------------------------------------------------------------------

    def _fail(self, outage: Outage) -> None:
        if not outage.is_power:
            self._cut.add(outage.place)
            self._disconnect(outage.place)
            return
        node = self.nodes[outage.place]
        node.is_up = False
        node.life += 1
        messages = [*node.group, *node.queue]
        node.dark += [each for each in messages if isinstance(each, Exchange)]
        node.group.clear()
        node.queue.clear()
        self._disconnect(node.place)
        for child in self._children[node.place]:
            self._connecting.discard(child)
            self._disconnect(child)

    def _mend(self, outage: Outage) -> None:
        place = outage.place
        if outage.is_power:
            booted = self._now + int(BOOT_MOST_US * _drawn("boot", place))
            self._at(booted, self._boot, self.nodes[place])
        else:
            self._cut.discard(place)
            self._connect_soon(place)

    def _boot(self, node: NodeState) -> None:
        node.is_up = True
        for exchange in node.dark:
            when = self._now + int(CATCH_UP_US * _drawn("drop", exchange.number))
            self._at(when, self._hand_over, exchange)
        node.dark.clear()
        self._connect_soon(node.place, at_once=True)
        for child in self._children[node.place]:
            self._connect_soon(child)

    def _disconnect(self, child: int) -> None:
        parent = self.country.parents[child]
        for line in (self.lines[child, parent], self.lines[parent, child]):
            line.cut()

    def _connect_soon(self, child: int, *, at_once: bool = False) -> None:
        """Have a child call its parent: at its next attempt, which long failures have put off."""
        pause = 0 if at_once else int(Backoff().most_s * SECOND * _drawn("call", child))
        self._at(self._now + pause, self._call, child)

    def _call(self, child: int) -> None:
        parent = self.nodes[self.country.parents[child]]
        is_possible = parent.is_up and self.nodes[child].is_up and child not in self._cut
        is_connected = self.lines[child, parent.place].is_up or child in self._connecting
        if is_possible and not is_connected:
            self._connecting.add(child)
            parent.queue.append(Greeting(child))
            self._work(parent)

    def _greeted(self, child: int) -> None:
        self._connecting.discard(child)
        self.greetings += 1
        parent = self.country.parents[child]
        for line in (self.lines[child, parent], self.lines[parent, child]):
            line.restore(self._now)
            line.carry(self._costs.greeting_bytes / 2, self._now)
            self._send(line)

    def _at(self, when: int, action: Callable[[Any], None], argument: object) -> None:
        self._order += 1
        heapq.heappush(self._heap, (when, self._order, action, argument))


def _goes_on(frame: Frame) -> bool:
    """Say whether a node passes a repeated packet on.

    Not where the first one still waits for a note, nor where the receipt is known.
    """
    held_at = len(frame.exchange.custody) - 1
    answered_from = len(frame.way) - frame.exchange.answered
    return frame.at < min(held_at, answered_from)


def _drawn(what: str, number: int) -> float:
    """Return a number in [0, 1) that is the same in every run."""
    return fraction(what.encode(), number)
