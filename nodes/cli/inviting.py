"""`bbaj invite`, `invitation` and `remove`: who may join below this node, and who goes.

The enrolment key is made here and ends up in the invitation's text alone; broker user, rights,
queues and limits of child and invitation come by one import, whatever the number of addresses.
"""

import asyncio
import base64
import secrets
from collections.abc import Sequence

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from exchange.inviting import LONGEST_US, Invited, InviteOrder, UninviteOrder
from exchange.provision import Administration
from exchange.strangers import INCIDENT as STRANGER_REFUSED
from exchange.topology import Definitions, link_key, plan_child
from nodes.cli import children, describing
from nodes.cli.brokers import said_of
from nodes.cli.errors import NotDone, UsageFault
from nodes.cli.instructing import instruct, tell
from nodes.cli.invitation_shapes import (
    InvitationLine,
    InvitationMade,
    InvitationState,
    Removed,
    Withdrawn,
)
from nodes.cli.opening import reading
from nodes.cli.registries import Tree, read_tree
from nodes.clock import now
from nodes.config import Broker, Config
from nodes.errors import ConfigurationFault, NotFound
from nodes.invitations import make_text
from nodes.wiring import broker_names
from schemas.addresses import dns_name, is_address, parent_of
from schemas.cards import enrolment_address
from schemas.codes import Tier
from schemas.moments import DAY, HOUR, MINUTE, Instant, format_instant
from schemas.records import InvitationRow, InvitationUse
from signing.authority import make_request
from signing.profiles import Purpose

DEFAULT_US = LONGEST_US - 5 * MINUTE
"""The daemon's clock may be a little behind."""
TOLD_AT_ONCE = 8
"""So many instructions wait for the daemon side by side."""
STRANGERS_OF_US = 7 * DAY
INCIDENTS_LOOKED_AT = 1000


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator says of those invited; names and numbers for one address alone."""

    addresses: tuple[str, ...]
    tier: str | None = None
    names: dict[str, str] | None = None
    kato: dict[str, str] | None = None
    bin_: str | None = None
    types: tuple[str, ...] = ()
    hours: float | None = None
    urls: tuple[str, ...] = ()


class _Prepared(msgspec.Struct, frozen=True):
    order: InviteOrder
    key: ec.EllipticCurvePrivateKey
    user: str
    """The invitation's login at our broker."""
    is_new: bool
    """The address has no card yet."""


async def invite(config: Config, wish: Wish, wait_s: float) -> list[InvitationMade]:
    """Give invitations. Raises UsageFault, ConfigurationFault, NotDone and StillWaiting."""
    broker = _broker_of(config)
    tree = await read_tree(config)
    urls = wish.urls or broker.public_urls
    if not urls:
        raise ConfigurationFault(["broker.public_urls: missing: where do children reach it?"])
    prepared = [_prepare(config, broker, tree, wish, urls, each) for each in wish.addresses]
    administration, plan = Administration(broker.ctl), _plan(config, prepared)
    departures = await asyncio.to_thread(administration.apply_beside, plan, tree.gone)
    if departures:
        raise ConfigurationFault([f"broker: {said_of(each)}" for each in departures])
    room = asyncio.Semaphore(TOLD_AT_ONCE)

    async def give(one: _Prepared) -> InvitationMade | NotDone:
        async with room:
            order = msgspec.structs.replace(one.order, ends=format_instant(_end(wish.hours)))
            try:
                told = await instruct(config, "invite", order, wait_s=wait_s)
            except NotDone as error:
                await asyncio.to_thread(_take_back, config, one)
                return error
        return _made(one, msgspec.convert(told.content, Invited))

    given = await asyncio.gather(*map(give, prepared))
    declined = [each for each in given if isinstance(each, NotDone)]
    if declined:
        made = [each.address for each in given if isinstance(each, InvitationMade)]
        more = f"; invited all the same: {', '.join(made)}" if made else ""
        raise NotDone("; ".join(map(str, declined)) + more)
    return [each for each in given if isinstance(each, InvitationMade)]


def _broker_of(config: Config) -> Broker:
    if config.broker is None:
        raise ConfigurationFault(["broker: missing; only a node with a broker can have children"])
    return config.broker


def _prepare(
    config: Config, broker: Broker, tree: Tree, wish: Wish, urls: Sequence[str], address: str
) -> _Prepared:
    """Make the enrolment key and what the daemon is told. Raises UsageFault."""
    if not is_address(address) or parent_of(address) != config.address:
        raise UsageFault(f"{address} is no child of {config.address}: only those can be invited")
    card = tree.registry.card(address)
    if card is None:
        _check_tier(config, tree, wish.tier, address)
    invitation = secrets.token_hex(8)
    subject = enrolment_address(config.address, invitation)
    key = ec.generate_private_key(ec.SECP256R1())
    said = {
        "invitation": invitation,
        "address": address,
        "tier": wish.tier,
        "names": wish.names,
        "kato": wish.kato,
        "bin": wish.bin_,
        "types": wish.types,
        "urls": tuple(urls),
        "vhost": broker.vhost,
        "ends": format_instant(_end(wish.hours)),
        "request": base64.b64encode(_der_request(key, subject)).decode("ascii"),
    }
    try:
        order = msgspec.convert(said, InviteOrder)
    except msgspec.ValidationError as error:
        raise UsageFault(f"invite {address}: {error}") from error
    return _Prepared(order, key, dns_name(subject), card is None)


