"""Builds on leased instances of EC2: a real master, and real machines that are the instances."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from buildbot.process.results import RETRY, SUCCESS
from twisted.trial.unittest import SynchronousTestCase

from tests import ssh_hosts
from tests.ec2 import Instance, real_time_server
from tests.ec2.cloud import Timings
from tests.ec2_lab import EC2Lab
from tests.instances_on_machines import USER, InstancesOnMachines
from tests.lab import there

TIMINGS = Timings(pending=1.0, listing_lag=1.0, tag_lag=0.5, shutting_down=1.0)
NOTICE_SECONDS = 2.0  # EC2 gives two minutes


class OnInstances(SynchronousTestCase):
    pool: dict[str, Any] = {}

    def setUp(self) -> None:
        machines = ssh_hosts.machines()
        self.server = real_time_server(timings=TIMINGS)
        entered = ExitStack()
        self.addCleanup(entered.close)
        entered.enter_context(self.server)
        self.instances = entered.enter_context(InstancesOnMachines(self.server, machines))
        directory = Path(tempfile.mkdtemp(prefix="instances-", dir=Path.cwd()))
        self.lab = EC2Lab(directory, machines, self.server, pool=self.pool)
        entered.callback(self.lab.end)
        self.lab.start()

    def instance_of(self, lease: int) -> Instance:
        return self.server.instance(self.lab.instance_of(lease))

    def see_all_given_back(self) -> None:
        """See that nothing is left once no build wants anything, whether the master runs or not."""
        self.lab.until(lambda: not self.server.inspector.living, "all instances to be given back")
        self.lab.until(
            lambda: (
                not self.lab.query("SELECT 1 FROM drydock_resources WHERE status != 'destroyed'")
            ),
            "their resources to be closed",
        )
        self.lab.master.stop()
        listed = self.server.client().describe_instances()["Reservations"]
        states = [each["State"]["Name"] for one in listed for each in one["Instances"]]
        self.assertEqual(set(states), {"terminated"})
        inspector = self.server.inspector
        self.assertEqual(inspector.orphan_volumes(), [])
        self.assertEqual(inspector.open_spot_requests(), [])
        self.assertEqual(inspector.doubled_tokens(), {})
        self.assertEqual(inspector.doubled_tags("drydock:token"), {})
        self.assertEqual([*inspector.hook_errors(), *inspector.crashes], [])


class TestBuildsOnInstances(OnInstances):
    def test_builds_run_on_instances_that_are_given_back_when_none_wants_them(self) -> None:
        requests = [self.lab.request_held() for _ in range(2)]
        leases = [request.running() for request in requests]
        instances = [self.instance_of(lease.number) for lease in leases]
        self.assertEqual(len({each.id for each in instances}), 2)
        for instance in instances:
            self.assertTrue(there(self.instances.machine(instance.id)))
        for request in requests:
            request.let_go()
            build = request.finished()
            self.assertEqual(build.results, SUCCESS)
            self.assertRegex(build.output, rf"(?m)^o{USER}$")  # o marks what a command writes
        # The next build finds an instance that is there already.
        self.assertEqual(self.lab.request().finished().results, SUCCESS)
        self.assertEqual(self.server.inspector.launched(), 2)
        self.see_all_given_back()

    def test_a_build_whose_instance_is_taken_back_succeeds_on_another(self) -> None:
        request = self.lab.request_held()
        first = self.instance_of(request.running().number)
        self.assertEqual(first.market, "spot")
        self.server.interrupt(first.id, notice=NOTICE_SECONDS)
        self.lab.until(lambda: len(request.builds()) > 1, "the build to be begun again")
        self.lab.until(lambda: first.state == "terminated", "the first instance to be gone")
        second = self.instance_of(request.running().number)
        self.assertNotEqual(second.id, first.id)
        request.let_go()
        self.assertEqual(request.finished().results, SUCCESS)
        self.assertEqual(request.results(), [RETRY, SUCCESS])
        self.see_all_given_back()


class TestParkedInstances(OnInstances):
    pool = {"spot": None, "park": "stop", "idle_timeout": 1, "park_for": 40}

    def until_parked(self) -> None:
        query = "SELECT 1 FROM drydock_resources WHERE power = 'parked'"
        self.lab.until(lambda: bool(self.lab.query(query)), "the idle instance to be parked")

    def test_an_idle_instance_is_stopped_and_the_same_one_serves_the_next_build(self) -> None:
        request = self.lab.request_held()
        first = self.instance_of(request.running().number)
        request.let_go()
        self.assertEqual(request.finished().results, SUCCESS)
        self.until_parked()
        self.assertEqual((first.state, self.server.inspector.running), ("stopped", []))
        again = self.lab.request_held()
        second = self.instance_of(again.running().number)
        self.assertEqual(second.id, first.id)
        again.let_go()
        build = again.finished()
        self.assertEqual(build.results, SUCCESS)
        self.assertRegex(build.output, rf"(?m)^o{USER}$")
        self.assertEqual(self.server.inspector.launched(), 1)
        self.until_parked()
        # Nobody wakes it any more, and then it is given up.
        self.see_all_given_back()
        states = [state for _, state in first.history]
        self.assertEqual(states.count("stopped"), 2)

    def test_a_master_that_is_killed_while_it_is_parked_wakes_it_when_it_is_back(self) -> None:
        request = self.lab.request_held()
        first = self.instance_of(request.running().number)
        request.let_go()
        request.finished()
        self.lab.until(lambda: first.state in ("stopping", "stopped"), "it to be told to stop")
        self.lab.master.kill()
        self.lab.start()
        self.until_parked()
        again = self.lab.request_held()
        self.assertEqual(self.instance_of(again.running().number).id, first.id)
        again.let_go()
        self.assertEqual(again.finished().results, SUCCESS)
        self.assertEqual(self.server.inspector.launched(), 1)
        self.see_all_given_back()
