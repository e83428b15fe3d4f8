"""What the provider of EC2 instances does when EC2, the instances or the master have a bad day."""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from buildbot_drydock import SSH, Image, LaunchTemplate, Spot, SSMParameter, Volume
from buildbot_drydock.errors import (
    DrydockError,
    HostUnreachable,
    Misconfigured,
    NoCapacity,
    RetryLater,
)
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.ec2 import listing
from buildbot_drydock.latent.ec2.provider import EC2Provider
from buildbot_drydock.latent.ec2.userdata import SIGN_OF_LIFE
from buildbot_drydock.model import Health, Observed
from buildbot_drydock.testing.provider_contract import a_lease, the_resource
from tests.ec2 import Instance, faults
from tests.ec2_pools import INSTALLATION, InSimulatedEC2

TOKEN, OTHER = "drydock-1", "drydock-2"


class OnEC2(InSimulatedEC2):
    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def tearDown(self) -> None:
        self.assertEqual(self.server.inspector.doubled_tokens(), {})
        self.assertEqual(self.server.inspector.hook_errors(), [])

    def living(self) -> list[Instance]:
        return list(self.server.inspector.living)

    def asked_for(self) -> list[str]:
        """Return the types and markets that instances were asked for, in order."""
        return [
            f"{_value(call.body, 'InstanceType')} "
            f"{'spot' if 'MarketType=spot' in call.body else 'on-demand'}"
            for call in self.server.inspector.calls_of("RunInstances")
        ]

    async def error_of(self, awaitable: Any) -> DrydockError:
        try:
            await awaitable
        except DrydockError as error:
            return error
        raise AssertionError("nothing was raised")

    async def only(self, provider: EC2Provider) -> Observed:
        (observed,) = await provider.inventory()
        return observed

    async def ready(self, provider: EC2Provider, token: str = TOKEN) -> Observed:
        await provider.create(token, HostSpec())
        await provider.inventory()
        self.pass_time(1)
        await provider.inventory()
        (found,) = [each for each in await provider.inventory() if each.token == token]
        self.assertEqual((found.health, found.reason), (Health.READY, ""))
        return found


def _value(body: str, name: str) -> str:
    return body.partition(f"{name}=")[2].partition("&")[0]


