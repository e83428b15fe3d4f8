"""The condition of one machine as it goes on, and what is told of it: each thing once."""

from __future__ import annotations

from collections.abc import Callable

from buildbot_drydock import events
from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent import health
from buildbot_drydock.latent.health import Condition, Standing, Trouble


class Vitals:
    """What ``health`` makes of all that has happened to a machine."""

    def __init__(
        self,
        name: str,
        *,
        lost_after: float,
        clock: Clock,
        uniform: Callable[[], float],
        report: Callable[[events.Event], None],
    ) -> None:
        self._name = name
        self._lost_after = lost_after
        self._clock = clock
        self._uniform = uniform
        self._report = report
        self._condition: Condition = health.UNSEEN
        self._announced: Trouble | None = None  # reported, and not yet over
        self._lost_at = 0.0

    @property
    def trouble(self) -> Trouble | None:
        return self._condition.trouble

    @property
    def is_silent(self) -> bool:
        """Whether it has not answered lately."""
        return self._condition.silent_since is not None

    @property
    def standing(self) -> Standing:
        now = self._clock.seconds()
        return health.standing(self._condition, now, lost_after=self._lost_after)

    @property
    def unavailable(self) -> str:
        """Why it takes no new leases; empty if it does."""
        now = self._clock.seconds()
        return health.unavailable(self._condition, now, lost_after=self._lost_after)

    def answered(self) -> None:
        self._condition = health.answered(self._condition, self._clock.seconds())

    def heard(self) -> None:
        self._condition = health.heard(self._condition)

    def failed(self, trouble: Trouble) -> float:
        """Take note of a trouble; return how many seconds to wait until the next attempt."""
        now = self._clock.seconds()
        if self._announced is None:
            self._lost_at = now
        self._condition = health.failed(self._condition, trouble, now)
        return health.wait(self._condition, self._uniform)

    def forget(self) -> None:
        self._condition = health.UNSEEN
        self._announced = None

    def next_change(self) -> float | None:
        """Return when the standing changes by itself, if it does."""
        now = self._clock.seconds()
        return health.next_change(self._condition, now, lost_after=self._lost_after)

    def announce(self) -> None:
        """Report that it was lost, that this is graver than it seemed, or that it is back."""
        trouble = self._condition.trouble
        if trouble is not None:
            if self._announced is None or health.is_graver(trouble, self._announced):
                self._announced = trouble
                self._report(
                    events.HostLost(
                        host=self._name,
                        phase=trouble.phase,
                        reason=trouble.reason,
                        remedy=trouble.remedy,
                    )
                )
        elif self._announced is not None and self.standing is Standing.WELL:
            self._announced = None
            seconds = self._clock.seconds() - self._lost_at
            self._report(events.HostReturned(host=self._name, seconds=seconds))
