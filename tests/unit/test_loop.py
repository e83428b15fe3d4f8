from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.loop import AFTER_A_FAILURE_SECONDS, Loop

SAFETY_SECONDS = 30.0


class LoopTestCase(SynchronousTestCase):
    """Turns are counted; one that should take its time is a Deferred in ``outcomes``."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = 0
        self.under_way = 0
        self.outcomes: list[object] = []
        self.wake_at: float | None = None
        self.loop = Loop(self.turn, lambda: self.wake_at, self.clock, safety_seconds=SAFETY_SECONDS)

    async def turn(self) -> bool:
        self.turns += 1
        self.under_way += 1
        self.assertEqual(self.under_way, 1, "two turns at once")
        outcome = self.outcomes.pop(0) if self.outcomes else False
        try:
            if isinstance(outcome, Deferred):
                outcome = await outcome
            if isinstance(outcome, Exception):
                raise outcome
            return bool(outcome)
        finally:
            self.under_way -= 1

    def after(self, seconds: float) -> int:
        """Return how many turns ran in so many seconds."""
        before = self.turns
        self.clock.advance(seconds)
        return self.turns - before

    def started(self) -> None:
        self.loop.start()
        self.assertEqual(self.after(0.0), 1)


class TestWhenTurnsRun(LoopTestCase):
    def test_the_first_turn_runs_at_once_but_not_within_start(self) -> None:
        self.loop.start()
        self.assertEqual(self.turns, 0)
        self.assertEqual(self.after(0.0), 1)

    def test_nothing_runs_before_the_start(self) -> None:
        self.loop.wake()
        self.assertEqual(self.after(100.0), 0)

    def test_many_wake_ups_make_one_turn(self) -> None:
        self.started()
        for _ in range(5):
            self.loop.wake()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.after(0.0), 1)
        self.assertEqual(self.after(SAFETY_SECONDS - 0.1), 0)

    def test_a_turn_runs_when_the_plan_asks_for_it(self) -> None:
        self.wake_at = 7.0
        self.started()
        self.assertEqual(self.after(6.9), 0)
        self.wake_at = None
        self.assertEqual(self.after(0.1), 1)

    def test_a_turn_runs_without_any_reason_after_the_safety_interval(self) -> None:
        for wake_at in (None, 1_000.0):
            self.setUp()
            self.wake_at = wake_at
            self.started()
            self.assertEqual(self.after(SAFETY_SECONDS - 0.1), 0)
            self.assertEqual(self.after(0.1), 1)

    def test_a_time_that_has_passed_does_not_make_turns_without_end(self) -> None:
        self.wake_at = -5.0
        self.started()
        self.assertEqual(self.after(0.0), 0)
        self.assertEqual(self.after(0.001), 1)

    def test_a_turn_that_changed_something_is_followed_by_another(self) -> None:
        self.outcomes = [True]
        self.loop.start()
        self.assertEqual(self.after(0.0), 2)
        self.assertEqual(self.after(1.0), 0)

    def test_wake_ups_during_a_turn_make_one_more_after_it(self) -> None:
        slow: Deferred[bool] = Deferred()
        self.outcomes = [slow]
        self.started()
        for _ in range(3):
            self.loop.wake()
        self.assertEqual(self.after(SAFETY_SECONDS * 2), 0, "one turn at a time")
        slow.callback(False)
        self.assertEqual(self.after(0.0), 1)
        self.assertEqual(self.after(1.0), 0)


class TestFailingTurns(LoopTestCase):
    def test_one_that_fails_is_logged_and_the_next_comes_soon(self) -> None:
        self.outcomes = [ZeroDivisionError("oh")]
        self.started()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.after(AFTER_A_FAILURE_SECONDS - 0.1), 0)
        self.assertEqual(self.after(0.1), 1)
        self.assertEqual(self.after(SAFETY_SECONDS - 0.1), 0, "all is well again")

    def test_the_plan_of_before_does_not_hurry_it(self) -> None:
        self.wake_at = -5.0
        self.outcomes = [ZeroDivisionError("oh")]
        self.started()
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(self.after(AFTER_A_FAILURE_SECONDS - 0.1), 0)

    def test_who_wakes_the_loop_gets_a_turn_at_once_all_the_same(self) -> None:
        self.outcomes = [ZeroDivisionError("oh")]
        self.started()
        self.flushLoggedErrors(ZeroDivisionError)
        self.loop.wake()
        self.assertEqual(self.after(0.0), 1)


class TestStopping(LoopTestCase):
    def test_no_more_turns_run(self) -> None:
        self.started()
        self.loop.wake()
        self.successResultOf(self.loop.stop())
        self.loop.wake()
        self.assertEqual(self.after(100.0), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_turn_under_way_is_waited_for(self) -> None:
        slow: Deferred[bool] = Deferred()
        self.outcomes = [slow]
        self.started()
        stopped = self.loop.stop()
        self.assertNoResult(stopped)
        slow.callback(True)
        self.successResultOf(stopped)
        self.assertEqual(self.after(100.0), 0)

    def test_it_can_be_started_again(self) -> None:
        self.started()
        self.loop.stop()
        self.started()
