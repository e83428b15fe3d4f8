"""Who may use a blueprint: the one rule that planner, offers and tests go by.

A lease asks in the name of its *subjects*, the most specific first: ``builder/NAME``,
``project/NAME``, or its owner, such as ``person/NAME``. Where a blueprint needs approval, the first
of them that an administrator decided about is what counts. Otherwise whoever its ``allow`` list
names may use it. A blueprint with neither is for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from buildbot_drydock.model import Authorizations, AuthorizationStatus, Blueprint, Lease
from buildbot_drydock.reasons import AwaitingApproval, Declined, NotAuthorized

BUILDER: Final = "builder/"
PROJECT: Final = "project/"
PERSON: Final = "person/"  # so people are named as owners of leases, too; no worker is named so
KINDS_OF_SUBJECT: Final = (BUILDER, PROJECT, PERSON)

Subjects: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to use a blueprint, and by what; empty if it is for everybody."""

    by: str = ""


Refusal: TypeAlias = NotAuthorized | AwaitingApproval | Declined

EVERYBODY: Final = Grant()


def is_restricted(blueprint: Blueprint) -> bool:
    """Tell whether a blueprint is not for everybody."""
    return blueprint.needs_approval or blueprint.allow is not None


def subjects_of(lease: Lease) -> Subjects:
    """Return in whose name a lease asks; one that says nothing asks in its owner's."""
    return lease.subjects or (lease.owner,)


def subjects_of_build(builder: str, project: str | None) -> Subjects:
    """Return in whose name a lease for a builder's build asks. A builder need not have a project."""
    of_project = (f"{PROJECT}{project}",) if project else ()
    return (f"{BUILDER}{builder}", *of_project)


def allowed_by(patterns: Iterable[str], subjects: Sequence[str]) -> str | None:
    """Return the first pattern that names one of *subjects*, letter by letter but for wildcards."""
    for pattern in patterns:
        if any(fnmatchcase(subject, pattern) for subject in subjects):
            return pattern
    return None


def judge(blueprint: Blueprint, subjects: Sequence[str], known: Authorizations) -> Grant | Refusal:
    """Tell whether a lease with these subjects may use a blueprint, and by what, or why not."""
    if not is_restricted(blueprint):
        return EVERYBODY
    decided = _decided(blueprint, subjects, known) if blueprint.needs_approval else None
    if decided is not None:
        return decided
    pattern = allowed_by(blueprint.allow or (), subjects)
    if pattern is not None:
        return Grant(f"{pattern} on the allow list")
    if blueprint.needs_approval:
        return _awaiting(blueprint, subjects[0], known)
    return NotAuthorized(
        blueprint=blueprint.name, subjects=tuple(subjects), allow=blueprint.allow or ()
    )


def _decided(
    blueprint: Blueprint, subjects: Sequence[str], known: Authorizations
) -> Grant | Declined | None:
    for subject in subjects:
        found = known.get((blueprint.name, subject))
        if found is None or found.status is AuthorizationStatus.REQUESTED:
            continue
        if found.status is AuthorizationStatus.APPROVED:
            return Grant(f"approval of {subject} by {found.author}")
        return Declined(
            blueprint=blueprint.name,
            subject=subject,
            by=found.author,
            why=found.reason,
            authorization=found.id,
        )
    return None


def _awaiting(blueprint: Blueprint, subject: str, known: Authorizations) -> AwaitingApproval:
    found = known.get((blueprint.name, subject))
    return AwaitingApproval(
        blueprint=blueprint.name,
        subject=subject,
        approvers=blueprint.approvers,
        authorization=None if found is None else found.id,
        requested_at=None if found is None else found.requested_at,
    )
