"""Instances as hosts over Systems Manager, whose scripts really run, and its bad days."""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock.interfaces import Host
from buildbot_drydock.latent.ec2.account import Account, Credentials, Pace
from buildbot_drydock.latent.ec2.ssm import SSMCalls
from buildbot_drydock.remote.shell.host import ShellHost
from buildbot_drydock.remote.ssm.invocation import Instance, Pauses
from buildbot_drydock.remote.ssm.machine import SSMMachine
from buildbot_drydock.remote.ssm.sealing import Seal
from buildbot_drydock.testing.host_contract import HostContract
from tests.ec2 import real_time_server

PASSPHRASE = "0123456789abcdef" * 4


class OnAnInstance(TestCase):
    """A server, and an instance that has booted."""

    timeout = 300

    def begin(self) -> None:
        self.server = real_time_server().start()
        self.addCleanup(self.server.stop)
        patched = mock.patch.dict(os.environ, self.server.environment())
        patched.start()
        self.addCleanup(patched.stop)
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.manager = self.server.systems_manager
        self.manager.home = Path(home.name)
        self.manager.on_boot = lambda instance, root: self.give_key(root)
        self.addCleanup(self.manager.kill_all)
        self.threads = ThreadPool(0, 10)
        self.threads.start()
        self.addCleanup(self.threads.stop)
        self.number = self.launch()
        self.lost: list[Exception] = []

    def launch(self) -> str:
        answer = self.server.client().run_instances(
            ImageId=self.server.catalogue.newest_image,
            InstanceType="m7i.large",
            MinCount=1,
            MaxCount=1,
            IamInstanceProfile={"Arn": self.server.catalogue.add_instance_profile("managed")},
        )
        return str(answer["Instances"][0]["InstanceId"])

    def give_key(self, root: Path) -> None:
        (root / "var/lib/drydock-ssm").mkdir(parents=True)
        (root / "var/lib/drydock-ssm/key").write_text(f"{PASSPHRASE}\n")

    def machine(self, passphrase: str = PASSPHRASE, user: str = "") -> SSMMachine:
        credentials = Credentials(region=self.server.region, endpoint_url=self.server.url)
        account = Account(
            reactor, self.threads, credentials, Pace(), clock=reactor, uniform=lambda: 0.5
        )
        calls = SSMCalls(account)
        instance = Instance(calls, self.number, clock=reactor, pauses=Pauses(first=0.02))
        seal = Seal(passphrase, os.urandom)
        return SSMMachine(calls, instance, seal, user or getpass.getuser(), lost=self.lost.append)

    def new_host(self, **options: Any) -> ShellHost:
        return ShellHost(self.machine(**options), ".", grace_seconds=1.0)


class TestSSMHost(HostContract, OnAnInstance):
    def make_host(self) -> Host:
        self.begin()
        return self.new_host()
