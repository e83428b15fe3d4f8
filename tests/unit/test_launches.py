from buildbot_drydock import events
from buildbot_drydock.model import BlueprintState, Mode
from buildbot_drydock.policy import MISCONFIGURED_RETRY_SECONDS
from buildbot_drydock.testing.builders import NOW, blueprint, state
from tests.unit.core import CoreTestCase


class LaunchesTestCase(CoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.launches.observe([blueprint(failure_budget=3, state=BlueprintState(name="linux"))])


class TestFailures(LaunchesTestCase):
    async def test_each_failed_launch_counts_and_puts_the_next_off_for_longer(self) -> None:
        for failures, wait in ((1, 1.0), (2, 2.0), (3, 4.0)):
            await self.launches.failed("linux", "no disk")
            row = self.state()
            self.assertEqual((row.failures, row.retry_at), (failures, NOW + wait))
            self.assertEqual(row.last_error, "no disk")

    async def test_it_is_told_when_the_budget_is_spent(self) -> None:
        for _ in range(4):
            await self.launches.failed("linux", "no disk")
        told = self.recorded(events.LaunchFailed)
        self.assertEqual([each.budget_spent for each in told], [False, False, True, True])
        self.assertEqual(told[0].retry_at, NOW + 1.0)

    async def test_many_refusals_at_once_count_as_one(self) -> None:
        for _ in range(9):
            await self.launches.refused("linux", "throttled")
        self.assertEqual(self.state().failures, 1)
        self.clock.advance(1.0)
        await self.launches.refused("linux", "throttled")
        self.assertEqual(self.state().failures, 2)

    async def test_hosts_that_did_not_come_up_each_count(self) -> None:
        await self.launches.refused("linux", "throttled")
        await self.launches.failed("linux", "no disk")
        self.assertEqual(self.state().failures, 2)

    async def test_the_wait_that_a_provider_asks_for_is_the_least(self) -> None:
        await self.launches.refused("linux", "throttled", after=77.0)
        self.assertEqual(self.state().retry_at, NOW + 77.0)

    async def test_misconfigured_stops_launches_for_ten_minutes(self) -> None:
        await self.launches.misconfigured("linux", "no such image")
        row = self.state()
        self.assertTrue(row.misconfigured)
        self.assertEqual(row.retry_at, NOW + MISCONFIGURED_RETRY_SECONDS)
        self.assertEqual(row.last_error, "no such image")
        self.assertEqual(
            self.recorded(events.BlueprintMisconfigured),
            [events.BlueprintMisconfigured(error="no such image")],
        )


class TestRecovery(LaunchesTestCase):
    async def test_a_success_ends_all_trouble(self) -> None:
        await self.launches.failed("linux", "no disk")
        await self.launches.misconfigured("linux", "no such image")
        await self.launches.succeeded("linux")
        row = self.state()
        self.assertEqual(
            (row.failures, row.retry_at, row.misconfigured, row.last_error), (0, None, False, "")
        )
        self.assertEqual(
            self.recorded(events.LaunchesRecovered), [events.LaunchesRecovered(failures=2)]
        )

    async def test_a_success_without_trouble_writes_nothing(self) -> None:
        await self.launches.succeeded("linux")
        self.assertEqual(self.state().version, 0)


class TestSharing(LaunchesTestCase):
    async def test_what_another_master_counted_meanwhile_is_added_to(self) -> None:
        self.change_state(failures=7)
        await self.launches.failed("linux", "no disk")
        self.assertEqual(self.state().failures, 8)

    async def test_what_a_person_decided_meanwhile_is_kept(self) -> None:
        self.change_state(mode=Mode.PAUSED, mode_author="ana")
        await self.launches.failed("linux", "no disk")
        row = self.state()
        self.assertEqual((row.mode, row.mode_author, row.failures), (Mode.PAUSED, "ana", 1))

    async def test_while_another_master_backs_off_a_refusal_says_nothing_new(self) -> None:
        self.change_state(failures=1, retry_at=NOW + 5)
        await self.launches.refused("linux", "throttled")
        self.assertEqual(self.state().failures, 1)

    async def test_what_left_the_configuration_needs_no_protection(self) -> None:
        await self.launches.failed("gone", "no disk")
        self.assertEqual(self.recorded(events.LaunchFailed), [])

    async def test_losing_the_race_again_and_again_is_given_up(self) -> None:
        attempts = []

        async def lose(*arguments: object) -> None:
            attempts.append(arguments)

        self.patch(self.store, "change_blueprint", lose)
        await self.launches.failed("linux", "no disk")
        self.assertEqual(len(attempts), 5)

    async def test_the_state_of_a_new_turn_counts(self) -> None:
        row = self.change_state(failures=4)
        self.launches.observe([blueprint(state=row)])
        await self.launches.failed("linux", "no disk")
        self.assertEqual(self.state().failures, 5)
        self.assertEqual(state().failures, 0)
