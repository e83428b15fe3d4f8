"""Which blueprints the leases of one world may use, and what has to be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from buildbot_drydock.actions import RequestApproval
from buildbot_drydock.authorization import (
    Grant,
    Refusal,
    Subjects,
    is_restricted,
    judge,
    subjects_of,
)
from buildbot_drydock.model import Blueprint, Lease, World
from buildbot_drydock.queries import is_plain
from buildbot_drydock.reasons import AwaitingApproval

LONGEST_SUBJECT: Final = 190  # characters; what a key of a table holds


class Permission:
    def __init__(self, world: World) -> None:
        self._known = world.authorizations
        # Where every blueprint is for everybody, leases differ in nothing by who asks.
        self._matters = any(is_restricted(blueprint) for blueprint in world.blueprints)
        self._asked: set[tuple[str, str]] = set()  # by this plan

    def subjects(self, lease: Lease) -> Subjects:
        """Return what the answers for a lease depend on."""
        return subjects_of(lease) if self._matters else ()

    def judge(self, blueprint: Blueprint, subjects: Subjects) -> Grant | Refusal:
        return judge(blueprint, subjects, self._known)

    def ask(self, lease: Lease, refusals: Sequence[Refusal]) -> list[RequestApproval]:
        """Return the requests that nobody has made yet for what keeps a lease waiting."""
        requests = []
        for refusal in refusals:
            if not isinstance(refusal, AwaitingApproval) or refusal.authorization is not None:
                continue
            key = (refusal.blueprint, refusal.subject)
            if key not in self._asked and may_be_asked_for(refusal.subject):
                self._asked.add(key)
                requests.append(RequestApproval(*key, lease.id))
        return requests


def may_be_asked_for(subject: str) -> bool:
    """Tell whether every database can hold a subject as what it is; a blank at its end gets lost."""
    return len(subject) <= LONGEST_SUBJECT and is_plain(subject) and subject == subject.rstrip()
