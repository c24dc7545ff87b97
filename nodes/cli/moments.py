"""Moments for people: UTC first, then the local zone with its offset (R-33.3)."""

from datetime import tzinfo

from nodes.said import Said
from schemas.moments import SECOND, as_datetime, parse_instant


def utc_and_local(text: str, zone: tzinfo | None = None) -> str:
    """Return a moment as `2026-11-23 03:32:06 UTC (08:32:06 +05:00)`; the zone is the machine's."""
    moment = as_datetime(parse_instant(text))
    local = moment.astimezone(zone)
    day = "" if local.date() == moment.date() else f"{local:%Y-%m-%d} "
    offset = f"{local:%z}"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({day}{local:%H:%M:%S} {offset[:3]}:{offset[3:5]})"


def utc_over_local(text: str, zone: tzinfo | None = None) -> str:
    """Return the same on two lines, for narrow columns."""
    first, _, second = utc_and_local(text, zone).partition(" (")
    return f"{first}\n{second[:-1]}"


def duration(seconds: float) -> Said:
    """Return a span of time in its largest two units."""
    if seconds < 0:
        return Said("span.negative", {"span": duration(-seconds)})
    if seconds < 60:
        return Said("span.seconds", {"seconds": f"{seconds:.3g}"})
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86400
    if minutes < 60:
        return Said("span.minutes", {"minutes": minutes, "seconds": int(seconds) % 60})
    if hours < 48:
        return Said("span.hours", {"hours": hours, "minutes": minutes % 60})
    return Said("span.days", {"days": days, "hours": hours % 24})


def seconds_between(earlier: int, later: int) -> float:
    """Return the seconds from one instant to another."""
    return (later - earlier) / SECOND
