"""What the provider of EC2 instances does when EC2, the instances or the master have a bad day."""

from __future__ import annotations

import os
from unittest import mock

from buildbot_drydock import SSH, Image, LaunchTemplate, Spot, SSMParameter, Volume
from buildbot_drydock.errors import HostUnreachable, Misconfigured
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.ec2 import listing
from buildbot_drydock.latent.ec2.userdata import SIGN_OF_LIFE
from buildbot_drydock.model import Health
from buildbot_drydock.testing.provider_contract import a_lease, the_resource
from tests.ec2 import faults
from tests.ec2_pools import INSTALLATION, TOKEN, OnEC2


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
            places = {"subnets": [], **fields}
            for types in (["m7i.large"], ["m7i.large", "c7i.large"]):  # by RunInstances, by fleet
                provider = self.new_provider(**{"instance_types": types, **places})
                token = f"{fields} {len(types)}"
                error = await self.error_of(provider.create(token, HostSpec()))
                self.assertIsInstance(error, Misconfigured, f"{token}: {error}")
                self.assertIn(word, str(error))
        self.assertEqual(self.living(), [])

    async def test_a_permission_that_lacks_is_named(self) -> None:
        self.server.permissions.denied = {"RunInstances"}
        provider = self.new_provider(instance_types=["m7i.large"], subnets=[])
        error = await self.error_of(provider.create(TOKEN, HostSpec()))
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
        provider = self.new_provider(
            role_arn=role, external_id="drydock", instance_types=["m7i.large"], subnets=[]
        )
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
        changed = {"drydock:installation": "another", "drydock:blueprint": "cloud"}
        stranger = {**self.living()[0].tags, **changed}
        tags = [
            {"Key": key, "Value": value}
            for key, value in stranger.items()
            if not key.startswith("aws:")
        ]
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
        self.assertEqual(observed.hourly_price, 0.1008)
        self.assertEqual(
            dict(observed.data),
            {
                "zone": instance.zone,
                "type": "m7i.large",
                "market": "on-demand",
                "image": self.server.catalogue.newest_image,
                "python": "/usr/bin/python3",
            },
        )

    async def test_a_spot_instance_that_was_taken_back_is_gone(self) -> None:
        provider = self.new_provider(spot=Spot())
        observed = await self.ready(provider)
        self.server.interrupt(observed.identity, notice=0)
        self.server.settle()
        (last,) = await provider.inventory()
        self.assertTrue(last.has_ended)
        self.assertIn("taken back without notice", last.end_reason)
        self.assertEqual(await provider.inventory(), [])
        resource = the_resource(observed)
        await provider.vacate(resource, a_lease(0, resource))

    async def test_a_stopped_instance_is_told_of_whoever_has_stopped_it(self) -> None:
        provider = self.new_provider()
        observed = await self.ready(provider)
        self.server.client().stop_instances(InstanceIds=[observed.identity])
        self.server.settle()
        seen = await self.only(provider)
        self.assertEqual(seen.health, Health.PARKED)
        self.assertIn("is stopped (Client.UserInitiatedShutdown", seen.reason)
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
