"""The provider of EC2 instances that are reached over SSM, whose commands really run."""

from __future__ import annotations

import email
import getpass
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock import SSM, EC2Pool
from buildbot_drydock.interfaces import HostSpec, Provider
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.ec2 import ssm
from buildbot_drydock.latent.ec2.provider import EC2Provider
from buildbot_drydock.model import Health, Observed
from buildbot_drydock.remote.ssm.invocation import Pauses
from buildbot_drydock.testing.provider_contract import VacatesContract
from tests.ec2 import EC2Server, Instance, faults, real_time_server

_PAUSE = 0.02


def boot(instance: Instance, root: Path) -> None:
    """Do what cloud-init does with the boothooks of an instance's user data."""
    for part in email.message_from_string(instance.user_data).walk():
        if part.get_content_type() == "text/cloud-boothook":
            text = str(part.get_payload()).replace("/var/lib/", f"{root}/var/lib/")
            script = text.partition("\n")[2]
            subprocess.run(["sh", "-c", script], check=True, timeout=60)


class OverSSM(TestCase):
    """A server that all tests share, and a pool for each."""

    server: EC2Server

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = real_time_server().start()
        cls.addClassCleanup(cls.server.stop)
        patched = mock.patch.dict(os.environ, cls.server.environment())
        patched.start()
        cls.addClassCleanup(patched.stop)
        home = tempfile.TemporaryDirectory()
        cls.addClassCleanup(home.cleanup)
        cls.server.systems_manager.home = Path(home.name)
        cls.server.systems_manager.on_boot = boot
        cls.profile = cls.server.catalogue.add_instance_profile("managed")
        cls.threads = ThreadPool(0, 10)
        cls.threads.start()
        cls.addClassCleanup(cls.threads.stop)

    def begin(self) -> None:
        self.manager = self.server.systems_manager
        self.installation = uuid4().hex[:16]
        self.addCleanup(self.manager.kill_all)
        self.addCleanup(self.server.faults.clear)
        self.patch(ssm, "FORGOTTEN_SECONDS", 0.0)

    def new_provider(self, **fields: Any) -> EC2Provider:
        usual: dict[str, Any] = {
            "region": self.server.region,
            "endpoint_url": self.server.url,
            "image": self.server.catalogue.newest_image,
            "instance_types": ["m7i.large"],
            "instance_profile": self.profile,
            "reach": "ssm",
            "ssm": SSM(user=getpass.getuser()),
            "python": sys.executable,
            "make_venv": "never",
            "dead_man_hours": None,
            "min_free_disk": 0,
            "stop_grace": 1.0,
            "limit": 10,
        }
        pool = EC2Pool("cloud", **{**usual, **fields})
        self.assertEqual([each.sentence() for each in pool.problems], [])
        surroundings = Surroundings(
            reactor=reactor,
            basedir=".",
            thread_pool=self.threads,
            uniform=lambda: 0.5,
            installation=self.installation,
        )
        keepers = pool.keepers_over_ssm(surroundings, Pauses(first=0.08))
        provider: EC2Provider = pool.provider_with(surroundings, keepers)
        self.addCleanup(lambda: Deferred.fromCoroutine(provider.close()))
        return provider

    def mine(self) -> list[Instance]:
        """Return the living instances of this test."""
        found = self.server.inspector.with_tag("drydock:installation", self.installation)
        return [each for each in found if each.living]

    async def until(self, provider: Provider, condition: Any) -> list[Observed]:
        """List until a condition holds of what is listed."""
        while True:
            found = list(await provider.inventory())
            if condition(found):
                return found
            await deferLater(reactor, _PAUSE)  # type: ignore[arg-type]


class TestOverSSM(VacatesContract, OverSSM):
    def make_provider(self) -> Provider:
        self.begin()
        return self.new_provider()

    def living(self) -> int:
        return len(self.mine())

    async def settle(self) -> None:
        await self.until(
            self.provider, lambda found: all(each.health is Health.READY for each in found)
        )