class TestLaunching(OnEC2):
    async def test_a_request_of_unknown_outcome_is_repeated_before_another_is_made(self) -> None:
        provider = self.new_provider()
        self.server.faults.next("RunInstances", faults.reply_lost(), calls=2)
        for _ in range(2):
            error = await self.error_of(provider.create(TOKEN, HostSpec()))
            self.assertIsInstance(error, RetryLater)
            # Now there is none of it any more, and still it is not yet time for another.
            self.server.capacity.set(1, instance_type="m7i.*")
        await provider.create(TOKEN, HostSpec())
        bodies = {call.body for call in self.server.inspector.calls_of("RunInstances")}
        self.assertEqual(len(bodies), 1)
        self.assertEqual(len(self.living()), 1)

    async def test_what_says_nothing_of_the_first_request_does_not_settle_it(self) -> None:
        provider = self.new_provider()
        self.server.faults.next("RunInstances", faults.reply_lost())
        await self.error_of(provider.create(TOKEN, HostSpec()))
        for fault in (faults.throttled(), faults.error("InvalidAMIID.NotFound")):
            self.server.faults.next("RunInstances", fault)
            await self.error_of(provider.create(TOKEN, HostSpec()))
            self.pass_time(10)
        self.server.capacity.set(0, instance_type="m7i.*")
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(set(self.asked_for()), {"m7i.large on-demand"})
        self.assertEqual(len(self.living()), 1)

    async def test_so_it_is_when_others_have_found_since_that_there_is_none_left(self) -> None:
        self.server.timings.listing_lag = 600.0  # so nothing but the request itself tells of it
        for between in ((), (faults.throttled(), faults.error("InvalidAMIID.NotFound"))):
            provider = self.new_provider(f"cloud{len(between)}")
            self.server.faults.next("RunInstances", faults.reply_lost())
            await self.error_of(provider.create(TOKEN, HostSpec()))
            for fault in between:
                self.server.faults.next("RunInstances", fault)
                await self.error_of(provider.create(TOKEN, HostSpec()))
                self.pass_time(10)
            self.server.capacity.set(0, instance_type="m7i.*")
            await provider.create(OTHER, HostSpec(place=1))
            self.server.inspector.forget_calls()
            await provider.create(TOKEN, HostSpec())
            self.assertEqual(self.asked_for(), ["m7i.large on-demand"])
            self.server.capacity.clear()
        self.assertEqual(len(self.living()), 4)

    async def test_a_lack_of_capacity_leads_to_the_next_candidate_at_once(self) -> None:
        self.server.capacity.set(0, instance_type="m7i.*")
        provider = self.new_provider()
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(self.asked_for(), ["m7i.large on-demand"] * 2 + ["c7i.large on-demand"])
        self.server.inspector.forget_calls()
        await provider.create(OTHER, HostSpec(place=1))
        self.assertEqual(self.asked_for(), ["c7i.large on-demand"])
        self.server.inspector.forget_calls()
        self.pass_time(61)
        self.server.capacity.clear()
        await provider.create("drydock-3", HostSpec(place=2))
        self.assertEqual(self.asked_for(), ["m7i.large on-demand"])

    async def test_no_capacity_anywhere_is_told_with_the_reasons(self) -> None:
        self.server.capacity.set(0)
        provider = self.new_provider(subnets=[], zones=["us-east-1a"], spot=Spot())
        error = await self.error_of(provider.create(TOKEN, HostSpec()))
        self.assertIsInstance(error, NoCapacity)
        for text in ("m7i.large in us-east-1a (spot)", "c7i.large in us-east-1a (on-demand)"):
            self.assertIn(text, str(error))
        self.assertIn("tried again in", str(error))
        self.assertEqual(self.living(), [])

    async def test_spot_comes_first_but_for_the_base_and_falls_back(self) -> None:
        provider = self.new_provider(spot=Spot(on_demand_base=1, max_price=0.25))
        await provider.create(TOKEN, HostSpec(place=0))
        await provider.create(OTHER, HostSpec(place=1))
        self.assertEqual([each.market for each in self.living()], ["on-demand", "spot"])
        options = self.living()[1].request["InstanceMarketOptions"]["SpotOptions"]
        self.assertEqual(options["MaxPrice"], "0.25")
        self.assertEqual(options["SpotInstanceType"], "one-time")
        self.server.capacity.set(0, market="spot")
        await provider.create("drydock-3", HostSpec(place=2))
        self.assertEqual(self.living()[2].market, "on-demand")
        alone = self.new_provider("alone", spot=Spot(fallback=False))
        error = await self.error_of(alone.create("drydock-4", HostSpec()))
        self.assertIsInstance(error, NoCapacity)

    async def test_a_quota_is_named_and_counts_for_all_that_share_it(self) -> None:
        self.server.quotas.on_demand_cores = 2
        provider = self.new_provider(instance_types=["m7i.large", "c7i.large", "g5.xlarge"])
        await provider.create(TOKEN, HostSpec())
        self.server.inspector.forget_calls()
        error = await self.error_of(provider.create(OTHER, HostSpec(place=1)))
        self.assertIn("vCPU limit of 2", str(error))
        self.assertIn("Service Quotas", str(error))
        self.assertEqual(self.asked_for(), ["m7i.large on-demand", "g5.xlarge on-demand"])

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

    async def test_two_masters_at_once_launch_one_instance(self) -> None:
        masters = [self.new_provider(), self.new_provider()]
        asked = [Deferred.fromCoroutine(each.create(TOKEN, HostSpec())) for each in masters]
        await gatherResults(asked, consumeErrors=True)
        self.assertEqual(len(self.living()), 1)

    async def test_a_restarted_master_with_another_image_launches_no_second_instance(self) -> None:
        image = Image(owner="136693071363", name="debian-12-amd64-*", architecture="x86_64")
        provider = self.new_provider(image=image)
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(self.living()[0].request["ImageId"], self.server.catalogue.newest_image)
        self.server.catalogue.add_image("debian-12-amd64-20270101")
        self.server.timings.listing_lag = 60
        restarted = self.new_provider(
            image=SSMParameter(self.server.catalogue.parameter), tags={"a": "b"}
        )
        await restarted.create(TOKEN, HostSpec())
        self.assertEqual(len(self.living()), 1)

    async def test_a_restarted_master_finds_what_was_launched_as_a_later_candidate(self) -> None:
        self.server.capacity.set(0, instance_type="m7i.*")
        await self.new_provider().create(TOKEN, HostSpec())
        await self.new_provider().create(TOKEN, HostSpec())
        self.assertEqual(len(self.living()), 1)
        self.assertEqual(self.asked_for().count("c7i.large on-demand"), 1)

    async def test_an_instance_that_ends_at_once_is_told_of(self) -> None:
        self.server.fail_next_boot("Client.VolumeLimitExceeded")
        provider = self.new_provider()
        await provider.create(TOKEN, HostSpec())
        self.pass_time(1)
        self.assertEqual(await provider.inventory(), [])
        error = await self.error_of(provider.create(TOKEN, HostSpec()))
        self.assertIsInstance(error, NoCapacity)
        self.assertIn("VolumeLimitExceeded", str(error))
        self.assertEqual(self.server.inspector.launched(), 1)

    async def test_so_it_is_by_a_master_that_was_restarted(self) -> None:
        self.server.fail_next_boot()
        await self.new_provider().create(TOKEN, HostSpec())
        self.pass_time(1)
        self.server.settle()
        error = await self.error_of(self.new_provider().create(TOKEN, HostSpec()))
        self.assertIsInstance(error, NoCapacity)
        self.assertEqual(self.server.inspector.launched(), 1)

    async def test_a_call_that_hangs_holds_up_no_other(self) -> None:
        gate = faults.Gate()
        self.addCleanup(gate.open)
        self.server.faults.next("RunInstances", faults.held(gate))
        provider = self.new_provider()
        hanging = Deferred.fromCoroutine(provider.create(TOKEN, HostSpec()))
        await deferToThread(gate.wait_until_reached)
        await provider.create(OTHER, HostSpec(place=1))
        self.assertEqual([each.tags["drydock:token"] for each in self.living()], [OTHER])
        hanging.addErrback(lambda failure: None)
        hanging.cancel()
        gate.open()
        await provider.create(TOKEN, HostSpec())
        self.assertEqual(len(self.living()), 2)


