from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.model import Health, Mode
from buildbot_drydock.policy import (
    backoff_seconds,
    budget_spent,
    keeper,
    labels_to_build,
    meets,
    misfit,
    no_launch,
    out_of_service,
    worn_out,
)
from buildbot_drydock.reasons import (
    BackingOff,
    DoesNotFit,
    Misconfigured,
    OutOfService,
    Probing,
)
from buildbot_drydock.testing.builders import (
    NOW,
    blueprint,
    observed,
    pending,
    resource,
    state,
)


class TestBackingOff(SynchronousTestCase):
    def test_the_wait_doubles_up_to_five_minutes(self) -> None:
        longest = [backoff_seconds(n, uniform=1.0) for n in range(1, 12)]
        self.assertEqual(longest, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300])

    def test_chance_spreads_waits_over_their_upper_half(self) -> None:
        self.assertEqual(backoff_seconds(3, uniform=0.0), 4.0)
        self.assertEqual(backoff_seconds(3, uniform=0.5), 6.0)

    def test_what_a_provider_asks_for_is_the_least(self) -> None:
        self.assertEqual(backoff_seconds(1, uniform=0.0, at_least=77.0), 77.0)
        self.assertEqual(backoff_seconds(9, uniform=0.0, at_least=77.0), 150.0)

    @given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
    def test_it_is_never_longer_than_five_minutes_nor_shorter_than_a_second(
        self, failures: int, uniform: float
    ) -> None:
        self.assertTrue(1.0 <= backoff_seconds(failures, uniform=uniform) <= 300.0)


class TestFitting(SynchronousTestCase):
    fixed = blueprint(labels={"os": "linux"}, choices={"image": ("bookworm", "trixie")})

    def test_a_lease_that_requires_nothing_fits(self) -> None:
        self.assertIsNone(misfit(self.fixed, {}))

    def test_a_fixed_label_fits_only_by_its_value(self) -> None:
        self.assertIsNone(misfit(self.fixed, {"os": "linux"}))
        self.assertEqual(
            misfit(self.fixed, {"os": "bsd"}),
            DoesNotFit(blueprint="linux", label="os", wanted="bsd", offered=("linux",)),
        )

    def test_a_choice_fits_by_each_of_its_values(self) -> None:
        self.assertIsNone(misfit(self.fixed, {"image": "trixie"}))
        self.assertEqual(
            misfit(self.fixed, {"image": "sid"}),
            DoesNotFit(
                blueprint="linux", label="image", wanted="sid", offered=("bookworm", "trixie")
            ),
        )

    def test_a_label_that_is_not_offered_never_fits(self) -> None:
        self.assertEqual(
            misfit(self.fixed, {"os": "linux", "gpu": "yes"}),
            DoesNotFit(blueprint="linux", label="gpu", wanted="yes", offered=()),
        )

    def test_the_first_requirement_by_name_is_told(self) -> None:
        told = misfit(self.fixed, {"z": "1", "gpu": "yes"})
        assert told is not None
        self.assertEqual(told.label, "gpu")

    def test_a_fixed_label_wins_over_a_choice_of_the_same_name(self) -> None:
        both = blueprint(labels={"os": "linux"}, choices={"os": ("linux", "bsd")})
        self.assertIsNotNone(misfit(both, {"os": "bsd"}))
        self.assertEqual(labels_to_build(both, {}), {"os": "linux"})

    def test_a_resource_meets_what_its_labels_say(self) -> None:
        self.assertTrue(meets({"os": "linux", "cpu": "arm"}, {"os": "linux"}))
        self.assertFalse(meets({"os": "linux"}, {"os": "bsd"}))
        self.assertFalse(meets({}, {"os": "linux"}))
        self.assertTrue(meets({}, {}))

    def test_what_is_required_is_chosen_and_otherwise_the_first(self) -> None:
        chosen = labels_to_build(self.fixed, {"image": "trixie"})
        self.assertEqual(chosen, {"os": "linux", "image": "trixie"})
        self.assertEqual(
            labels_to_build(self.fixed, {"os": "linux"}), {"os": "linux", "image": "bookworm"}
        )


