"""What administrators decide: who may use a blueprint that needs approval.

A decision is one row that all masters share, and counts from then on: no lease begins against it.
Leases that have a slot already keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from buildbot_drydock import events
from buildbot_drydock.authorization import KINDS_OF_SUBJECT
from buildbot_drydock.interfaces import Store
from buildbot_drydock.model import Authorization, AuthorizationStatus


class Approvals:
    """*wake* asks for a turn. *needing* answers which configured blueprints need approval."""

    def __init__(
        self, store: Store, wake: Callable[[], None], needing: Callable[[], Collection[str]]
    ) -> None:
        self._store = store
        self._wake = wake
        self._needing = needing

    async def decide(
        self,
        blueprint: str,
        subject: str,
        status: AuthorizationStatus,
        *,
        actor: str,
        reason: str = "",
    ) -> Authorization:
        """Approve or decline the use of a blueprint, asked for or not; nothing if that is so.

        Raises ``ValueError`` naming the argument if a value can't be right, or would change nothing.
        """
        if blueprint not in self._needing():
            raise ValueError(
                f"blueprint: {blueprint!r} needs no approval; its allow list in the configuration "
                "says who may use it, or set needs_approval=True there"
            )
        decided = None
        while decided is None:
            seen = await self._known(blueprint, subject)
            if not seen.version:
                _check_subject(subject)
            if (seen.status, seen.reason) == (status, reason):
                return seen
            record = events.AuthorizationDecided(
                actor=actor,
                subject=subject,
                status=status.value,
                before=seen.status.value if seen.version else "",
                reason=reason,
            )
            decided = await self._store.decide_authorization(
                seen, status, record, author=actor, reason=reason
            )
        self._wake()
        return decided

    async def _known(self, blueprint: str, subject: str) -> Authorization:
        rows = await self._store.rows(authorizations_of=[blueprint])
        unknown = Authorization(blueprint=blueprint, subject=subject)
        return rows.authorizations.get((blueprint, subject), unknown)


def _check_subject(subject: str) -> None:
    """Refuse what nobody asks in the name of; what somebody asked for is not in question."""
    named = subject.startswith(KINDS_OF_SUBJECT) and subject not in KINDS_OF_SUBJECT
    if not named or subject != subject.rstrip():
        raise ValueError(
            f"subject: {subject!r} is neither a builder, a project nor a person; write "
            f"{' or '.join(f'{kind}NAME' for kind in KINDS_OF_SUBJECT)}, without wildcards"
        )
