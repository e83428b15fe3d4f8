"""How an instance is launched once and no more, of what is to be had, on EC2's bad days."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from buildbot_drydock import Image, LaunchTemplate, Spot, SSMParameter
from buildbot_drydock.errors import DrydockError, Misconfigured, NoCapacity, RetryLater
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.ec2.provider import EC2Provider
from tests.ec2 import faults
from tests.ec2_pools import OTHER, TOKEN, OnEC2

THIRD = "drydock-3"


class Launching(OnEC2):
    def tearDown(self) -> None:
        self.assertEqual(self.server.inspector.doubled_tags("drydock:token"), {})
        super().tearDown()

    def living_tokens(self) -> list[str]:
        return sorted(each.tags["drydock:token"] for each in self.living())


class OnceAndNoMore(Launching):
    """One instance for one token, whichever call launches it."""

    __test__ = False  # its subclasses are
    action: str
    options: dict[str, Any]

    def new_pool(self, name: str = "cloud", **fields: Any) -> EC2Provider:
        return self.new_provider(name, **{**self.options, **fields})

    async def test_a_request_of_unknown_outcome_is_repeated_before_another_is_made(self) -> None:
        provider = self.new_pool()
        self.server.faults.next(self.action, faults.reply_lost(), calls=2)
        for _ in range(2):
            error = await self.error_of(provider.create(TOKEN, HostSpec()))
            self.assertIsInstance(error, RetryLater)
            # Now there is none of it any more, and still it is not yet time for another.
            self.server.capacity.set(1, instance_type="m7i.*")
        await provider.create(TOKEN, HostSpec())
        bodies = {call.body for call in self.server.inspector.calls_of(self.action)}
        self.assertEqual(len(bodies), 1)
        self.assertEqual(len(self.living()), 1)

    async def test_what_says_nothing_of_the_first_request_does_not_settle_it(self) -> None:
        provider = self.new_pool()
        self.server.faults.next(self.action, faults.reply_lost())
        await self.error_of(provider.create(TOKEN, HostSpec()))
        for fault in (faults.throttled(), faults.error("InvalidAMIID.NotFound")):
            self.server.faults.next(self.action, fault)
            await self.error_of(provider.create(TOKEN, HostSpec()))
            self.pass_time(10)
        self.server.capacity.set(0, instance_type="m7i.*")
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(len(set(self.asked_for())), 1)
        self.assertEqual(len(self.living()), 1)

    async def test_so_it_is_when_others_have_found_since_that_there_is_none_left(self) -> None:
        self.server.timings.listing_lag = 600.0  # so nothing but the request itself tells of it
        provider = self.new_pool()
        self.server.faults.next(self.action, faults.reply_lost())
        await self.error_of(provider.create(TOKEN, HostSpec()))
        self.server.capacity.set(0)
        self.assertIsInstance(
            await self.error_of(provider.create(OTHER, HostSpec(place=1))), NoCapacity
        )
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(self.living_tokens(), [TOKEN])

    async def test_two_masters_at_once_launch_one_instance(self) -> None:
        masters = [self.new_pool(), self.new_pool()]
        asked = [Deferred.fromCoroutine(each.create(TOKEN, HostSpec())) for each in masters]
        await gatherResults(asked, consumeErrors=True)
        self.assertEqual(len(self.living()), 1)

    async def test_a_restarted_master_launches_no_second_one_whatever_else_it_asks_for(
        self,
    ) -> None:
        image = Image(owner="136693071363", name="debian-12-amd64-*", architecture="x86_64")
        self.server.faults.next(self.action, faults.reply_lost())
        await self.error_of(self.new_pool(image=image).create(TOKEN, HostSpec()))
        self.assertEqual(self.living()[0].request["ImageId"], self.server.catalogue.newest_image)
        self.server.catalogue.add_image("debian-12-amd64-20270101")
        self.server.timings.listing_lag = 60
        restarted = self.new_pool(
            image=SSMParameter(self.server.catalogue.parameter), tags={"a": "b"}
        )
        await restarted.create(TOKEN, HostSpec())
        for _ in range(3):
            error = await self.error_of_if_any(restarted.create(TOKEN, HostSpec()))
            self.assertTrue(error is None or isinstance(error, RetryLater))
            self.pass_time(30)
        self.assertEqual(len(self.living()), 1)

    async def error_of_if_any(self, awaitable: Any) -> DrydockError | None:
        try:
            await awaitable
        except DrydockError as error:
            return error
        return None

    async def test_an_instance_that_ends_at_once_is_told_of(self) -> None:
        self.server.fail_next_boot("Client.VolumeLimitExceeded")
        provider = self.new_pool()
        await provider.create(TOKEN, HostSpec())
        self.pass_time(1)
        self.assertEqual(await provider.inventory(), [])
        error = await self.error_of(provider.create(TOKEN, HostSpec()))
        self.assertIsInstance(error, NoCapacity)
        self.assertIn("VolumeLimitExceeded", str(error))
        self.assertEqual(self.server.inspector.launched(), 1)

    async def test_so_it_is_by_a_master_that_was_restarted(self) -> None:
        self.server.fail_next_boot()
        await self.new_pool().create(TOKEN, HostSpec())
        self.pass_time(1)
        self.server.settle()
        restarted = self.new_pool()
        error = await self.error_of_if_any(restarted.create(TOKEN, HostSpec()))
        if error is None:  # what a fleet launched before is told without its state
            error = await self.error_of(restarted.create(TOKEN, HostSpec()))
        self.assertIsInstance(error, NoCapacity)
        self.assertEqual(self.server.inspector.launched(), 1)

    async def test_a_call_that_hangs_holds_up_no_other(self) -> None:
        gate = faults.Gate()
        self.addCleanup(gate.open)
        self.server.faults.next(self.action, faults.held(gate))
        provider = self.new_pool()
        hanging = Deferred.fromCoroutine(provider.create(TOKEN, HostSpec()))
        await deferToThread(gate.wait_until_reached)
        await provider.create(OTHER, HostSpec(place=1))
        self.assertEqual(self.living_tokens(), [OTHER])
        hanging.addErrback(lambda failure: None)
        hanging.cancel()
        gate.open()
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(self.living_tokens(), [TOKEN, OTHER])

    async def test_what_no_listing_shows_yet_is_destroyed(self) -> None:
        self.server.timings.listing_lag = 10.0
        provider = self.new_pool()
        await provider.create(TOKEN, HostSpec())
        error = await self.error_of(provider.destroy(TOKEN))
        self.assertIsInstance(error, RetryLater)
        self.pass_time(11)
        await provider.destroy(TOKEN)
        self.assertEqual(self.living(), [])

    async def test_an_instance_that_appears_late_is_listed_then(self) -> None:
        self.server.faults.next(self.action, faults.appears_late(300.0))
        provider = self.new_pool()
        await self.error_of(provider.create(TOKEN, HostSpec()))
        await provider.destroy(TOKEN)
        self.assertEqual(len(self.living()), 1)
        self.pass_time(301)
        self.assertEqual([each.token for each in await provider.inventory()], [TOKEN])
        await provider.destroy(TOKEN)
        self.assertEqual(self.living(), [])


class TestByRunInstances(OnceAndNoMore):
    __test__ = True
    action = "RunInstances"

    def setUp(self) -> None:
        super().setUp()
        subnets = list(self.server.catalogue.subnets().values())
        self.options = {"instance_types": ["m7i.large"], "subnets": subnets[:1]}

    async def test_one_candidate_needs_no_fleet_and_no_template(self) -> None:
        await self.new_pool().create(TOKEN, HostSpec())
        self.assertEqual(self.asked_for(), ["m7i.large on-demand"])
        actions = self.server.inspector.calls_by_action()
        self.assertEqual(set(actions), {"DescribeImages", "RunInstances"})

    async def test_what_shows_without_its_tags_is_destroyed_by_another_master(self) -> None:
        self.server.timings.tag_lag = 60.0
        await self.new_pool().create(TOKEN, HostSpec())
        await self.new_pool().destroy(TOKEN)
        self.assertEqual(self.living(), [])


class TestByFleet(OnceAndNoMore):
    __test__ = True
    action = "CreateFleet"
    options: dict[str, Any] = {}

    async def test_what_another_master_found_is_asked_for_once(self) -> None:
        """The one knows that there is none of the first type, and the other does not."""
        self.server.capacity.set(0, instance_type="m7i.*")
        knowing, other = self.new_pool(), self.new_pool()
        await knowing.create(OTHER, HostSpec())
        await knowing.create(TOKEN, HostSpec(place=1))
        self.server.timings.listing_lag = 100.0
        self.server.capacity.clear()
        await other.create(TOKEN, HostSpec(place=1))
        self.assertEqual(self.living_tokens(), [TOKEN, OTHER])

    async def test_one_that_asked_otherwise_in_vain_is_waited_for_and_then_passed_over(
        self,
    ) -> None:
        self.server.capacity.set(0)
        await self.error_of(self.new_pool().create(TOKEN, HostSpec()))
        self.server.capacity.clear()
        restarted = self.new_pool(tags={"a": "b"}, listing_delay=60.0)
        await restarted.create(TOKEN, HostSpec())  # refused: another request has its client token
        for _ in range(2):
            error = await self.error_of(restarted.create(TOKEN, HostSpec()))
            self.assertIsInstance(error, RetryLater)
            self.assertEqual(self.living(), [])
            self.pass_time(31)
        await restarted.create(TOKEN, HostSpec())
        self.assertEqual(self.living_tokens(), [TOKEN])

    async def test_a_master_killed_after_the_fallback_launches_no_second_one(self) -> None:
        self.server.capacity.set(0, market="spot")
        self.server.timings.listing_lag = 600.0
        await self.new_pool(spot=Spot()).create(TOKEN, HostSpec())
        self.server.capacity.clear()
        await self.new_pool(spot=Spot()).create(TOKEN, HostSpec())
        self.assertEqual([each.market for each in self.living()], ["on-demand"])

    async def test_what_shows_without_its_tags_is_destroyed_once_they_show(self) -> None:
        self.server.timings.tag_lag = 60.0
        await self.new_pool(spot=Spot()).create(TOKEN, HostSpec())
        other = self.new_pool(spot=Spot())
        await other.destroy(TOKEN)
        self.pass_time(61)
        (seen,) = await other.inventory()
        await other.destroy(TOKEN, seen.identity)
        self.assertEqual(self.living(), [])


class TestCandidates(Launching):
    async def test_all_that_would_do_is_asked_for_at_once_and_what_there_is_none_of_left_out(
        self,
    ) -> None:
        self.server.capacity.set(0, instance_type="m7i.*")
        provider = self.new_provider()
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(self.asked_for(), ["m7i.large c7i.large on-demand"])
        self.assertEqual([each.instance_type for each in self.living()], ["c7i.large"])
        self.server.inspector.forget_calls()
        await provider.create(OTHER, HostSpec(place=1))
        self.assertEqual(self.asked_for(), ["c7i.large on-demand"])
        self.server.inspector.forget_calls()
        self.pass_time(61)
        self.server.capacity.clear()
        await provider.create(THIRD, HostSpec(place=2))
        self.assertEqual(self.asked_for(), ["m7i.large c7i.large on-demand"])
        self.assertEqual(self.living()[-1].instance_type, "m7i.large")

    async def test_a_lack_in_one_zone_leaves_the_type_to_the_others(self) -> None:
        (first, _), (second, _) = list(self.server.catalogue.subnets().items())[:2]
        self.server.capacity.set(0, instance_type="m7i.*", zone=first)
        provider = self.new_provider(spot=Spot(strategy="capacity-optimized-prioritized"))
        self.server.capacity.set(1, instance_type="c7i.*")
        for place, token in enumerate((TOKEN, OTHER)):
            await provider.create(token, HostSpec(place=place))
        self.assertEqual(
            {(e.instance_type, e.zone) for e in self.living()}, {("m7i.large", second)}
        )

    async def test_of_two_subnets_in_a_zone_the_other_is_asked_for_in_the_same_turn(self) -> None:
        first = self.server.catalogue.subnets()["us-east-1a"]
        second = self.server.catalogue.add_subnet("10.7.0.0/24", "us-east-1a")
        provider = self.new_provider(subnets=[first, second], spot=Spot())
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(self.living()[0].request["SubnetId"], first)
        self.server.faults.next(
            "CreateFleet", faults.error("InsufficientFreeAddressesInSubnet", "No address is free.")
        )
        await provider.create(OTHER, HostSpec(place=1))
        self.assertEqual(self.living()[1].request["SubnetId"], second)
        self.assertEqual(self.living()[1].market, "spot")
        self.assertEqual(self.server.inspector.count_calls("DescribeSubnets"), 1)

    async def test_no_capacity_anywhere_is_told_with_the_reasons(self) -> None:
        self.server.capacity.set(0)
        provider = self.new_provider(subnets=[], zones=["us-east-1a"], spot=Spot())
        error = await self.error_of(provider.create(TOKEN, HostSpec()))
        self.assertIsInstance(error, NoCapacity)
        for text in ("m7i.large in us-east-1a (spot)", "c7i.large in us-east-1a (on-demand)"):
            self.assertIn(text, str(error))
        self.assertIn("tried again in", str(error))
        self.assertEqual(self.living(), [])
        self.server.inspector.forget_calls()
        await self.error_of(provider.create(OTHER, HostSpec()))
        self.assertEqual(self.asked_for(), [])  # it is known

    async def test_spot_comes_first_but_for_the_base_and_falls_back_in_the_same_turn(self) -> None:
        provider = self.new_provider(spot=Spot(on_demand_base=1, max_price=0.25))
        await provider.create(TOKEN, HostSpec(place=0))
        await provider.create(OTHER, HostSpec(place=1))
        self.assertEqual([each.market for each in self.living()], ["on-demand", "spot"])
        options = self.living()[1].request["InstanceMarketOptions"]["SpotOptions"]
        self.assertEqual(options["MaxPrice"], "0.25")
        self.assertEqual(options["SpotInstanceType"], "one-time")
        self.server.capacity.set(0, market="spot")
        await provider.create(THIRD, HostSpec(place=2))
        self.assertEqual(self.living()[2].market, "on-demand")
        alone = self.new_provider("alone", spot=Spot(on_demand_fallback=False))
        error = await self.error_of(alone.create("drydock-4", HostSpec()))
        self.assertIsInstance(error, NoCapacity)

    async def test_the_strategy_decides_among_what_there_is(self) -> None:
        self.server.prices.set_spot(0.01, instance_type="c7i.*")
        self.server.prices.set_spot(0.02, instance_type="m7i.*")
        self.server.capacity.set(2, instance_type="c7i.*")
        self.server.capacity.set(9, instance_type="m7i.*")
        for strategy, kind in (
            ("price-capacity-optimized", "c7i.large"),
            ("lowest-price", "c7i.large"),
            ("capacity-optimized", "m7i.large"),
            ("capacity-optimized-prioritized", "m7i.large"),
        ):
            provider = self.new_provider(strategy, spot=Spot(strategy=strategy))
            await provider.create(strategy, HostSpec())
            self.assertEqual(self.living()[0].instance_type, kind, strategy)
            await provider.destroy(strategy)
            self.server.settle()

    async def test_a_price_above_the_most_that_is_paid_leads_to_the_fallback(self) -> None:
        self.server.prices.set_spot(0.5)
        provider = self.new_provider(spot=Spot(max_price=0.1))
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(self.living()[0].market, "on-demand")
        alone = self.new_provider("alone", spot=Spot(max_price=0.1, on_demand_fallback=False))
        error = await self.error_of(alone.create(OTHER, HostSpec()))
        self.assertIsInstance(error, NoCapacity)
        self.assertIn("raise max_price of Spot", str(error))

    async def test_a_quota_is_named_and_counts_for_all_that_share_it(self) -> None:
        self.server.quotas.on_demand_cores = 2
        provider = self.new_provider(instance_types=["m7i.large", "c7i.large", "g5.xlarge"])
        await provider.create(TOKEN, HostSpec())
        error = await self.error_of(provider.create(OTHER, HostSpec(place=1)))
        self.assertIsInstance(error, NoCapacity)
        self.assertIn("vCPU limit of 2", str(error))
        self.assertIn("Service Quotas", str(error))

    async def test_what_is_wrong_with_one_type_is_told_if_no_other_is_to_be_had(self) -> None:
        types = ["m7i.large", "m99.large"]
        await self.new_provider(instance_types=types).create(TOKEN, HostSpec())
        self.assertEqual([each.instance_type for each in self.living()], ["m7i.large"])
        self.server.capacity.set(0)
        error = await self.error_of(
            self.new_provider("other", instance_types=types).create(OTHER, HostSpec())
        )
        self.assertIsInstance(error, Misconfigured)
        self.assertIn("m99.large", str(error))

    async def test_throttling_makes_all_pools_of_the_account_wait(self) -> None:
        provider, other = self.new_provider(), self.new_provider("other")
        self.server.faults.next("DescribeInstances", faults.throttled())
        error = await self.error_of(provider.inventory())
        assert isinstance(error, RetryLater)
        self.assertGreater(error.after, 0)
        self.server.inspector.forget_calls()
        for each in (provider, other):
            error = await self.error_of(each.create(TOKEN, HostSpec()))
            self.assertIsInstance(error, RetryLater)
        self.assertEqual(self.server.inspector.calls, [])
        self.pass_time(error.after if isinstance(error, RetryLater) else 0)
        await other.inventory()


class TestLaunchTemplates(Launching):
    def templates(self) -> list[str]:
        return list(self.server.inspector.launch_templates())

    async def test_one_is_made_for_a_host_and_deleted_some_minutes_later(self) -> None:
        provider = self.new_provider(spot=Spot())
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(len(self.templates()), 1)
        await provider.inventory()
        self.assertEqual(len(self.templates()), 1)
        self.pass_time(301)
        await provider.inventory()
        self.assertEqual(self.templates(), [])

    async def test_what_a_dead_master_left_is_deleted_by_another_and_nothing_of_others(
        self,
    ) -> None:
        self.server.client().create_launch_template(
            LaunchTemplateName="drydock-is-a-name-for-boats",
            LaunchTemplateData={"ImageId": self.server.catalogue.newest_image},
        )
        for number in range(20):
            self.server.faults.next("CreateFleet", faults.connection_reset())
            await self.error_of(self.new_provider().create(f"drydock-{number}", HostSpec()))
        await self.new_provider("other").create(THIRD, HostSpec())
        self.assertEqual(len(self.templates()), 22)
        restarted = self.new_provider()
        await restarted.inventory()
        self.assertEqual(len(self.templates()), 22)
        self.pass_time(3601)
        await restarted.inventory()
        self.assertEqual(len(self.templates()), 2)

    async def test_one_that_does_not_show_yet_is_waited_for(self) -> None:
        self.server.timings.template_lag = 5.0
        provider = self.new_provider()
        error = await self.error_of(provider.create(TOKEN, HostSpec()))
        self.assertIsInstance(error, RetryLater)
        self.pass_time(6)
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(self.living_tokens(), [TOKEN])

    async def test_a_lost_reply_to_its_making_is_no_harm(self) -> None:
        self.server.faults.next("CreateLaunchTemplate", faults.reply_lost())
        provider = self.new_provider()
        await self.error_of(provider.create(TOKEN, HostSpec()))
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(len(self.templates()), 1)
        self.assertEqual(self.living_tokens(), [TOKEN])

    async def test_that_it_can_not_be_deleted_stops_nothing(self) -> None:
        provider = self.new_provider()
        await provider.create(TOKEN, HostSpec())
        self.pass_time(301)
        self.server.permissions.denied = {"DeleteLaunchTemplate", "DescribeLaunchTemplates"}
        self.assertEqual(len(await provider.inventory()), 1)

    async def test_what_one_of_the_user_s_says_is_in_it_but_for_what_the_pool_says(self) -> None:
        tags = [
            {"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "builds"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "theirs"}]},
        ]
        self.server.client().create_launch_template(
            LaunchTemplateName="builders",
            LaunchTemplateData={
                "ImageId": self.server.catalogue.images[0],
                "InstanceType": "t3.micro",
                "Monitoring": {"Enabled": True},
                "MetadataOptions": {"HttpTokens": "optional"},
                "TagSpecifications": tags,
            },
        )
        provider = self.new_provider(image=None, launch_template=LaunchTemplate("builders"))
        await provider.create(TOKEN, HostSpec())
        (instance,) = self.living()
        self.assertEqual(instance.instance_type, "m7i.large")
        self.assertEqual(instance.request["ImageId"], self.server.catalogue.images[0])
        self.assertEqual(instance.request["Monitoring"], {"Enabled": True})
        self.assertEqual(instance.request["MetadataOptions"]["HttpTokens"], "required")
        self.assertEqual(instance.tags["team"], "builds")
        self.assertEqual(instance.tags["drydock:token"], TOKEN)

    async def test_the_permission_that_lacks_is_named(self) -> None:
        for action in ("CreateLaunchTemplate", "CreateFleet"):
            self.server.permissions.denied = {action}
            error = await self.error_of(self.new_provider().create(TOKEN, HostSpec()))
            self.assertIsInstance(error, Misconfigured)
            self.assertIn(f"ec2:{action}", str(error))

    async def test_a_fleet_asks_for_one_instance_of_type_instant(self) -> None:
        await self.new_provider(spot=Spot()).create(TOKEN, HostSpec())
        (call,) = self.server.inspector.calls_of("CreateFleet")
        asked = {key: values[0] for key, values in parse_qs(call.body).items()}
        self.assertEqual(asked["Type"], "instant")
        self.assertEqual(asked["TargetCapacitySpecification.TotalTargetCapacity"], "1")
        self.assertEqual(asked["SpotOptions.AllocationStrategy"], "price-capacity-optimized")
        self.assertEqual(self.server.inspector.orphan_volumes(), [])
        (request,) = self.server.inspector.open_spot_requests()
        self.assertEqual((request.kind, request.tags["drydock:token"]), ("one-time", TOKEN))
        self.assertNotIn("ed25519_private", json.dumps(asked))
