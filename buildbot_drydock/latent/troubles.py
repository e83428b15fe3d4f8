"""What can be wrong with a listed machine, each with its remedy."""

from __future__ import annotations

from typing import Final

from buildbot_drydock.errors import CommandTimedOut, HostError, HostUnreachable
from buildbot_drydock.events import HostWarned
from buildbot_drydock.latent.health import Gravity, Trouble
from buildbot_drydock.latent.premises import MARKER, Look, Marker

CONNECTING: Final = "connecting"
LOOKING: Final = "looking at it"

_MEGABYTE: Final = 1_000_000


class Setback(HostError):
    """A machine cannot be used, for the reason that the trouble says."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.sentence())
        self.trouble = trouble


def trouble_of(error: HostError, phase: str) -> Trouble:
    """Return what an error met in a phase of the work means for the machine."""
    if isinstance(error, Setback):
        return error.trouble
    if isinstance(error, HostUnreachable):
        return _unreachable(error, phase)
    # A look takes no time, so a machine that does not come to an end with it hangs.
    silent = isinstance(error, CommandTimedOut) and phase in (CONNECTING, LOOKING)
    return Trouble(
        phase=phase, reason=str(error), gravity=Gravity.SILENT if silent else Gravity.UNFIT
    )


def _unreachable(error: HostUnreachable, phase: str) -> Trouble:
    """A machine that refuses us, or may be another one, does not think better of it by itself."""
    return Trouble(
        phase=error.phase or phase,
        reason=error.reason or str(error),
        remedy=error.remedy,
        gravity=Gravity.GRAVE if error.lasting else Gravity.SILENT,
    )


def foreign_marker(seen: Look, marker: Marker) -> Trouble:
    path = f"{seen.directory}/{MARKER}"
    return Trouble(
        phase=LOOKING,
        reason=f"another Drydock uses this machine, as {marker.token}",
        remedy=(
            f"list it in one of the two only, or remove {path} on it "
            "if that installation is no more"
        ),
        gravity=Gravity.GRAVE,
    )


def unreadable_marker(seen: Look) -> Trouble:
    path = f"{seen.directory}/{MARKER}"
    return Trouble(
        phase=LOOKING,
        reason=f"{path} holds what no Drydock wrote: {seen.unreadable[:60]!r}",
        remedy="see what uses the machine, and remove that file if nothing does",
        gravity=Gravity.GRAVE,
    )


def little_space(seen: Look, least: int) -> Trouble:
    free = (seen.free_bytes or 0) / _MEGABYTE
    return Trouble(
        phase=LOOKING,
        reason=f"{free:.0f} MB are free in {seen.directory}, and {least / _MEGABYTE:.0f} needed",
        remedy="make room there, or lower min_free_disk",
        gravity=Gravity.UNFIT,
    )


def skewed_clock(name: str, seen: Look) -> HostWarned:
    side = "ahead of" if seen.clock_ahead > 0 else "behind"
    return HostWarned(
        host=name,
        reason=f"its clock is {abs(seen.clock_ahead):.0f} s {side} the master's",
        remedy="let it be set by NTP; builds that compare times of files may go wrong",
    )
