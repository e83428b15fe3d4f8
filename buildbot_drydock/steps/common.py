"""What the steps have in common: how they find Drydock, how they end, and what they may be given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from buildbot import config
from buildbot.interfaces import IRenderable
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import CANCELLED, EXCEPTION
from twisted.internet.defer import CancelledError, Deferred

from buildbot_drydock import buildbot_hooks as hooks

if TYPE_CHECKING:
    from buildbot_drydock.build_leases import LeasesOfBuild
    from buildbot_drydock.service import DrydockService

LONGEST_STEP_NAME: Final = 50
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class StepProblem(Exception):
    """The step can't do what it was told. The message says why, and what to do about it."""


class LeaseStep(BuildStep):
    """A step that works until it is done, or interrupted: then all its waiting is cancelled."""

    haltOnFailure = True
    service_name = "drydock"

    def __init__(self, **arguments: Any) -> None:
        self._work: Deferred[int] | None = None
        self._outcome = ""  # in a few words, once there is one
        super().__init__(**arguments)

    @property
    def service(self) -> DrydockService:
        """Drydock's service. Raises ``StepProblem`` if there is none."""
        assert self.master is not None
        found: DrydockService | None = hooks.service_named(self.master, self.service_name)
        if found is None:
            raise StepProblem(
                f"there is no service named {self.service_name!r}: "
                "add Drydock(...) to c['configurators']"
            )
        return found

    @property
    def leases(self) -> LeasesOfBuild:
        """What the build has leased. Raises ``StepProblem``."""
        return self.service.build_leases.of(self.build)

    def run(self) -> Deferred[int]:
        self._work = Deferred.fromCoroutine(self._run())
        return self._work

    async def _run(self) -> int:
        try:
            return await self.work()
        except CancelledError:
            self._outcome = "interrupted"
            return CANCELLED
        except StepProblem as problem:
            self._outcome = str(problem)
            await self.addCompleteLog("problem", f"{problem}\n")
            return EXCEPTION

    async def work(self) -> int:
        """Do what the step is for, and return its result."""
        raise NotImplementedError

    def interrupt(self, reason: Any) -> Deferred[None]:
        interrupted: Deferred[None] = super().interrupt(reason)
        if self._work is not None:
            self._work.cancel()
        return interrupted

    def getResultSummary(self) -> dict[str, str]:
        if self._outcome and self.description is None and self.descriptionDone is None:
            assert self.build is not None
            text: str = self.build.properties.cleanupTextFromSecrets(self._outcome)
            return {"step": text}
        summary: dict[str, str] = super().getResultSummary()
        return summary


def check_lease_name(step: str, value: Any) -> None:
    """Report a name of a lease that could not be part of a property's name."""
    if value is None or IRenderable.providedBy(value):
        return
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        config.error(
            f"{step}: lease is {value!r}: it is the name that the build knows it by. Remedy: use "
            "letters, digits, '_' and '-', beginning with a letter or '_', such as 'database'."
        )


def check_seconds(step: str, field: str, value: Any) -> None:
    """Report what is neither a number of seconds nor None."""
    if value is None or IRenderable.providedBy(value):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        config.error(
            f"{step}: {field} is {value!r}. Remedy: give it a number of seconds more than 0, or "
            "None for no limit."
        )


def step_name(verb: str, what: Any) -> str:
    """Return what a step is called if nobody says otherwise."""
    return f"{verb} {what}"[:LONGEST_STEP_NAME] if isinstance(what, str) else verb
