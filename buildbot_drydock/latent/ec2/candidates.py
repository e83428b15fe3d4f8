"""The kinds of instance that would do, in order, and which of them there are none of just now.

A candidate is a type, a place and a market. A lack of capacity concerns that candidate alone: it is
left out for a while, longer each time, and the next one is tried at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from buildbot_drydock.interfaces import Clock

FIRST_WAIT_SECONDS: Final = 60.0
LONGEST_WAIT_SECONDS: Final = 900.0
_MOST_DOUBLINGS: Final = 8


class Market(Enum):
    """How an instance is paid for."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One kind of instance that would do."""

    instance_type: str
    place: str  # a subnet's id or a zone's name; empty for wherever AWS likes
    market: Market

    def __str__(self) -> str:
        where = f" in {self.place}" if self.place else ""
        return f"{self.instance_type}{where} ({self.market.value})"


def markets(*, spot: bool, on_demand_base: int, fallback: bool, place: int) -> tuple[Market, ...]:
    """Return the markets to try for the resource at a place of its pool, counted from 0.

    What a place leads to is the same for all masters, so no instances have to be counted.
    """
    if not spot or place < on_demand_base:
        return (Market.ON_DEMAND,)
    return (Market.SPOT, Market.ON_DEMAND) if fallback else (Market.SPOT,)


def candidates(
    instance_types: Sequence[str], places: Sequence[str], of_markets: Iterable[Market]
) -> tuple[Candidate, ...]:
    """Return all candidates in order: a type is tried in each place before the next type."""
    return tuple(
        Candidate(instance_type, place, market)
        for market in of_markets
        for instance_type in instance_types
        for place in places or ("",)
    )


# The quotas of EC2 count vCPUs by families; those in the first entry share one ("On-Demand Instance
# quotas" in the EC2 user guide). A family that is not here is taken to have one of its own.
_STANDARD: Final = {"a", "c", "d", "h", "i", "m", "r", "t", "z", "im", "is"}
_FAMILY: Final = re.compile(r"[a-z]+")


def quota_bucket(instance_type: str) -> str:
    """Return a name for the types that share a quota with this one."""
    found = _FAMILY.match(instance_type)
    family = found.group() if found else instance_type
    return "Standard (A, C, D, H, I, M, R, T, Z)" if family in _STANDARD else family.upper()


@dataclass(frozen=True, slots=True)
class Shortage:
    """That there is none of a candidate, and until when it is not asked for again."""

    reason: str
    times: int  # in a row
    until: float


class Shortages:
    """Which candidates are left out for the time being."""

    def __init__(self, clock: Clock, uniform: Callable[[], float]) -> None:
        self._clock = clock
        self._uniform = uniform
        self._by_candidate: dict[Candidate, Shortage] = {}

    def note(self, candidate: Candidate, reason: str) -> None:
        """There is none of it. What was asked for many times at once counts once."""
        before = self._by_candidate.get(candidate)
        now = self._clock.seconds()
        if before is not None and before.until > now:
            return
        times = 1 if before is None else before.times + 1
        wait = FIRST_WAIT_SECONDS * 2.0 ** min(times - 1, _MOST_DOUBLINGS)
        wait = min(wait, LONGEST_WAIT_SECONDS) * (0.75 + 0.25 * self._uniform())
        self._by_candidate[candidate] = Shortage(reason, times, now + wait)

    def note_quota(self, candidate: Candidate, reason: str, among: Iterable[Candidate]) -> None:
        """A quota is used up: so it is for all of *among* that it counts as well."""
        bucket = quota_bucket(candidate.instance_type)
        for each in among:
            if each.market is candidate.market and quota_bucket(each.instance_type) == bucket:
                self.note(each, reason)

    def forget(self, candidate: Candidate) -> None:
        """There was one."""
        self._by_candidate.pop(candidate, None)

    def current(self, candidate: Candidate) -> Shortage | None:
        """Return the shortage that a candidate is left out for."""
        found = self._by_candidate.get(candidate)
        return found if found is not None and found.until > self._clock.seconds() else None

    def available(self, among: Iterable[Candidate]) -> Iterator[Candidate]:
        """Yield those that may be asked for, in order."""
        return (each for each in among if self.current(each) is None)

    def sentence(self, among: Sequence[Candidate]) -> str:
        """Return why there is nothing to be asked for: each reason once, and when that changes."""
        found = [s for each in among if (s := self.current(each)) is not None]
        if not found:
            return "none of the instance types is to be had"
        soonest = min(each.until for each in found) - self._clock.seconds()
        reasons = "; ".join(dict.fromkeys(each.reason for each in found))
        return f"{reasons}. The first is tried again in {soonest:.0f} s"
