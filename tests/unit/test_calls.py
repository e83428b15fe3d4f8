from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.calls import CallLog
from buildbot_drydock.model import Call, CallKey

CREATE = CallKey("create", "linux", "token-1")
LIST = CallKey("inventory", "linux")


class TestCallLog(SynchronousTestCase):
    def setUp(self) -> None:
        self.log = CallLog(lambda: 0.0)

    def test_a_call_under_way_is_not_begun_again(self) -> None:
        self.assertTrue(self.log.begin(CREATE))
        self.assertFalse(self.log.begin(CREATE))
        self.assertTrue(self.log.begin(LIST))

    def test_after_its_end_it_may_be_made_again(self) -> None:
        self.log.begin(CREATE)
        self.log.succeed(CREATE, 10.0)
        self.assertTrue(self.log.begin(CREATE))
        self.log.fail(CREATE, "throttled", now=11.0)
        self.assertTrue(self.log.begin(CREATE))

    def test_a_success_is_as_old_as_its_beginning_and_ends_all_failures(self) -> None:
        self.log.begin(CREATE)
        self.log.fail(CREATE, "throttled", now=5.0)
        self.log.begin(CREATE)
        self.log.succeed(CREATE, 10.0)
        self.assertEqual(self.log.snapshot()[CREATE], Call(succeeded_at=10.0))

    def test_each_failure_puts_the_call_off_for_longer(self) -> None:
        for failures, wait in ((1, 1.0), (2, 2.0), (3, 4.0)):
            self.log.begin(CREATE)
            failed = self.log.fail(CREATE, "throttled", now=100.0)
            self.assertEqual(
                failed, Call(failures=failures, retry_at=100.0 + wait, error="throttled")
            )
            self.assertEqual(self.log.snapshot()[CREATE], failed)

    def test_what_the_provider_asks_for_is_the_least_wait(self) -> None:
        self.assertEqual(self.log.fail(CREATE, "throttled", now=0.0, after=30.0).retry_at, 30.0)

    def test_a_failure_keeps_the_last_success(self) -> None:
        self.log.succeed(CREATE, 10.0)
        self.assertEqual(self.log.fail(CREATE, "throttled", now=20.0).succeeded_at, 10.0)

    def test_while_a_call_runs_its_past_is_kept(self) -> None:
        self.log.succeed(CREATE, 10.0)
        self.log.begin(CREATE)
        self.assertEqual(self.log.snapshot()[CREATE], Call(running=True, succeeded_at=10.0))

    def test_a_snapshot_does_not_change(self) -> None:
        before = self.log.snapshot()
        self.log.begin(CREATE)
        self.assertEqual(dict(before), {})


class TestForgetting(SynchronousTestCase):
    def setUp(self) -> None:
        self.log = CallLog(lambda: 0.0)

    def test_what_succeeded_or_failed_has_ended(self) -> None:
        vacate = CallKey("vacate", "linux", "tag-1")
        self.log.succeed(CREATE, 1.0)
        self.log.fail(vacate, "throttled", now=1.0)
        self.log.begin(CallKey("destroy", "linux", "token-2"))
        self.assertEqual(self.log.ended(), [CREATE, vacate])

    def test_listings_are_about_no_host(self) -> None:
        self.log.succeed(LIST, 1.0)
        self.assertEqual(self.log.ended(), [])

    def test_calls_are_dropped_and_others_kept(self) -> None:
        self.log.succeed(LIST, 1.0)
        self.log.succeed(CREATE, 1.0)
        self.log.forget([CREATE, CallKey("create", "linux", "never made")])
        self.assertEqual(set(self.log.snapshot()), {LIST})

    def test_a_call_begun_again_is_kept_until_it_ends(self) -> None:
        self.log.succeed(CREATE, 1.0)
        ended = self.log.ended()
        self.log.begin(CREATE)
        self.log.forget(ended)
        self.assertEqual(set(self.log.snapshot()), {CREATE})
