"""Links that were suspended: shown, lifted, or suspended by hand. The daemon obeys at its sweep."""

from nodes.cli.errors import UsageFault
from nodes.cli.opening import reading
from nodes.cli.registries import read_tree
from nodes.cli.shapes import LinkStanding
from nodes.clock import now
from nodes.config import Config
from schemas.moments import format_instant
from schemas.records import LinkMark


async def list_links(config: Config) -> list[LinkStanding]:
    """Return every neighbour with the newest mark of its link."""
    neighbours = await _neighbours(config)
    async with reading(config) as desk:
        marks = await desk.link_marks()
    return [_standing(each, marks.get(each)) for each in neighbours]


async def mark_link(config: Config, neighbour: str, action: str, why: str) -> LinkStanding:
    """Suspend or lift a link. Raises UsageFault for an address that is no neighbour."""
    neighbours = await _neighbours(config)
    if neighbour not in neighbours:
        known = ", ".join(neighbours)
        raise UsageFault(f"{neighbour} is no neighbour of {config.address}: name one of {known}")
    mark = LinkMark(neighbour, now(), action, why)
    async with reading(config) as desk:
        await desk.mark_link(mark)
    return _standing(neighbour, mark)


async def _neighbours(config: Config) -> list[str]:
    children = (await read_tree(config)).registry.children
    return [*children] if config.uplink is None else [config.uplink, *children]


def _standing(neighbour: str, mark: LinkMark | None) -> LinkStanding:
    if mark is None:
        return LinkStanding(neighbour=neighbour, state="in use", since=None, why="")
    state = "suspended" if mark.action == "suspended" else "in use"
    return LinkStanding(
        neighbour=neighbour, state=state, since=format_instant(mark.at), why=mark.why
    )