def _check_tier(config: Config, tree: Tree, tier: str | None, address: str) -> None:
    """Raise UsageFault where a new child's tier is not strictly below ours (R-6)."""
    if tier is None:
        raise UsageFault(f"{address} has no card yet: give --tier")
    if tier not in set(Tier):
        raise UsageFault(f"--tier {tier}: use one of {', '.join(Tier)}")
    own = tree.registry.card(config.address)
    ours = config.tier if own is None else own.facts.tier
    if ours is not None and not ours.is_above(Tier(tier)):
        raise UsageFault(f"--tier {tier} is not below {ours}, ours")


def _end(hours: float | None) -> Instant:
    return now() + (DEFAULT_US if hours is None else round(hours * HOUR))


def _der_request(key: ec.EllipticCurvePrivateKey, subject: str) -> bytes:
    pem = make_request(key, subject, Purpose.ENROLMENT)
    return x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)


def _plan(config: Config, prepared: Sequence[_Prepared]) -> Definitions:
    """Return what the broker needs for all of them: one import."""
    names = broker_names(config)
    joined: Definitions = {}
    for one in prepared:
        key = link_key(config.address, one.order.address)
        # Queues and bindings are the child's in both; the invitation adds its login.
        own, guest = plan_child(names, key), plan_child(names, key, user=one.user)
        for section, rows in own.items():
            rights = section in {"users", "permissions", "topic_permissions"}
            joined.setdefault(section, []).extend([*rows, *(guest[section] if rights else ())])
    return joined


def _take_back(config: Config, one: _Prepared) -> None:
    """Take away what an invitation that was declined has been given at the broker."""
    administration = Administration(_broker_of(config).ctl)
    administration.withdraw_user(one.user)
    if one.is_new:
        key = link_key(config.address, one.order.address)
        administration.withdraw_child(broker_names(config), key)


def _made(one: _Prepared, answer: Invited) -> InvitationMade:
    return InvitationMade(
        address=answer.address,
        invitation=answer.invitation,
        ends=answer.ends,
        new=one.is_new,
        text=make_text(base64.b64decode(answer.object), one.key),
    )


# ------------------------------------------------------------------ those given


async def list_invitations(config: Config) -> list[InvitationLine]:
    """Return every invitation given and what became of it, newest first."""
    async with reading(config) as desk:
        rows = await desk.invitations()
        endings, refused = await desk.invitation_endings(), await desk.refused_joins()
    moment = now()
    lines = [
        _line(row, endings.get(row.id), refused.get(row.id, 0), moment) for row in reversed(rows)
    ]
    known = {row.id for row in rows}
    strangers = [
        InvitationLine(
            invitation=name, address=None, made=None, ends=None, state="unknown", at=None,
            refused=count,
        )
        for name, count in refused.items()
        if name not in known
    ]  # fmt: skip
    return lines + strangers


async def strangers(config: Config) -> int:
    """Return how many incidents there were in the last week of callers not let in."""
    since = now() - STRANGERS_OF_US
    async with reading(config) as desk:
        rows = await desk.incidents(limit=INCIDENTS_LOOKED_AT)
    return sum(row.kind == STRANGER_REFUSED and row.happened >= since for row in rows)


def _line(
    row: InvitationRow, ending: InvitationUse | None, refused: int, moment: Instant
) -> InvitationLine:
    state: InvitationState
    if ending is not None:
        state = "used" if ending.state == "taken" else "withdrawn"
    else:
        state = "open" if row.ends > moment else "ended"
    return InvitationLine(
        invitation=row.id,
        address=row.address,
        made=format_instant(row.made),
        ends=format_instant(row.ends),
        state=state,
        at=None if ending is None else format_instant(ending.at),
        refused=refused,
    )


def withdraw(config: Config, invitation: str, wait_s: float) -> Withdrawn:
    """Withdraw an invitation that nobody has used, and its login."""
    try:
        order = msgspec.convert({"invitation": invitation}, UninviteOrder)
    except msgspec.ValidationError as error:
        raise NotFound(
            f"{invitation} is no invitation: `bbaj invitation list` shows them"
        ) from error
    told = tell(config, "uninvite", order, wait_s=wait_s)
    user = dns_name(enrolment_address(config.address, invitation))
    if config.broker is not None:
        Administration(config.broker.ctl).withdraw_user(user)
    address = told.content["address"]
    return Withdrawn(invitation=invitation, address=address, at=told.at, instruction=told.id)


# ------------------------------------------------------------------ who goes


def remove(
    config: Config, address: str, reason: str, successor: str | None, wait_s: float
) -> Removed:
    """Close a child for ever: its card, its invitations, its login, then its certificates."""
    revoke = describing.revoke(address, reason)
    for line in asyncio.run(list_invitations(config)):
        if line.address == address and line.state == "open":
            withdraw(config, line.invitation, wait_s)
    closed = children.close(config, address, successor, wait_s)
    told = tell(config, "revoke", revoke, wait_s=wait_s)
    return Removed(
        address=address,
        standing=closed.standing,
        successor=successor,
        waiting=closed.waiting,
        at=closed.at,
        broker=closed.broker,
        revoked=told.content["detail"],
    )
