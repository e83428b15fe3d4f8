"""What a blueprint keeps ready, by time of day.

A schedule is a list of entries, each with a cron expression. The entry whose time came last is in
force until that of another comes. Cron times are wall-clock times of a time zone: a time that the
clocks skip comes when they have skipped it, and a time that they repeat comes once, the first time.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Annotated, Any

import pydantic
from croniter import CroniterError, croniter

from buildbot_drydock.latent.problems import Fields, unit
from buildbot_drydock.latent.written import Written

_FIVE = 5  # the parts of a cron expression without seconds


def _checked_cron(value: str) -> str:
    parts = value.split()
    if not value.startswith("@") and len(parts) != _FIVE:
        raise ValueError(f"a cron expression has 5 parts, this has {len(parts)}")
    if any(part[:1] in "hHrR" for part in parts):
        raise ValueError("hashed and random times are not supported")
    try:
        croniter(value, datetime(2000, 1, 1)).get_next(datetime)  # noqa: DTZ001 a wall-clock time
    except (CroniterError, ValueError, KeyError) as wrong:
        raise ValueError(f"not a cron expression that ever comes: {wrong}") from None
    return value


def _checked_zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone is known on this machine") from None
    return value


class Entry(Fields):
    """One line of a schedule, validated."""

    cron: Annotated[str, pydantic.AfterValidator(_checked_cron)] = pydantic.Field(
        description="When the entry comes into force: minute, hour, day of month, month, weekday.",
    )
    min_ready: int | None = pydantic.Field(
        default=None,
        ge=0,
        description="Idle resources kept warm from then on; the blueprint's own if not given.",
        json_schema_extra=unit("resources"),
    )
    limit: int | None = pydantic.Field(
        default=None,
        ge=0,
        description="Living resources at once from then on; the blueprint's own if not given.",
        json_schema_extra=unit("resources"),
    )
    timezone: Annotated[str, pydantic.AfterValidator(_checked_zone)] | None = pydantic.Field(
        default=None,
        description="The time zone of the cron expression, such as 'Europe/Berlin'; that of the "
        "master's machine if not given.",
    )


class Schedule(Written):
    """One line of a schedule, as written in master.cfg: ``Schedule('0 8 * * mon-fri', limit=9)``."""

    def __init__(self, cron: object, **arguments: Any) -> None:
        super().__init__(cron=cron, **arguments)


def in_force(entries: Sequence[Entry], now: float) -> Entry | None:
    """Return the entry whose time came last; of several at one time, the last in the list."""
    latest, found = float("-inf"), None
    for entry in entries:
        came_at = last_time(entry, now)
        if came_at >= latest:
            latest, found = came_at, entry
    return found


def next_change(entries: Sequence[Entry], now: float) -> float | None:
    """Return when the next entry comes into force, after *now*; ``None`` without entries."""
    return min((next_time(entry, now) for entry in entries), default=None)


def last_time(entry: Entry, now: float) -> float:
    """Return the last time, not after *now*, at which the entry came."""
    zone = _zone(entry)
    shown = _wall(now, zone)
    # While the clocks show an hour again, all of it has already been.
    repeated = _first_shown(shown, zone, fold=1) - _first_shown(shown, zone, fold=0)
    ahead = timedelta(seconds=max(0.0, repeated) * shown.fold + 1)
    times = croniter(entry.cron, shown.replace(fold=0) + ahead)
    while (came_at := _instant(times.get_prev(datetime), zone)) > now:
        pass
    return came_at


def next_time(entry: Entry, now: float) -> float:
    """Return the next time, after *now*, at which the entry comes."""
    zone = _zone(entry)
    times = croniter(entry.cron, _wall(now, zone).replace(fold=0))
    while (comes_at := _instant(times.get_next(datetime), zone)) <= now:
        pass
    return comes_at


def _zone(entry: Entry) -> tzinfo | None:
    """Return the time zone; ``None`` is what Python takes for the machine's own."""
    return zoneinfo.ZoneInfo(entry.timezone) if entry.timezone else None


def _wall(instant: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(instant, zone).replace(tzinfo=None)


def _first_shown(wall: datetime, zone: tzinfo | None, *, fold: int) -> float:
    return wall.replace(tzinfo=zone, fold=fold).timestamp()


def _instant(wall: datetime, zone: tzinfo | None) -> float:
    """Return when the clocks first show a time, or first show more than it if they skip it."""
    instant = _first_shown(wall, zone, fold=0)
    if _wall(instant, zone) == wall:
        return instant
    before, after = _first_shown(wall, zone, fold=1), instant
    while after - before > 1:  # clocks change on whole seconds
        middle = (before + after) // 2
        if _wall(middle, zone) > wall:
            after = middle
        else:
            before = middle
    return after
