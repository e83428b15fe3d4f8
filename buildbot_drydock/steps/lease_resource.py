"""``LeaseResource``: take a lease, and hold it for the rest of the build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from buildbot import config
from buildbot.interfaces import IRenderable
from buildbot.process.results import FAILURE, SUCCESS

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.build_leases import Holding, IfLost, Wish
from buildbot_drydock.errors import LeaseBroken
from buildbot_drydock.latent import badges
from buildbot_drydock.latent.starting import Hopeless
from buildbot_drydock.latent.terms import is_fixed, rendered_labels
from buildbot_drydock.latent.waiting import TookTooLong
from buildbot_drydock.model import Labels, Lease
from buildbot_drydock.reasons import Reason
from buildbot_drydock.steps.common import (
    LeaseStep,
    StepProblem,
    check_lease_name,
    check_seconds,
    step_name,
)

if TYPE_CHECKING:
    from buildbot.process.log import StreamLog

PATIENCE_SECONDS: Final = 3600.0
LOG: Final = "lease"
UNNAMED: Final = "lease"  # what a lease is called that nobody has named, of whichever blueprint


class LeaseResource(LeaseStep):
    """Lease something for the rest of the build: ``LeaseResource(blueprint='matlab')``.

    * *blueprint*: the only blueprint that it may come from.
    * *requires*: the labels that it must have.
    * *lease*: the name that later steps know it by; without, that of the blueprint.
    * *type*: what kind of resource it is; without, what the blueprint gives, or a host.
    * *patience*: how many seconds it is waited for, or ``None`` for ever; then the step fails.
    * *priority*: is added to that of the build.
    * *if_lost*: what becomes of the build if somebody else ends the lease, or its resource breaks:
      ``'stop'``, ``'retry'`` or ``'continue'``.

    All but *if_lost* may be renderable.
    """

    renderables = ("blueprint", "requires", "lease", "type", "patience", "priority")

    def __init__(
        self,
        blueprint: Any = None,
        requires: Any = None,
        lease: Any = None,
        type: Any = None,
        patience: Any = PATIENCE_SECONDS,
        priority: Any = 0,
        if_lost: str = IfLost.STOP.value,
        **arguments: Any,
    ) -> None:
        _check(blueprint, requires, patience, if_lost)
        check_lease_name("LeaseResource", lease)
        self.blueprint = blueprint
        self.requires = requires
        self.lease = lease
        self.type = type
        self.patience = patience
        self.priority = priority
        self.if_lost = if_lost
        self._requested: Lease | None = None
        self._since = 0.0
        self._reasons: tuple[Reason, ...] = ()
        self._log: StreamLog | None = None
        arguments.setdefault("name", step_name("lease", lease or blueprint))
        super().__init__(**arguments)

    # --- what it does ------------------------------------------------------------------------

    async def work(self) -> int:
        name, wish = str(self.lease or self.blueprint or UNNAMED), self._wish()
        leases = self.leases
        if leases.is_taken(name):
            raise StepProblem(
                f"the build has a lease {name!r} already: give this one another name, such as "
                f"lease={name + '2'!r}, or release that one before"
            )
        self._since = self._now()
        self._log = await self.addLog(LOG)
        try:
            holding = await leases.take(
                name, wish, requested=self._was_requested, waits=self._waits
            )
        except (LeaseBroken, TookTooLong) as error:
            return await self._fail(str(error))
        await self._has(holding)
        return SUCCESS

    def _wish(self) -> Wish:
        """Return what is asked for, now that all is rendered. Raises ``StepProblem``."""
        kind = self.type
        if self.blueprint is not None:
            known = self.service.definitions()
            if self.blueprint not in known:
                names = ", ".join(map(repr, known)) or "none"
                raise StepProblem(f"there is no blueprint {self.blueprint!r}; there are: {names}")
            kind = kind or known[self.blueprint].provides
        return Wish(
            type=kind or "host",
            requires=self._labels(),
            blueprints=() if self.blueprint is None else (self.blueprint,),
            priority=int(self.priority),
            patience=None if self.patience is None else float(self.patience),
            if_lost=IfLost(self.if_lost),
        )

    def _labels(self) -> Labels:
        try:
            return rendered_labels(self.requires or {})
        except Hopeless as error:
            raise StepProblem(str(error)) from None

    # --- while it waits ----------------------------------------------------------------------

    async def _was_requested(self, lease: Lease) -> None:
        self._requested = lease
        await self.addURL(f"lease {lease.id}", badges.lease_url(self.master, lease.id))
        self._tell(f"lease {lease.id} is asked for")
        self.updateSummary()

    def _waits(self, reasons: Sequence[Reason]) -> None:
        self._reasons = tuple(reasons)
        self._tell(self._why())
        self.updateSummary()

    def _now(self) -> float:
        assert self.master is not None
        return float(self.master.reactor.seconds())

    def _why(self) -> str:
        now = self._now()
        return "; ".join(reason.sentence(now) for reason in self._reasons)

    def _tell(self, text: str) -> None:
        """Write a line into the log, with how long the step has been waiting."""
        assert self._log is not None
        waited = self._now() - self._since
        self._log.addStdout(f"{waited:6.0f} s  {text}\n")

    def getCurrentSummary(self) -> dict[str, str]:
        if self._requested is None or self.description is not None:
            summary: dict[str, str] = super().getCurrentSummary()
            return summary
        text = f"waiting for lease {self._requested.id}"
        return {"step": f"{text}: {self._why()}" if self._reasons else text}

    # --- how it ends -------------------------------------------------------------------------

    async def _has(self, holding: Holding) -> None:
        lease, resource = holding.lease, holding.resource
        assert self.build is not None
        await hooks.tell_build(self.build, holding.properties())
        url = badges.resource_url(self.master, resource.id)
        await self.addURL(f"resource {resource.id}", url)
        where = f" at {resource.address}" if resource.address else ""
        self._outcome = f"lease {lease.id} on {resource.blueprint}"
        self._tell(
            f"lease {lease.id} is active: slot {lease.slot} of resource {resource.id} of "
            f"{resource.blueprint}{where}"
        )

    async def _fail(self, error: str) -> int:
        why = self._why()
        self._outcome = f"{error}: {why}" if why and why not in error else error
        self._tell(self._outcome)
        return FAILURE


def _check(blueprint: Any, requires: Any, patience: Any, if_lost: Any) -> None:
    """Report what is wrong with the arguments, as far as that can be told before a build."""
    if blueprint is None and not requires:
        config.error(
            "LeaseResource: neither blueprint nor requires says what to lease. Remedy: give it a "
            "blueprint such as 'matlab', or requires such as {'os': 'debian'}."
        )
    if not isinstance(blueprint, str | None) and not IRenderable.providedBy(blueprint):
        config.error(
            f"LeaseResource: blueprint is {blueprint!r}. Remedy: give it the name of one blueprint."
        )
    if requires is not None and is_fixed(requires):
        try:
            rendered_labels(requires)
        except Hopeless as error:
            config.error(f"LeaseResource: {error}")
    elif not (requires is None or isinstance(requires, dict) or IRenderable.providedBy(requires)):
        config.error(
            f"LeaseResource: requires is {requires!r}. Remedy: give it a dictionary such as "
            "{'os': 'debian'}, or a renderable."
        )
    check_seconds("LeaseResource", "patience", patience)
    choices = [each.value for each in IfLost]
    if if_lost not in choices:
        config.error(
            f"LeaseResource: if_lost is {if_lost!r}. Remedy: give it one of "
            f"{', '.join(map(repr, choices))}."
        )
