"""How a listed host fares, judged from what became of the attempts to use it.

Pure: a condition and what happened give the next condition. A host that stops answering is first
suspect, and broken only after a while; one that comes and goes has to stay well for longer each
time before it is used again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

# Losses within so many seconds make a host one that comes and goes.
REMEMBERED_SECONDS: Final = 3600.0
FIRST_PROOF_SECONDS: Final = 5.0  # doubled by each loss that is remembered
LONGEST_PROOF_SECONDS: Final = 300.0
# Between two attempts: the first wait, and the longest.
FIRST_WAIT_SECONDS: Final = 2.0
LONGEST_WAIT_SILENT_SECONDS: Final = 15.0
LONGEST_WAIT_SECONDS: Final = 300.0
MOST_DOUBLINGS: Final = 16


class Gravity(Enum):
    """What a trouble means for the leases on a host. The later, the graver."""

    UNFIT = "unfit"  # what runs goes on, nothing new is begun
    SILENT = "silent"  # it may come back in a moment
    GRAVE = "grave"  # it does not come back until somebody does something


_ORDER: Final = tuple(Gravity)


class Standing(Enum):
    """What may be done with a host."""

    UNSEEN = "unseen"  # not yet looked at
    WELL = "well"
    UNFIT = "unfit"  # takes no new leases; those that it has go on
    SUSPECT = "suspect"  # likewise, as it may come back in a moment
    BROKEN = "broken"  # what it was used for is lost
    RETURNING = "returning"  # answers again, and has to prove that it goes on doing so


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What keeps a host from being used."""

    phase: str  # what was being done, such as "connecting"
    reason: str
    remedy: str = ""
    gravity: Gravity = Gravity.SILENT

    def sentence(self) -> str:
        doing = f"failed while {self.phase}: " if self.phase else ""
        remedy = f" (remedy: {self.remedy})" if self.remedy else ""
        return f"{doing}{self.reason}{remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is remembered of a host. All times are seconds since the epoch."""

    trouble: Trouble | None = None
    since: float = 0.0  # when the trouble began
    silent_since: float | None = None  # when it last stopped answering, unless it has answered
    failures: int = 0  # in a row
    losses: tuple[float, ...] = ()  # when it was lost after it had been well, not long ago
    answered_at: float | None = None  # since when it answers; None while it does not
    proof_seconds: float = 0.0  # how long it has to answer before it is well again


UNSEEN: Final = Condition()


def failed(before: Condition, trouble: Trouble, now: float) -> Condition:
    """Return the condition after an attempt that failed, or the loss of the connection."""
    losses = tuple(at for at in before.losses if at > now - REMEMBERED_SECONDS)
    if before.trouble is None and before.answered_at is not None:
        losses = (*losses, now)
    silent_since = before.silent_since
    if trouble.gravity is Gravity.UNFIT:
        silent_since = None
    elif silent_since is None:
        silent_since = now
    return Condition(
        trouble=trouble,
        since=now if before.trouble is None else before.since,
        silent_since=silent_since,
        failures=before.failures + 1,
        losses=losses,
    )


def answered(before: Condition, now: float) -> Condition:
    """Return the condition after an attempt in which all was well."""
    losses = tuple(at for at in before.losses if at > now - REMEMBERED_SECONDS)
    if before.trouble is None:
        if before.answered_at is not None:
            return replace(before, losses=losses, failures=0)
        return Condition(answered_at=now, losses=losses)
    proof = 0.0
    if losses:
        doubled = FIRST_PROOF_SECONDS * 2.0 ** min(len(losses), MOST_DOUBLINGS)
        proof = min(doubled, LONGEST_PROOF_SECONDS)
    return Condition(since=before.since, losses=losses, answered_at=now, proof_seconds=proof)


def heard(before: Condition) -> Condition:
    """Return the condition when it answers again, and it has still to be seen whether it is fit."""
    return replace(before, silent_since=None)


def standing(condition: Condition, now: float, *, lost_after: float) -> Standing:
    """Return what may be done with the host. *lost_after* is how long it may be suspect."""
    trouble = condition.trouble
    if trouble is None:
        if condition.answered_at is None:
            return Standing.UNSEEN
        proven_at = condition.answered_at + condition.proof_seconds
        return Standing.WELL if now >= proven_at else Standing.RETURNING
    if trouble.gravity is Gravity.GRAVE:
        return Standing.BROKEN
    if condition.silent_since is None:
        return Standing.UNFIT
    lost = now >= condition.silent_since + lost_after
    return Standing.BROKEN if lost else Standing.SUSPECT


def next_change(condition: Condition, now: float, *, lost_after: float) -> float | None:
    """Return when the standing changes by itself, after *now*, if it does."""
    at = None
    if condition.trouble is None:
        if condition.answered_at is not None:
            at = condition.answered_at + condition.proof_seconds
    elif condition.silent_since is not None and condition.trouble.gravity is not Gravity.GRAVE:
        at = condition.silent_since + lost_after
    return at if at is not None and at > now else None


def unavailable(condition: Condition, now: float, *, lost_after: float) -> str:
    """Return why the host takes no new leases; empty if it does."""
    match standing(condition, now, lost_after=lost_after):
        case Standing.WELL:
            return ""
        case Standing.UNSEEN:
            return "it has not been looked at yet"
        case Standing.RETURNING:
            return (
                f"it answers again, and is used once it has done so for "
                f"{condition.proof_seconds:.0f} s"
            )
    assert condition.trouble is not None
    return condition.trouble.sentence()


def wait(condition: Condition, uniform: Callable[[], float]) -> float:
    """Return how many seconds to wait until the next attempt, between 3/4 and all of its turn."""
    silent = condition.trouble is not None and condition.trouble.gravity is Gravity.SILENT
    longest = LONGEST_WAIT_SILENT_SECONDS if silent else LONGEST_WAIT_SECONDS
    doublings = min(max(condition.failures - 1, 0), MOST_DOUBLINGS)
    return min(FIRST_WAIT_SECONDS * 2.0**doublings, longest) * (0.75 + 0.25 * uniform())


def is_graver(trouble: Trouble, other: Trouble) -> bool:
    """Tell whether a trouble is of another kind, and worse, than one told of before."""
    return _ORDER.index(trouble.gravity) > _ORDER.index(other.gravity)
