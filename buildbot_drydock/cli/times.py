"""Times and durations as people write and read them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import click

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")


def seconds_of(text: str) -> float:
    """Return the seconds of ``90``, ``45s``, ``2h`` or ``1h30m``. Raises ``ValueError``."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write one such as 45s, 30m, 2h or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def time_of(text: str, now: float) -> float:
    """Return the time, in seconds since the epoch, of a duration from *now* or of a date.

    A date without a zone is of this machine's zone. Raises ``ValueError``.
    """
    try:
        return now + seconds_of(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a duration such as 2h nor a date such as 2030-12-31T18:00"
        ) from None
    return found.timestamp()


def span(seconds: float) -> str:
    """Say how long, to two parts: ``45 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 d 2 h``."""
    whole = max(0, round(seconds))
    for size, name, smaller, smaller_name in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{whole} s"


def moment(time: float | None) -> str:
    """Say when, in this machine's zone, to the second."""
    if time is None:
        return ""
    return datetime.fromtimestamp(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


# --- as values of options --------------------------------------------------------------------


def duration_option(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the seconds that an option gives."""
    if value is None:
        return None
    try:
        found = seconds_of(value)
    except ValueError as problem:
        raise click.BadParameter(str(problem), ctx, param) from None
    if found <= 0:
        raise click.BadParameter("give a duration above zero", ctx, param)
    return found


def time_option(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Check a time to come. It stays a text until the master's clock is known."""
    if value is not None:
        try:
            time_of(value, 0.0)
        except ValueError as problem:
            raise click.BadParameter(str(problem), ctx, param) from None
    return value
