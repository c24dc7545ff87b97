"""The tree as commands know it: the cards of the record, and those of files not taken yet."""

from collections.abc import Mapping

import msgspec

from exchange.core.registry import Registry
from exchange.topology import link_key
from nodes.card_files import registry_from, statements_in
from nodes.cli.opening import reading
from nodes.clock import now
from nodes.config import Config
from schemas.addresses import dns_name
from schemas.cards import enrolment_address
from schemas.moments import MINUTE, Instant
from schemas.records import InvitationRow, InvitationUse
from store.errors import StoreMisfit, StoreUnavailable

USED_GRACE_US = 10 * MINUTE
"""So long after its use a machine may still ask for what it has been granted."""


class Tree(msgspec.Struct, frozen=True):
    """What cards say, and who else may use a child's link."""

    registry: Registry
    guests: dict[str, str]
    """Users of invitations that have not ended, each with the key of its link."""
    gone: frozenset[str] = frozenset()
    """Users of invitations that have ended; of others nothing is known here yet."""
    recorded: bool = True
    """False where the record did not answer: then nobody knows of guests."""


async def read_tree(config: Config) -> Tree:
    """Return the tree of a node. Raises StoreUnavailable, StoreMisfit."""
    async with reading(config) as desk:
        rows, invitations = await desk.cards(), await desk.invitations()
        endings = await desk.invitation_endings()
    statements = [row.object for row in rows] + statements_in(config.keys.cards)
    registry = registry_from(config.address, statements)
    guests = _guests(config.address, invitations, endings)
    users = {login_of(config.address, each) for each in invitations}
    return Tree(registry, guests, frozenset(users - guests.keys()))


async def tree_at_hand(config: Config) -> Tree:
    """Return the tree; where the record does not answer or is not there yet, that of the files."""
    try:
        return await read_tree(config)
    except (StoreUnavailable, StoreMisfit):
        registry = registry_from(config.address, statements_in(config.keys.cards))
        return Tree(registry, {}, recorded=False)


def _guests(
    here: str, invitations: list[InvitationRow], endings: Mapping[str, InvitationUse]
) -> dict[str, str]:
    moment = now()
    return {
        login_of(here, each): link_key(here, each.address)
        for each in invitations
        if is_open(each, endings.get(each.id), moment)
    }


def login_of(here: str, invitation: InvitationRow) -> str:
    """Return the user of an invitation at the broker of the node that gave it."""
    return dns_name(enrolment_address(here, invitation.id))


def is_open(invitation: InvitationRow, ending: InvitationUse | None, moment: Instant) -> bool:
    """Say whether an invitation needs its login: unused, or used a moment ago."""
    if ending is not None and ending.state == "withdrawn":
        return False
    used = ending is not None and moment - ending.at > USED_GRACE_US
    return invitation.ends > moment and not used