class TestOutOfService(SynchronousTestCase):
    def test_an_enabled_blueprint_serves(self) -> None:
        self.assertIsNone(out_of_service(blueprint(), NOW))

    def test_every_other_mode_says_by_whom_until_when_and_why(self) -> None:
        for mode in (Mode.PAUSED, Mode.DRAINING, Mode.DISABLED):
            stopped = state(
                mode=mode, mode_author="ana", mode_reason="new image", mode_until=NOW + 60
            )
            self.assertEqual(
                out_of_service(blueprint(state=stopped), NOW),
                OutOfService(
                    blueprint="linux", mode=mode.value, by="ana", until=NOW + 60, why="new image"
                ),
            )

    def test_a_mode_ends_at_its_time(self) -> None:
        paused = blueprint(state=state(mode=Mode.PAUSED, mode_until=NOW))
        self.assertIsNone(out_of_service(paused, NOW))
        self.assertIsNotNone(out_of_service(paused, NOW - 1))

    def test_a_retired_blueprint_serves_nobody(self) -> None:
        told = out_of_service(blueprint(retired=True), NOW)
        assert told is not None
        self.assertEqual(told.mode, "retired")


class TestLaunching(SynchronousTestCase):
    def test_a_blueprint_without_failures_launches_many_at_once(self) -> None:
        self.assertIsNone(no_launch(blueprint(), booting=99, now=NOW))

    def test_it_backs_off_until_it_may_retry(self) -> None:
        failed = state(failures=2, retry_at=NOW + 24, last_error="throttled")
        self.assertEqual(
            no_launch(blueprint(state=failed), booting=0, now=NOW),
            BackingOff(blueprint="linux", failures=2, retry_at=NOW + 24, error="throttled"),
        )
        self.assertIsNone(no_launch(blueprint(state=failed), booting=3, now=NOW + 24))

    def test_with_its_budget_spent_it_tries_one_host_at_a_time(self) -> None:
        spent = blueprint(failure_budget=3, state=state(failures=3, last_error="bad image"))
        self.assertIsNone(no_launch(spent, booting=0, now=NOW))
        self.assertEqual(
            no_launch(spent, booting=1, now=NOW),
            Probing(blueprint="linux", failures=3, budget=3, error="bad image"),
        )

    def test_with_some_of_its_budget_left_it_still_launches_many(self) -> None:
        left = blueprint(failure_budget=3, state=state(failures=2))
        self.assertIsNone(no_launch(left, booting=1, now=NOW))
        self.assertFalse(budget_spent(left, left.state))

    def test_misconfigured_it_stops_and_later_tries_one_host(self) -> None:
        wrong = state(misconfigured=True, failures=1, retry_at=NOW + 9, last_error="no such image")
        self.assertEqual(
            no_launch(blueprint(state=wrong), booting=0, now=NOW),
            Misconfigured(blueprint="linux", error="no such image", retry_at=NOW + 9),
        )
        self.assertIsNone(no_launch(blueprint(state=wrong), booting=0, now=NOW + 9))
        self.assertIsInstance(no_launch(blueprint(state=wrong), booting=1, now=NOW + 9), Probing)


class TestWearingOut(SynchronousTestCase):
    def test_it_does_not_without_a_limit(self) -> None:
        self.assertIsNone(worn_out(blueprint(), resource(uses=10**6, created_at=0.0), NOW))

    def test_it_does_by_uses(self) -> None:
        twice = blueprint(max_uses=2)
        self.assertIsNone(worn_out(twice, resource(uses=1), NOW))
        self.assertIn("2 leases", worn_out(twice, resource(uses=2), NOW) or "")

    def test_it_does_by_age(self) -> None:
        hour = blueprint(max_age=3600.0)
        self.assertIsNone(worn_out(hour, resource(created_at=NOW - 3599), NOW))
        self.assertIn("3600 s", worn_out(hour, resource(created_at=NOW - 3600), NOW) or "")


class TestKeepingOneOfTwins(SynchronousTestCase):
    def test_the_one_the_row_remembers_is_kept_even_if_it_is_failing(self) -> None:
        mine = observed(identity="host-1", health=Health.FAILING)
        other = observed(identity="host-0", health=Health.READY)
        self.assertIs(keeper([other, mine], resource(1)), mine)

    def test_otherwise_the_readiest_is_kept(self) -> None:
        ready = observed(identity="c", health=Health.READY, created_at=3.0)
        starting = observed(identity="b", health=Health.STARTING, created_at=2.0)
        failing = observed(identity="a", health=Health.FAILING, created_at=1.0)
        self.assertIs(keeper([failing, starting, ready], pending(1)), ready)
        self.assertIs(keeper([failing, starting], pending(1)), starting)

    def test_otherwise_the_oldest_is_kept(self) -> None:
        young = observed(identity="a", created_at=2.0)
        old = observed(identity="b", created_at=1.0)
        self.assertIs(keeper([young, old], pending(1)), old)

    def test_otherwise_all_masters_keep_the_same_one(self) -> None:
        hosts = [observed(identity="b"), observed(identity="a")]
        self.assertEqual(keeper(hosts, pending(1)), keeper(hosts[::-1], pending(1)))
