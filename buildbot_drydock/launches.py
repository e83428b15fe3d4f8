"""Keep count of each blueprint's launches: back off after failures, recover after a success.

The count is a row shared by all masters, so that a bad image burns one budget and not one each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from buildbot_drydock import events
from buildbot_drydock.interfaces import ReactorTime, Store
from buildbot_drydock.model import Blueprint, BlueprintState
from buildbot_drydock.policy import MISCONFIGURED_RETRY_SECONDS, backoff_seconds, budget_spent

# Another master can win the race for the row this often before the failure is left uncounted.
_ATTEMPTS = 5


class Launches:
    def __init__(self, store: Store, clock: ReactorTime, uniform: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._uniform = uniform
        self._blueprints: dict[str, Blueprint] = {}

    def observe(self, blueprints: Sequence[Blueprint]) -> None:
        """Take note of the blueprints, and their states, of this turn's world."""
        self._blueprints = {blueprint.name: blueprint for blueprint in blueprints}

    async def failed(self, name: str, error: str) -> None:
        """A host was asked for and did not come up: that costs, so each one counts."""
        await self._change(name, lambda state: self._one_more(state, error, 0.0))

    async def refused(self, name: str, error: str, *, after: float = 0.0) -> None:
        """The provider would not start a host.

        Many may have been asked for at once; while backing off already, another refusal says
        nothing new.
        """

        def back_off(state: BlueprintState) -> BlueprintState | None:
            if state.retry_at is not None and state.retry_at > self._clock.seconds():
                return None
            return self._one_more(state, error, after)

        await self._change(name, back_off)

    async def misconfigured(self, name: str, error: str) -> None:
        def stop(state: BlueprintState) -> BlueprintState:
            return replace(
                state,
                misconfigured=True,
                failures=state.failures + 1,
                retry_at=self._clock.seconds() + MISCONFIGURED_RETRY_SECONDS,
                last_error=error,
            )

        await self._change(name, stop)

    async def succeeded(self, name: str) -> None:
        def recover(state: BlueprintState) -> BlueprintState | None:
            if not state.failures and not state.misconfigured and state.retry_at is None:
                return None
            return replace(state, misconfigured=False, failures=0, retry_at=None, last_error="")

        await self._change(name, recover)

    def _one_more(self, state: BlueprintState, error: str, after: float) -> BlueprintState:
        failures = state.failures + 1
        wait = backoff_seconds(failures, uniform=self._uniform(), at_least=after)
        return replace(
            state, failures=failures, retry_at=self._clock.seconds() + wait, last_error=error
        )

    async def _change(
        self, name: str, change: Callable[[BlueprintState], BlueprintState | None]
    ) -> None:
        blueprint = self._blueprints.get(name)
        if blueprint is None:
            return  # reconfigured away meanwhile: there is nothing left to protect
        seen = replace(blueprint.state, name=name)
        for _ in range(_ATTEMPTS):
            wanted = change(seen)
            if wanted is None:
                return
            record = _record(blueprint, seen, wanted)
            changed = await self._store.change_blueprint(seen, wanted, record)
            if changed is not None:
                self._blueprints[name] = replace(blueprint, state=changed)
                return
            rows = await self._store.rows()
            seen = rows.blueprints.get(name, BlueprintState(name=name))


def _record(blueprint: Blueprint, seen: BlueprintState, wanted: BlueprintState) -> events.Event:
    if not wanted.failures:
        return events.LaunchesRecovered(failures=seen.failures)
    if wanted.misconfigured:
        return events.BlueprintMisconfigured(error=wanted.last_error)
    return events.LaunchFailed(
        error=wanted.last_error,
        failures=wanted.failures,
        retry_at=wanted.retry_at,
        budget_spent=budget_spent(blueprint, wanted),
    )
