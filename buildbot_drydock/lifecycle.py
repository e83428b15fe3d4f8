"""Which status may follow which. The only module that knows.

Read a row as: *in this status, on this event, become that*. ``LATE`` marks news that arrives after
the fact and changes nothing; ``NEVER`` marks a bug in us. Every cell is written down, so that a
forgotten case is a hole you can see.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeAlias, TypeVar

from buildbot_drydock.errors import IllegalMove
from buildbot_drydock.model import LeaseStatus as L
from buildbot_drydock.model import ResourceStatus as R

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


class Mark(Enum):
    LATE = "late"
    NEVER = "never"


LATE: Final = Mark.LATE
NEVER: Final = Mark.NEVER


class ResourceEvent(Enum):
    READY = "ready"  # its host answers
    RELEASE = "release"  # nobody needs it any more
    BREAK = "break"  # its host failed or vanished
    GONE = "gone"  # its provider has nothing left of it


class LeaseEvent(Enum):
    ACQUIRE = "acquire"  # a slot was locked for it
    ACTIVATE = "activate"  # what had to be prepared is prepared
    RETURN = "return"  # its resource was lost before it became active: back to the pool
    RELEASE = "release"  # its holder is done, or its time is over
    BREAK = "break"  # it cannot be satisfied, or lost its resource
    VACATE = "vacate"  # nothing of it is left on its slot


RE: TypeAlias = ResourceEvent
LE: TypeAlias = LeaseEvent

# A lease that went back to the pool this often is broken instead.
MOST_RETURNS: Final = 5

# fmt: off
RESOURCE_MOVES: Mapping[R, Mapping[RE, R | Mark]] = {
    R.PENDING:   {RE.READY: R.ACTIVE, RE.RELEASE: R.RELEASED, RE.BREAK: R.BROKEN, RE.GONE: NEVER},
    R.ACTIVE:    {RE.READY: LATE,     RE.RELEASE: R.RELEASED, RE.BREAK: R.BROKEN, RE.GONE: NEVER},
    R.RELEASED:  {RE.READY: LATE,     RE.RELEASE: LATE,       RE.BREAK: R.BROKEN, RE.GONE: R.DESTROYED},
    R.BROKEN:    {RE.READY: LATE,     RE.RELEASE: LATE,       RE.BREAK: LATE,     RE.GONE: R.DESTROYED},
    R.DESTROYED: {RE.READY: NEVER,    RE.RELEASE: LATE,       RE.BREAK: LATE,     RE.GONE: LATE},
}

LEASE_MOVES: Mapping[L, Mapping[LE, L | Mark]] = {
    L.PENDING:   {LE.ACQUIRE: L.ACQUIRED, LE.ACTIVATE: NEVER,    LE.RETURN: LATE,      LE.RELEASE: L.RELEASED, LE.BREAK: L.BROKEN, LE.VACATE: NEVER},
    L.ACQUIRED:  {LE.ACQUIRE: NEVER,      LE.ACTIVATE: L.ACTIVE, LE.RETURN: L.PENDING, LE.RELEASE: L.RELEASED, LE.BREAK: L.BROKEN, LE.VACATE: NEVER},
    L.ACTIVE:    {LE.ACQUIRE: NEVER,      LE.ACTIVATE: LATE,     LE.RETURN: NEVER,     LE.RELEASE: L.RELEASED, LE.BREAK: L.BROKEN, LE.VACATE: NEVER},
    L.RELEASED:  {LE.ACQUIRE: NEVER,      LE.ACTIVATE: LATE,     LE.RETURN: LATE,      LE.RELEASE: LATE,       LE.BREAK: LATE,     LE.VACATE: L.DESTROYED},
    L.BROKEN:    {LE.ACQUIRE: NEVER,      LE.ACTIVATE: LATE,     LE.RETURN: LATE,      LE.RELEASE: LATE,       LE.BREAK: LATE,     LE.VACATE: L.DESTROYED},
    L.DESTROYED: {LE.ACQUIRE: NEVER,      LE.ACTIVATE: LATE,     LE.RETURN: LATE,      LE.RELEASE: LATE,       LE.BREAK: LATE,     LE.VACATE: LATE},
}
# fmt: on


def advance(moves: Mapping[S, Mapping[E, S | Mark]], status: S, event: E) -> S:
    """Return the status that follows, which is *status* itself for late news."""
    following = moves[status][event]
    if following is NEVER:
        raise IllegalMove(f"{event.name} while {status.name}")
    return status if isinstance(following, Mark) else following