class TestComingUpOverSSM(OverSSM):
    def setUp(self) -> None:
        super().setUp()
        self.begin()

    async def test_an_instance_that_ssm_does_not_know_is_waited_for_and_says_so(self) -> None:
        provider = self.new_provider(lost_after=0.1)
        with mock.patch.object(self.manager.timings, "registration", 1e9):
            await provider.create("drydock-1", HostSpec())
            found = await self.until(provider, lambda found: found and "SSM" in found[0].reason)
            self.assertIs(found[0].health, Health.STARTING)
            for word in ("agent has not registered", "AmazonSSMManagedInstanceCore"):
                self.assertIn(word, found[0].reason)
        (ready,) = await self.until(provider, lambda found: found[0].health is Health.READY)
        self.assertEqual(ready.data["python"], sys.executable)

    async def test_one_listing_serves_all_instances_of_a_pool(self) -> None:
        self.patch(ssm, "FORGOTTEN_SECONDS", 1.0)
        self.patch(ssm, "PAGE_SIZE", 5)
        provider = self.new_provider()
        for number in range(6):
            await provider.create(f"drydock-{number}", HostSpec(place=number))
        self.server.inspector.forget_calls()
        await self.until(
            provider, lambda found: [each.health for each in found] == [Health.READY] * 6
        )
        listings = self.server.inspector.calls_of("DescribeInstanceInformation")
        self.assertLess(len(listings), 6)
        tokens = ["NextToken" in call.body for call in listings]
        self.assertIn(True, tokens)
        for each in listings:
            self.assertIn(self.installation, each.body)

    async def test_without_permission_it_says_which_one_is_missing(self) -> None:
        provider = self.new_provider(lost_after=0.1)
        self.server.permissions.denied.add("DescribeInstanceInformation")
        self.addCleanup(self.server.permissions.denied.clear)
        await provider.create("drydock-1", HostSpec())
        (found,) = await self.until(provider, lambda found: found and "allow" in found[0].reason)
        self.assertIn("ssm:DescribeInstanceInformation", found.reason)

    async def test_throttling_of_ssm_makes_no_call_of_ec2_wait(self) -> None:
        provider = self.new_provider()
        self.server.inspector.forget_calls()
        self.server.faults.next("DescribeInstanceInformation", faults.throttling())
        await provider.create("drydock-1", HostSpec())
        errors = self.server.inspector.errors_by_code
        await self.until(provider, lambda found: errors() == {"Throttling": 1})
        await provider.create("drydock-2", HostSpec(place=1))
        self.assertEqual(len(self.mine()), 2)

    async def test_an_instance_whose_agent_falls_silent_is_noticed_without_asking_it(self) -> None:
        self.patch(ssm, "WATCH_SECONDS", 0.05)
        provider = self.new_provider(lost_after=0.2)
        for number in range(2):
            await provider.create(f"drydock-{number}", HostSpec(place=number))
        first, second = await self.until(
            provider, lambda found: [each.health for each in found] == [Health.READY] * 2
        )
        self.server.inspector.forget_calls()
        self.manager.offline.add(first.identity)
        self.addCleanup(self.manager.offline.clear)
        found = await self.until(
            provider, lambda found: any(each.health is Health.FAILING for each in found)
        )
        health = {each.identity: each.health for each in found}
        self.assertEqual(health, {first.identity: Health.FAILING, second.identity: Health.READY})
        self.assertEqual(self.server.inspector.count_calls("SendCommand"), 0)
        self.manager.offline.clear()
        await self.until(
            provider, lambda found: [each.health for each in found] == [Health.READY] * 2
        )

    async def test_idle_instances_are_asked_for_together_and_no_more_once_they_are_let_go(
        self,
    ) -> None:
        self.patch(ssm, "WATCH_SECONDS", 0.05)
        provider = self.new_provider()
        for number in range(3):
            await provider.create(f"drydock-{number}", HostSpec(place=number))
        await self.until(
            provider, lambda found: [each.health for each in found] == [Health.READY] * 3
        )
        self.server.inspector.forget_calls()
        counted = self.server.inspector.count_calls
        while counted("DescribeInstanceInformation") < 3:
            await deferLater(reactor, _PAUSE)  # type: ignore[arg-type]
        self.assertEqual(
            self.server.inspector.calls_by_action().keys(), {"DescribeInstanceInformation"}
        )
        await provider.close()

    async def test_the_user_data_has_a_key_of_its_own_and_none_of_ssh(self) -> None:
        provider, again = self.new_provider(dead_man_hours=12.0), self.new_provider()
        texts = {}
        for each, token in ((provider, "drydock-1"), (provider, "drydock-2")):
            await each.create(token, HostSpec())
            texts[token] = self.mine()[-1].user_data
        keys = {token: re.findall(r"echo ([0-9a-f]{64}) >", text) for token, text in texts.items()}
        self.assertEqual([len(found) for found in keys.values()], [1, 1])
        self.assertNotEqual(keys["drydock-1"], keys["drydock-2"])
        for text in texts.values():
            self.assertNotIn("ssh", text.lower())
            self.assertIn("chown " + getpass.getuser(), text)  # of the sign of life
        (first, *_) = await again.inventory()
        self.assertEqual(first.token, "drydock-1")
        await self.until(again, lambda found: {each.health for each in found} == {Health.READY})
