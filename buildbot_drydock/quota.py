"""How many leases some may hold at once, whoever gives them: the values, and what they count.

A quota counts leases by a builder, a project, or who asks for them. Each lease that it counts holds
one of its slot locks, ``quota(NAME).lease(N)``, of which there are as many as the quota allows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from buildbot_drydock.queries import is_plain

OWNER: Final = "owner"  # who asks, such as ``person/ana``; the other kinds are of subjects
KINDS: Final = ("builder", "project", OWNER)
LONGEST_NAME: Final = 120  # characters, so that the key of a slot lock holds it
_HASHED: Final = 32  # hexadecimal digits that stand for the rest of a longer one


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """At most so many *leases* for all that *pattern* names together, or for each of them."""

    kind: str  # one of ``KINDS``
    pattern: str
    leases: int
    each: bool = False

    @property
    def name(self) -> str:
        """What it is called, such as ``builder/nightly-*`` or ``each person/*``."""
        return f"each {self._whole}" if self.each else self._whole

    @property
    def _whole(self) -> str:
        """The pattern of whole names: an owner is named in whole, other kinds without their kind."""
        return self.pattern if self.kind == OWNER else f"{self.kind}/{self.pattern}"

    def counted_as(self, owner: str, subjects: Sequence[str]) -> str | None:
        """Return the name under which it counts such a lease; ``None`` if it counts it not."""
        prefix = f"{self.kind}/"
        names = (
            (owner,) if self.kind == OWNER else tuple(s for s in subjects if s.startswith(prefix))
        )
        for name in names:
            if fnmatchcase(name, self._whole):
                return as_key(f"each {name}" if self.each else self.name)
        return None


def as_key(name: str) -> str:
    """Return a name as it stands in keys: one that a database may cut or alter gets a digest."""
    if len(name) <= LONGEST_NAME and is_plain(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASHED]
    head = "".join(each for each in name if is_plain(each))
    return f"{head[: LONGEST_NAME - _HASHED - 1]}#{digest}"


def limits_of(quotas: Sequence[Quota], owner: str, subjects: Sequence[str]) -> dict[str, int]:
    """Return how many leases there may be of each name that such a lease is counted as."""
    limits: dict[str, int] = {}
    for quota in quotas:
        name = quota.counted_as(owner, subjects)
        if name is not None:
            limits[name] = min(quota.leases, limits.get(name, quota.leases))
    return limits


class Counting:
    """What ``limits_of`` says, found once for all leases in which it makes no difference."""

    def __init__(self, quotas: Sequence[Quota]) -> None:
        self.quotas = tuple(quotas)
        self._by_owner = any(quota.kind == OWNER for quota in quotas)
        self._limits: dict[tuple[str, Sequence[str]], Mapping[str, int]] = {}

    def limits(self, owner: str, subjects: tuple[str, ...]) -> Mapping[str, int]:
        key = (owner if self._by_owner else "", subjects)
        if key not in self._limits:
            self._limits[key] = limits_of(self.quotas, owner, subjects)
        return self._limits[key]


def of_subjects(quotas: Sequence[Quota]) -> tuple[Quota, ...]:
    """Return those quotas that count a lease whoever asks for it in the name of its subjects."""
    return tuple(quota for quota in quotas if quota.kind != OWNER)
