"""What happened to the authorizations of blueprints that need approval."""

from __future__ import annotations

from dataclasses import dataclass

from buildbot_drydock.event_base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequested(Event):
    """A lease needs a blueprint that nobody has decided about yet."""

    kind = "authorization-requested"
    subject: str

    def sentence(self) -> str:
        return f"{self.subject} needs approval to use the blueprint."


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationDecided(Event):
    kind = "authorization-decided"
    subject: str
    status: str  # approved or declined
    before: str  # what it was until then; empty if nobody had asked
    reason: str

    def sentence(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.actor} {self.status} the use of the blueprint by {self.subject}{why}."