class TestWhatIsAskedFor(OnEC2):
    async def test_an_instance_is_tagged_encrypted_and_closed_from_its_first_moment(self) -> None:
        provider = self.new_provider(
            volumes=[Volume("root", size=50, throughput=250), Volume("/dev/sdf", size=9)],
            tags={"team": "builds"},
            security_groups=[self.server.catalogue.default_group()],
            user_data="#!/bin/sh\necho @TOKEN@ $HOME\n",
        )
        await provider.create(TOKEN, HostSpec())
        (instance,) = self.living()
        for name, value in {
            "drydock:token": TOKEN,
            "drydock:installation": INSTALLATION,
            "drydock:blueprint": "cloud",
            "team": "builds",
        }.items():
            self.assertEqual(instance.tags[name], value)
        self.assertEqual(instance.request["MetadataOptions"]["HttpTokens"], "required")
        self.assertEqual(instance.request["InstanceInitiatedShutdownBehavior"], "terminate")
        self.assertIn(f"echo {TOKEN} $HOME", instance.user_data)
        self.assertIn("ed25519_private", instance.user_data)
        volumes = self.server.client().describe_volumes()["Volumes"]
        self.assertEqual(sorted(each["Size"] for each in volumes), [9, 50])
        for volume in volumes:
            self.assertTrue(volume["Encrypted"])
            self.assertIn({"Key": "drydock:token", "Value": TOKEN}, volume["Tags"])

    async def test_what_is_wrong_is_told_with_the_field(self) -> None:
        for fields, word in (
            ({"image": "ami-00000000000000bad"}, "give image"),
            ({"subnets": ["subnet-00000000000000bad"]}, "give subnets"),
            ({"security_groups": ["sg-00000000000000bad"]}, "give security_groups"),
            ({"key_name": "nobody's"}, "give key_name"),
            ({"instance_profile": "nobody's"}, "give instance_profile"),
            ({"launch_template": LaunchTemplate("nothing")}, "give launch_template"),
            ({"subnets": [], "zones": ["us-east-1z"]}, "give zones"),
            ({"instance_types": ["m99.large"]}, "give instance_types"),
            ({"image": Image(owner="self", name="nothing-*")}, "give image"),
            ({"image": SSMParameter("/nothing")}, "give image"),
        ):
            provider = self.new_provider(**fields)
            error = await self.error_of(provider.create(TOKEN, HostSpec()))
            self.assertIsInstance(error, Misconfigured, f"{fields}: {error}")
            self.assertIn(word, str(error))
        self.assertEqual(self.living(), [])

    async def test_a_permission_that_lacks_is_named(self) -> None:
        self.server.permissions.denied = {"RunInstances"}
        error = await self.error_of(self.new_provider().create(TOKEN, HostSpec()))
        self.assertIsInstance(error, Misconfigured)
        self.assertIn("ec2:RunInstances", str(error))
        self.assertNotIn("Encoded", str(error))

    async def test_credentials_that_are_expired_or_missing_are_told_of(self) -> None:
        provider = self.new_provider()
        for fault in (faults.request_expired(), faults.expired_token(), faults.auth_failure()):
            self.server.faults.next("DescribeInstances", fault)
            error = await self.error_of(provider.inventory())
            self.assertIsInstance(error, Misconfigured)
            self.assertIn("Remedy: ", str(error))
        await provider.inventory()
        without = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        with mock.patch.dict(os.environ, without):
            error = await self.error_of(self.new_provider("other").inventory())
            self.assertIsInstance(error, Misconfigured)
            self.assertIn("no credentials", str(error))
            error = await self.error_of(self.new_provider("third", profile="nobody").inventory())
            self.assertIsInstance(error, Misconfigured)
            self.assertIn("give profile", str(error))


