"""Instances change with time, and end in every way that EC2 knows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from twisted.trial.unittest import SynchronousTestCase

from . import EC2Server, ScriptedClock, Timings, real_time_server
from .cases import ServerCase


class Times(ServerCase):
    timings = Timings(pending=30, status_checks=60, stopping=20, shutting_down=40)

    def status(self, instance_id: str) -> str:
        answer = self.ec2.describe_instance_status(
            InstanceIds=[instance_id], IncludeAllInstances=True
        )
        return str(answer["InstanceStatuses"][0]["InstanceStatus"]["Status"])

    def test_an_instance_is_pending_then_running_then_checked(self) -> None:
        instance_id = self.run_instances()[0]
        self.assertEqual(self.state(instance_id), "pending")
        self.server.advance(29)
        self.assertEqual(self.state(instance_id), "pending")
        self.assertEqual(self.status(instance_id), "not-applicable")
        self.server.advance(1)
        self.assertEqual(self.state(instance_id), "running")
        self.assertEqual(self.status(instance_id), "initializing")
        self.server.advance(60)
        self.assertEqual(self.status(instance_id), "ok")
        self.server.instance(instance_id).impaired = True
        self.assertEqual(self.status(instance_id), "impaired")

    def test_status_lists_running_instances_only_unless_asked(self) -> None:
        self.run_instances()
        self.assertEqual(self.ec2.describe_instance_status()["InstanceStatuses"], [])
        self.server.advance(90)
        found = self.ec2.describe_instance_status(
            Filters=[{"Name": "instance-status.status", "Values": ["ok"]}]
        )
        self.assertEqual(len(found["InstanceStatuses"]), 1)

    def test_termination_takes_its_time_and_is_idempotent(self) -> None:
        instance_id = self.run_instances()[0]
        self.server.advance(30)
        changes = []
        for delay in (1, 40, 0):
            answer = self.ec2.terminate_instances(InstanceIds=[instance_id])
            change = answer["TerminatingInstances"][0]
            changes.append((change["PreviousState"]["Name"], change["CurrentState"]["Name"]))
            self.server.advance(delay)
        self.assertEqual(
            changes,
            [
                ("running", "shutting-down"),
                ("shutting-down", "shutting-down"),
                ("terminated", "terminated"),
            ],
        )
        shown = self.describe(InstanceIds=[instance_id])[0]
        self.assertEqual(shown["StateReason"]["Code"], "Client.UserInitiatedShutdown")
        self.assertNotIn("PrivateIpAddress", shown)

    def test_a_stopped_instance_starts_again_with_its_private_address(self) -> None:
        instance_id = self.run_instances()[0]
        self.refused("IncorrectInstanceState", self.ec2.stop_instances, InstanceIds=[instance_id])
        self.server.advance(30)
        before = self.describe(InstanceIds=[instance_id])[0]
        self.ec2.stop_instances(InstanceIds=[instance_id])
        self.assertEqual(self.state(instance_id), "stopping")
        self.server.advance(20)
        stopped = self.describe(InstanceIds=[instance_id])[0]
        self.assertEqual(stopped["State"]["Name"], "stopped")
        self.assertNotIn("PublicIpAddress", stopped)
        self.server.capacity.set(0)
        self.refused(
            "InsufficientInstanceCapacity", self.ec2.start_instances, InstanceIds=[instance_id]
        )
        self.server.capacity.clear()
        self.ec2.start_instances(InstanceIds=[instance_id])
        self.assertEqual(self.state(instance_id), "pending")
        self.server.advance(30)
        after = self.describe(InstanceIds=[instance_id])[0]
        self.assertEqual(after["State"]["Name"], "running")
        self.assertEqual(after["PrivateIpAddress"], before["PrivateIpAddress"])

    def test_an_instance_that_ends_while_pending_never_runs(self) -> None:
        instance_id = self.run_instances()[0]
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.advance(100)
        states = [state for _, state in self.server.instance(instance_id).history]
        self.assertEqual(states, ["pending", "shutting-down", "terminated"])

    def test_what_is_due_happens_in_order_within_one_advance(self) -> None:
        instance_id = self.run_instances()[0]
        start = self.server.clock.seconds()
        self.server.advance(10)
        self.server.cloud.later(30, lambda: self.server.shut_down_from_inside(instance_id))  # at 40
        self.server.advance(500)
        history = self.server.instance(instance_id).history
        self.assertEqual(
            [(at - start, state) for at, state in history],
            [(0, "pending"), (30, "running"), (40, "stopping"), (60, "stopped")],
        )

    def test_a_terminated_instance_is_listed_for_an_hour_and_then_unknown(self) -> None:
        instance_id = self.run_instances()[0]
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.advance(40 + 3599)
        self.assertEqual(self.ids(), [instance_id])
        self.server.advance(1)
        self.assertEqual(self.ids(), [])
        self.refused(
            "InvalidInstanceID.NotFound", self.ec2.describe_instances, InstanceIds=[instance_id]
        )

    def test_a_failed_boot_tells_its_reason(self) -> None:
        self.server.fail_next_boot("Client.VolumeLimitExceeded")
        first, second = self.run_instances()[0], self.run_instances()[0]
        self.server.advance(30)
        shown = self.describe(InstanceIds=[first])[0]
        self.assertEqual(shown["State"]["Name"], "terminated")
        self.assertEqual(shown["StateReason"]["Code"], "Client.VolumeLimitExceeded")
        self.assertEqual(self.state(second), "running")

    def test_only_a_scripted_clock_is_advanced(self) -> None:
        other = real_time_server()
        self.assertRaises(TypeError, other.advance, 1)


class Ending(ServerCase):
    def test_a_protected_instance_is_not_terminated(self) -> None:
        subnets = self.server.catalogue.subnets()
        kept = self.run_instances(DisableApiTermination=True, SubnetId=subnets["us-east-1a"])[0]
        beside = self.run_instances(SubnetId=subnets["us-east-1a"])[0]
        elsewhere = self.run_instances(SubnetId=subnets["us-east-1b"])[0]
        self.refused(
            "OperationNotPermitted",
            self.ec2.terminate_instances,
            InstanceIds=[kept, beside, elsewhere],
        )
        self.assertEqual({one.id for one in self.inspector.living}, {kept, beside})
        self.ec2.modify_instance_attribute(InstanceId=kept, DisableApiTermination={"Value": False})
        self.ec2.terminate_instances(InstanceIds=[kept])
        self.assertEqual(self.state(kept), "terminated")

    def test_volumes_go_with_their_instance_unless_they_are_to_stay(self) -> None:
        launched = self.run_instances(
            BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5}}]
        )
        self.assertEqual(len(self.inspector.volumes()), 2)
        self.assertEqual(self.inspector.orphan_volumes(), [])
        self.ec2.terminate_instances(InstanceIds=launched)
        self.server.settle()
        self.assertEqual(len(self.inspector.orphan_volumes()), 1)
        launched = self.run_instances(
            BlockDeviceMappings=[
                {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5, "DeleteOnTermination": True}}
            ]
        )
        self.ec2.terminate_instances(InstanceIds=launched)
        self.server.settle()
        self.assertEqual(len(self.inspector.orphan_volumes()), 1)
        self.ec2.delete_volume(VolumeId=self.inspector.orphan_volumes()[0])
        self.assertEqual(self.inspector.orphan_volumes(), [])

    def test_a_shutdown_from_inside_stops_or_ends_as_was_asked(self) -> None:
        stops = self.run_instances()[0]
        ends = self.run_instances(InstanceInitiatedShutdownBehavior="terminate")[0]
        self.server.settle()
        for instance_id in (stops, ends):
            self.server.shut_down_from_inside(instance_id)
        self.assertEqual(self.state(stops), "stopped")
        self.assertEqual(self.state(ends), "terminated")
        reason = self.describe(InstanceIds=[ends])[0]["StateReason"]["Code"]
        self.assertEqual(reason, "Client.InstanceInitiatedShutdown")

    def test_the_console_says_what_the_test_says(self) -> None:
        instance_id = self.run_instances()[0]
        self.assertNotIn("Output", self.ec2.get_console_output(InstanceId=instance_id))
        self.server.instance(instance_id).console_output = "kernel panic\n"
        answer = self.ec2.get_console_output(InstanceId=instance_id)
        self.assertEqual(answer["Output"], "kernel panic\n")


class RealTime(SynchronousTestCase):
    def test_time_passes_by_itself(self) -> None:
        running = threading.Event()
        with real_time_server(timings=Timings(pending=0.01)) as server:
            server.hooks.on_running = lambda _: running.set()
            server.client().run_instances(
                ImageId=server.catalogue.newest_image,
                InstanceType="c5.large",
                MinCount=1,
                MaxCount=1,
            )
            self.assertTrue(running.wait(30))

    def test_a_scripted_clock_never_goes_back(self) -> None:
        clock = ScriptedClock()
        start = clock.seconds()
        clock.move_to(start + 5)
        clock.move_to(start)
        self.assertEqual(clock.seconds(), start + 5)

    def test_another_process_finds_the_server_by_its_environment(self) -> None:
        program = "import boto3; boto3.client('ec2').describe_instances()"
        with EC2Server() as server:
            environment = {**os.environ, **server.environment()}
            subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
            self.assertEqual(server.inspector.calls_by_action(), {"DescribeInstances": 1})
