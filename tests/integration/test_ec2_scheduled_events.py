"""That EC2 schedules events for instances, such as their retirement."""

from __future__ import annotations

from unittest import mock

from twisted.logger import capturedLogs

from buildbot_drydock import Spot
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.ec2 import scheduled_events
from buildbot_drydock.latent.ec2.interruptions import INTERRUPTION
from buildbot_drydock.latent.ec2.provider import EC2Provider
from buildbot_drydock.latent.ec2.scheduled_events import ASKED_EVERY_SECONDS, NEAR_SECONDS
from buildbot_drydock.model import Health, Observed
from tests.ec2 import ScheduledEvent, faults
from tests.ec2_pools import OTHER, TOKEN, OnEC2

HOUR = 3600.0
WEEKS = 14 * 24 * HOUR
RETIREMENT = "instance-retirement"
REASON = "EC2 has scheduled instance-retirement: The instance is running on degraded hardware"


class TestScheduledEvents(OnEC2):
    def why(self, observed: Observed) -> str:
        return self.told_of(REASON, observed)

    def calls(self) -> int:
        return int(self.server.inspector.count_calls("DescribeInstanceStatus"))

    def schedule(
        self, observed: Observed, left: float = HOUR, code: str = RETIREMENT
    ) -> ScheduledEvent:
        at = self.clock.seconds() + left
        return self.server.schedule_event(observed.identity, code, not_before=at)

    async def next_look(self, provider: EC2Provider) -> Observed:
        self.pass_time(ASKED_EVERY_SECONDS)
        return await self.only(provider)

    async def test_a_retirement_is_told_of_once_it_is_near_and_happens(self) -> None:
        provider = self.new_provider()
        observed = await self.ready(provider)
        self.schedule(observed, WEEKS)
        ends_at = self.clock.seconds() + WEEKS
        seen = await self.next_look(provider)
        self.assertEqual((seen.ends_at, seen.end_reason), (None, ""))
        self.pass_time(WEEKS - NEAR_SECONDS - 2 * ASKED_EVERY_SECONDS)
        self.assertIsNone((await self.only(provider)).ends_at)
        for _ in range(3):
            seen = await self.next_look(provider)
            self.assertEqual((seen.ends_at, seen.end_reason), (ends_at, self.why(observed)))
            self.assertEqual(seen.health, observed.health)
        self.pass_time(ends_at - self.clock.seconds())
        stopped = await self.only(provider)
        self.assertEqual(stopped.health, Health.PARKED)
        self.assertIn("Server.ScheduledStop", stopped.reason)
        await provider.destroy(TOKEN)
        self.assertEqual(self.living(), [])

    async def test_each_kind_is_an_end(self) -> None:
        for code in ("instance-stop", "instance-reboot", "system-reboot", "system-maintenance"):
            provider = self.new_provider(f"cloud-{code}")
            observed = await self.ready(provider, code)
            self.schedule(observed, code=code)
            ends_at = self.clock.seconds() + HOUR
            seen = await self.next_look(provider)
            self.assertEqual(seen.ends_at, ends_at)
            self.assertIn(code, seen.end_reason)

    async def test_what_was_called_off_or_is_over_is_ignored(self) -> None:
        provider = self.new_provider()
        observed = await self.ready(provider)
        self.schedule(observed).end("Canceled")
        self.schedule(observed, 60.0, "instance-reboot")
        for _ in range(2):
            self.assertIsNone((await self.next_look(provider)).ends_at)
        events = self.server.instance(observed.identity).events
        self.assertEqual(
            [each.description.partition(" ")[0] for each in events], ["[Canceled]", "[Completed]"]
        )

    async def test_one_called_off_before_it_is_near_is_never_told_of(self) -> None:
        provider = self.new_provider()
        event = self.schedule(await self.ready(provider), WEEKS)
        self.assertIsNone((await self.next_look(provider)).ends_at)
        event.end("Canceled")
        self.pass_time(WEEKS - HOUR)
        self.assertIsNone((await self.only(provider)).ends_at)

    async def test_it_is_asked_now_and_then_and_only_while_instances_run(self) -> None:
        self.server.timings.pending = 30.0
        provider = self.new_provider()
        await provider.inventory()
        await provider.create(TOKEN, HostSpec())
        await provider.inventory()
        self.assertEqual(self.calls(), 0)
        self.pass_time(31)
        await provider.inventory()
        self.pass_time(1)
        self.assertEqual((await self.only(provider)).health, Health.READY)
        self.server.inspector.forget_calls()
        for _ in range(10):
            self.pass_time(ASKED_EVERY_SECONDS / 5)
            await provider.inventory()
        self.assertEqual(self.calls(), 2)
        await provider.destroy(TOKEN)
        self.pass_time(2 * ASKED_EVERY_SECONDS)
        await provider.inventory()
        self.assertEqual(self.calls(), 2)

    async def test_all_pages_are_read_and_none_is_fetched_for_those_without_events(self) -> None:
        page = 5
        patched = mock.patch.object(scheduled_events, "PAGE_SIZE", page)
        patched.start()
        self.addCleanup(patched.stop)
        provider = self.new_provider(limit=30)
        for place in range(22):
            await provider.create(f"drydock-{place}", HostSpec(place=place))
        await provider.inventory()
        self.pass_time(1)
        for events, pages in ((0, 1), (12, 3)):
            for instance in self.living()[:events]:
                at = self.clock.seconds() + HOUR
                self.server.schedule_event(instance.id, RETIREMENT, not_before=at)
            self.pass_time(ASKED_EVERY_SECONDS)
            await provider.inventory()  # those that come up are asked about beside that
            self.pass_time(ASKED_EVERY_SECONDS)
            self.server.inspector.forget_calls()
            found = await provider.inventory()
            self.assertEqual(sum(each.ends_at is not None for each in found), events)
            self.assertEqual(self.calls(), pages)

    async def test_others_events_are_none_of_ours(self) -> None:
        other = self.new_provider("other")
        theirs = await self.ready(other, OTHER)
        provider = self.new_provider()
        await self.ready(provider)
        self.schedule(theirs)
        self.assertIsNone((await self.next_look(provider)).ends_at)
        self.assertIsNotNone((await self.only(other)).ends_at)

    async def test_a_restarted_master_sees_it_with_its_first_listing(self) -> None:
        observed = await self.ready(self.new_provider())
        self.schedule(observed)
        self.assertEqual((await self.only(self.new_provider())).end_reason, self.why(observed))

    async def test_the_listing_counts_if_nothing_is_heard_of_events(self) -> None:
        provider = self.new_provider()
        observed = await self.ready(provider)
        self.schedule(observed)
        self.server.permissions.denied = {"DescribeInstanceStatus"}
        with capturedLogs() as logs:
            seen = await self.next_look(provider)
        self.assertEqual((seen.identity, seen.health), (observed.identity, Health.READY))
        self.assertTrue(any("failed" in each and "no word" in each["log_format"] for each in logs))
        self.server.permissions.denied = set()
        self.server.faults.next("DescribeInstanceStatus", faults.throttled())
        self.assertIsNone((await self.next_look(provider)).ends_at)
        self.assertIsNotNone((await self.next_look(provider)).ends_at)

    async def test_an_interruption_before_the_event_is_the_end(self) -> None:
        provider = self.new_provider(spot=Spot())
        observed = await self.ready(provider)
        self.schedule(observed)
        self.assertEqual((await self.next_look(provider)).end_reason, self.why(observed))
        self.server.interrupt(observed.identity)
        seen = await self.only(provider)
        self.assertEqual(seen.ends_at, self.clock.seconds() + 120)
        self.assertEqual(seen.end_reason, self.told_of(INTERRUPTION, observed))

    async def test_what_we_terminate_ourselves_has_no_event(self) -> None:
        self.server.timings.shutting_down = 2 * ASKED_EVERY_SECONDS
        provider = self.new_provider()
        observed = await self.ready(provider)
        await self.ready(provider, OTHER)
        self.schedule(observed)
        await provider.destroy(TOKEN)
        self.pass_time(ASKED_EVERY_SECONDS)
        self.server.inspector.forget_calls()
        self.assertEqual([each.ends_at for each in await provider.inventory()], [None, None])
        self.assertEqual(self.calls(), 1)