class TestAssumingARole(OnEC2):
    async def test_calls_are_made_with_the_credentials_of_the_role(self) -> None:
        role = "arn:aws:iam::123456789012:role/builds"
        provider = self.new_provider(role_arn=role, external_id="drydock")
        await provider.inventory()
        await provider.inventory()
        calls = self.server.inspector.calls
        self.assertEqual(
            [each.action for each in calls], ["AssumeRole", *["DescribeInstances"] * 2]
        )
        self.assertIn("ExternalId=drydock", calls[0].body)
        self.assertNotEqual(calls[1].access_key, calls[0].access_key)


class TestListing(OnEC2):
    async def test_one_listing_is_for_all_whatever_their_number(self) -> None:
        provider = self.new_provider()
        for number in range(12):
            await provider.create(f"drydock-{number}", HostSpec(place=number))
        await provider.inventory()
        self.pass_time(1)
        await provider.inventory()
        self.server.inspector.forget_calls()
        self.assertEqual(len(await provider.inventory()), 12)
        self.assertEqual(self.server.inspector.calls_by_action(), {"DescribeInstances": 1})
        self.server.inspector.forget_calls()
        with mock.patch.object(listing, "PAGE_SIZE", 5):
            self.assertEqual(len(await provider.inventory()), 12)
        self.assertEqual(self.server.inspector.calls_by_action(), {"DescribeInstances": 3})

    async def test_others_instances_in_the_account_are_none_of_ours(self) -> None:
        await self.new_provider("other").create(TOKEN, HostSpec())
        stranger = dict(self.living()[0].tags, **{"drydock:installation": "another"})
        tags = [{"Key": key, "Value": value} for key, value in stranger.items()]
        tags = [each for each in tags if each["Key"] != "drydock:blueprint"]
        tags.append({"Key": "drydock:blueprint", "Value": "cloud"})
        self.server.client().run_instances(
            ImageId=self.server.catalogue.newest_image,
            InstanceType="m7i.large",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        provider = self.new_provider()
        self.assertEqual(await provider.inventory(), [])
        await provider.destroy(TOKEN)
        for instance in self.living():
            await provider.destroy(TOKEN, instance.id)
        self.assertEqual(len(self.living()), 2)

    async def test_what_an_instance_is_like_is_told(self) -> None:
        observed = await self.ready(self.new_provider(prices={"m7i.large": 0.1008}))
        (instance,) = self.living()
        self.assertEqual(observed.identity, instance.id)
        self.assertEqual(observed.address, instance.private_ip)
        self.assertEqual(observed.created_at, instance.launched_at)
        self.assertEqual(
            dict(observed.data),
            {
                "zone": instance.zone,
                "type": "m7i.large",
                "market": "on-demand",
                "image": self.server.catalogue.newest_image,
                "price": "0.1008",
                "python": "/usr/bin/python3",
            },
        )

    async def test_a_spot_instance_that_was_taken_back_is_gone(self) -> None:
        provider = self.new_provider(spot=Spot())
        observed = await self.ready(provider)
        self.server.interrupt(observed.identity, notice=0)
        self.server.settle()
        self.assertEqual(await provider.inventory(), [])
        resource = the_resource(observed)
        await provider.vacate(resource, a_lease(0, resource))

    async def test_a_stopped_instance_fails(self) -> None:
        provider = self.new_provider()
        observed = await self.ready(provider)
        self.server.client().stop_instances(InstanceIds=[observed.identity])
        self.server.settle()
        seen = await self.only(provider)
        self.assertEqual(seen.health, Health.FAILING)
        self.assertIn("stopped", seen.reason)
        await provider.destroy(TOKEN)
        self.assertEqual(self.living(), [])


class TestComingUp(OnEC2):
    async def test_one_that_never_answers_is_given_up_with_the_end_of_its_console(self) -> None:
        provider = self.new_provider(boot_timeout=900.0)
        await provider.create(TOKEN, HostSpec())
        (instance,) = self.living()
        instance.console_output = "\n".join(f"line {number}" for number in range(100))
        self.unreachable.add(instance.id)
        for _ in range(26):
            self.assertEqual((await self.only(provider)).health, Health.STARTING)
            self.pass_time(30)
        for _ in range(3):
            self.pass_time(30)
        seen = await self.only(provider)
        self.assertEqual(seen.health, Health.FAILING)
        self.assertIn("did not become usable within", seen.reason)
        self.assertIn("line 99", seen.reason)
        self.assertNotIn("line 84\n", seen.reason)
        self.assertEqual(self.told, [])

    async def test_one_that_answers_late_becomes_ready(self) -> None:
        provider = self.new_provider()
        await provider.create(TOKEN, HostSpec())
        (instance,) = self.living()
        self.unreachable.add(instance.id)
        for _ in range(10):
            self.assertEqual((await self.only(provider)).health, Health.STARTING)
            self.pass_time(30)
        self.unreachable.clear()
        for _ in range(20):
            self.pass_time(1)
        self.assertEqual((await self.only(provider)).health, Health.READY)

    async def test_one_that_fails_the_status_checks_is_given_up(self) -> None:
        provider = self.new_provider()
        await provider.create(TOKEN, HostSpec())
        (instance,) = self.living()
        self.unreachable.add(instance.id)
        instance.impaired = True
        await provider.inventory()
        seen = await self.only(provider)
        self.assertEqual(seen.health, Health.FAILING)
        self.assertIn("status check", seen.reason)

    async def test_one_without_the_address_that_is_wanted_is_given_up(self) -> None:
        subnet = self.server.catalogue.add_subnet("10.9.0.0/24", "us-east-1a", public=False)
        provider = self.new_provider(subnets=[subnet], reach="public")
        await provider.create(TOKEN, HostSpec())
        await provider.inventory()
        self.assertEqual((await self.only(provider)).health, Health.STARTING)
        self.pass_time(121)
        seen = await self.only(provider)
        self.assertEqual(seen.health, Health.FAILING)
        self.assertIn("associate_public_ip", seen.reason)
        error = self.assertRaises(HostUnreachable, provider.connect, the_resource(seen))
        self.assertIn("no address", str(error))

    async def test_after_a_restart_one_in_use_has_all_the_time_again(self) -> None:
        observed = await self.ready(self.new_provider())
        self.pass_time(10_000)
        self.unreachable.add(observed.identity)
        restarted = self.new_provider()
        for _ in range(5):
            self.assertEqual((await self.only(restarted)).health, Health.STARTING)
            self.pass_time(30)
        self.unreachable.clear()
        for _ in range(20):
            self.pass_time(1)
        self.assertEqual((await self.only(restarted)).health, Health.READY)

    async def test_one_that_was_ready_and_falls_silent_is_lost(self) -> None:
        provider = self.new_provider(lost_after=60.0)
        observed = await self.ready(provider)
        self.unreachable.add(observed.identity)
        self.machines[observed.identity].cut()
        self.pass_time(30)
        self.assertEqual((await self.only(provider)).health, Health.READY)
        for _ in range(3):
            self.pass_time(15)
        self.assertEqual((await self.only(provider)).health, Health.FAILING)
        self.assertEqual([type(each).__name__ for each in self.told], ["HostLost"])

    async def test_signs_of_life_are_given_even_if_ec2_does_not_answer(self) -> None:
        provider = self.new_provider(dead_man_hours=1.0)
        observed = await self.ready(provider)
        await provider.inventory()
        done = self.machines[observed.identity].done
        self.assertEqual(done.count(f"touch {SIGN_OF_LIFE}"), 1)
        self.server.faults.always("*", faults.unavailable())
        self.pass_time(901)
        await self.error_of(provider.inventory())
        self.assertEqual(done.count(f"touch {SIGN_OF_LIFE}"), 2)

    async def test_without_a_dead_man_switch_there_are_none(self) -> None:
        provider = self.new_provider(dead_man_hours=None)
        observed = await self.ready(provider)
        self.assertNotIn("watch", self.living()[0].user_data)
        self.assertNotIn(f"touch {SIGN_OF_LIFE}", self.machines[observed.identity].done)


class TestDestroying(OnEC2):
    async def test_spot_requests_are_cancelled_first_and_no_volume_is_left(self) -> None:
        provider = self.new_provider(spot=Spot())
        await self.ready(provider)
        await provider.destroy(TOKEN)
        actions = list(self.server.inspector.calls_by_action())
        self.assertLess(
            actions.index("CancelSpotInstanceRequests"), actions.index("TerminateInstances")
        )
        self.pass_time(1)
        self.server.settle()
        self.assertEqual(self.server.inspector.open_spot_requests(), [])
        self.assertEqual(self.server.inspector.volumes(), [])

    async def test_what_no_listing_shows_yet_is_destroyed(self) -> None:
        self.server.timings.listing_lag = 10.0
        provider = self.new_provider()
        await provider.create(TOKEN, HostSpec())
        error = await self.error_of(provider.destroy(TOKEN))
        self.assertIsInstance(error, RetryLater)
        self.pass_time(11)
        await provider.destroy(TOKEN)
        self.assertEqual(self.living(), [])

    async def test_what_shows_without_its_tags_is_destroyed_by_another_master(self) -> None:
        self.server.timings.tag_lag = 60.0
        self.server.capacity.set(0, market="spot")
        await self.new_provider(spot=Spot()).create(TOKEN, HostSpec(place=3))
        await self.new_provider(spot=Spot(on_demand_base=1)).destroy(TOKEN)
        self.assertEqual(self.living(), [])

    async def test_an_instance_that_appears_late_is_listed_then(self) -> None:
        self.server.faults.next("RunInstances", faults.appears_late(300.0))
        provider = self.new_provider()
        await self.error_of(provider.create(TOKEN, HostSpec()))
        await provider.destroy(TOKEN)
        self.assertEqual(len(self.living()), 1)
        self.pass_time(301)
        self.assertEqual([each.token for each in await provider.inventory()], [TOKEN])
        await provider.destroy(TOKEN)
        self.assertEqual(self.living(), [])

    async def test_termination_protection_is_told_of(self) -> None:
        provider = self.new_provider()
        await self.ready(provider)
        client = self.server.client()
        (instance,) = self.living()
        client.modify_instance_attribute(
            InstanceId=instance.id, DisableApiTermination={"Value": True}
        )
        error = await self.error_of(provider.destroy(TOKEN))
        self.assertIsInstance(error, Misconfigured)
        self.assertIn("turn off the termination protection", str(error))
        self.assertEqual(len(self.living()), 1)

    async def test_keepers_end_with_their_instances(self) -> None:
        provider = self.new_provider()
        observed = await self.ready(provider)
        await provider.destroy(TOKEN)
        links = self.machines[observed.identity].links
        self.assertFalse(any(link.is_open for link in links))
        calls = len(self.server.inspector.calls)
        resource = the_resource(observed)
        await provider.vacate(resource, a_lease(0, resource))
        self.assertEqual(len(self.server.inspector.calls), calls)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TestWithALoginOfMyOwn(OnEC2):
    async def test_a_wiped_slot_is_wiped_by_policy(self) -> None:
        provider = self.new_provider(
            keep_build_directories=False, ssh=SSH(user="admin", agent=False, port=2222)
        )
        observed = await self.ready(provider)
        machine = self.machines[observed.identity]
        machine.files["drydock/worker-0/buildbot.tac"] = b""
        resource = the_resource(observed)
        await provider.vacate(resource, a_lease(0, resource))
        self.assertNotIn("drydock/worker-0/buildbot.tac", machine.files)
