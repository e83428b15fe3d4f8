"""Keeping the database small: now and then, what is too old or too much is deleted.

Each master looks every hour, and each finds what is left to do. Batches are small, with pauses in
between, so that whoever else writes gets a turn. A master that stops ends after the batch at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from buildbot_drydock.interfaces import ReactorTime
from buildbot_drydock.store import retention
from buildbot_drydock.store.retention import Limits
from buildbot_drydock.store.transactions import Pool

INTERVAL_SECONDS: Final = 3_600.0
PAUSE_SECONDS: Final = 0.25  # between two batches


class Retention:
    """*limits* is what is kept, and may be changed at any time."""

    log = Logger()

    def __init__(self, pool: Pool, clock: ReactorTime, *, master: int) -> None:
        self.limits = Limits()
        self._pool = pool
        self._clock = clock
        self._master = master
        self._stopped = False
        self._end_pause: Callable[[], None] | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock  # type: ignore[assignment]
        self._ended: Deferred[Any] = succeed(None)

    def start(self) -> None:
        self._ended = self._looking.start(INTERVAL_SECONDS, now=False)

    def stop(self) -> Deferred[Any]:
        """Look no more; fires when the batch at hand is done."""
        self._stopped = True
        self._looking.stop()
        if self._end_pause is not None:
            self._end_pause()
        return self._ended

    def _look(self) -> Deferred[Any]:
        looked = Deferred.fromCoroutine(self.run())
        return looked.addErrback(
            lambda failure: self.log.failure("old rows could not be deleted", failure)
        )

    async def run(self) -> dict[str, int]:
        """Delete all that may go; return how many rows of which table were. Raises ``RetryLater``."""
        bounds = await retention.find_bounds(self._pool, self.limits, self._clock.seconds())
        deleted = {table.name: 0 for table in retention.TABLES}
        left = list(retention.TABLES)
        after: retention.Position | None = None
        while left and not self._stopped:
            batch = await retention.delete_some(
                *(self._pool, left[0], bounds, after or retention.START),
                master=self._master,
                now=self._clock.seconds(),
            )
            if batch is None:  # another master is on duty
                return deleted
            deleted[left[0].name] += batch.deleted
            after = batch.after
            if after is None:
                del left[0]
            else:
                await self._pause()
        await retention.end_duty(self._pool, master=self._master)
        if any(deleted.values()):
            told = ", ".join(f"{number} of {name}" for name, number in deleted.items() if number)
            self.log.info("deleted old rows: {told}", told=told)
        return deleted

    async def _pause(self) -> None:
        if self._stopped:
            return
        over: Deferred[None] = Deferred()
        timer = self._clock.callLater(PAUSE_SECONDS, over.callback, None)

        def end() -> None:
            timer.cancel()
            over.callback(None)

        self._end_pause = end
        try:
            await over
        finally:
            self._end_pause = None
