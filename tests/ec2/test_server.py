"""The server: faults by rule, hooks, and what the inspector tells."""

from __future__ import annotations

import threading

from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError

from . import EC2Server, Instance, faults
from .cases import ServerCase


class Faults(ServerCase):
    def test_each_error_has_its_code_and_status(self) -> None:
        cases = [
            (faults.throttled(), "RequestLimitExceeded", 503),
            (faults.throttling(), "Throttling", 400),
            (faults.request_expired(), "RequestExpired", 400),
            (faults.expired_token(), "ExpiredToken", 400),
            (faults.auth_failure(), "AuthFailure", 401),
            (faults.internal_error(), "InternalError", 500),
            (faults.unavailable(), "Unavailable", 503),
            (faults.no_capacity(), "InsufficientInstanceCapacity", 500),
            (
                faults.error("InsufficientFreeAddressesInSubnet"),
                "InsufficientFreeAddressesInSubnet",
                400,
            ),
        ]
        for fault, code, status in cases:
            self.server.faults.next("RunInstances", fault)
            error = self.refused(code, self.run_instances)
            self.assertEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], status)
        self.assertEqual(self.inspector.launched(), 0)
        self.run_instances()

    def test_rules_choose_actions_and_calls(self) -> None:
        self.server.faults.next("Describe*", faults.throttled(), calls=2, skip=1)
        self.run_instances()
        self.ids()
        for _ in range(2):
            self.refused("RequestLimitExceeded", self.ids)
        self.ids()
        self.server.faults.always("*", faults.unavailable())
        for _ in range(3):
            self.refused("Unavailable", self.ids)
        self.server.faults.clear()
        self.ids()

    def test_chance_is_seeded(self) -> None:
        def outcomes(seed: int) -> list[bool]:
            rules = faults.Faults(seed)
            rules.sometimes("*", faults.throttled(), probability=0.5)
            return [rules.strike("RunInstances") is not None for _ in range(200)]

        self.assertEqual(outcomes(1), outcomes(1))
        self.assertNotEqual(outcomes(1), outcomes(2))
        self.assertTrue(60 < sum(outcomes(1)) < 140)

    def test_a_connection_breaks_before_the_work(self) -> None:
        self.server.faults.next("RunInstances", faults.connection_reset())
        self.assertRaises(ConnectionClosedError, self.run_instances)
        self.assertEqual(self.inspector.launched(), 0)
        self.assertEqual(self.inspector.calls_of("RunInstances")[0].status, 0)

    def test_a_reply_is_lost_after_the_work(self) -> None:
        self.server.faults.next("RunInstances", faults.reply_lost())
        self.assertRaises(ConnectionClosedError, self.run_instances)
        self.assertEqual(self.inspector.launched(), 1)
        self.server.faults.next("TerminateInstances", faults.reply_lost())
        self.assertRaises(
            ConnectionClosedError, self.ec2.terminate_instances, InstanceIds=self.ids()
        )
        self.assertEqual(self.inspector.living, [])

    def test_an_error_may_come_after_the_work(self) -> None:
        self.server.faults.next("RunInstances", faults.internal_error(after_work=True))
        self.refused("InternalError", self.run_instances)
        self.assertEqual(self.inspector.launched(), 1)

    def test_garbage_is_no_answer(self) -> None:
        self.server.faults.next("DescribeInstances", faults.garbage())
        self.assertRaises(ResponseParserError, self.ids)

    def test_other_services_fail_in_their_own_words(self) -> None:
        self.server.faults.next("GetParameter", faults.expired_token())
        self.refused(
            "ExpiredToken",
            self.server.client("ssm").get_parameter,
            Name=self.server.catalogue.parameter,
        )

    def test_a_call_is_held_until_the_gate_opens(self) -> None:
        gate = faults.Gate()
        self.addCleanup(gate.open)
        self.server.faults.next("RunInstances", faults.held(gate))
        caller = threading.Thread(target=self.run_instances)
        caller.start()
        self.assertTrue(gate.wait_until_reached())
        self.assertEqual(self.ids(), [])
        self.assertEqual(self.inspector.launched(), 0)
        gate.open()
        caller.join(30)
        self.assertEqual(len(self.ids()), 1)

    def test_a_slow_answer_is_an_answer_and_holds_no_other_call_up(self) -> None:
        self.server.faults.next("RunInstances", faults.slow(0.2))
        done = threading.Event()

        def launch() -> None:
            self.run_instances()
            done.set()

        threading.Thread(target=launch).start()
        self.ids()
        self.assertTrue(done.wait(30))
        self.assertEqual(self.inspector.launched(), 1)

    def test_a_failed_launch_shows_up_minutes_later(self) -> None:
        self.server.faults.next("RunInstances", faults.appears_late(300))
        self.refused("InternalError", self.run_instances, ClientToken="one")
        self.server.advance(299)
        self.assertEqual(self.ids(), [])
        self.server.advance(1)
        self.assertEqual(len(self.ids()), 1)

    def test_credentials_expire_and_permissions_lack(self) -> None:
        old = self.server.client(access_key="AKIAOLD")
        self.server.permissions.expired_keys.add("AKIAOLD")
        self.refused("RequestExpired", old.describe_instances)
        self.ids()
        self.server.permissions.denied.add("Run*")
        error = self.refused("UnauthorizedOperation", self.run_instances)
        self.assertEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], 403)
        self.ids()
        self.server.permissions.denied.clear()
        self.run_instances()


class HooksAndInspection(ServerCase):
    def test_hooks_run_before_the_state_shows_and_may_give_addresses(self) -> None:
        seen: list[tuple[str, str]] = []

        def running(instance: Instance) -> None:
            seen.append(("running", instance.state))
            instance.private_ip = "10.77.0.11"

        self.server.hooks.on_launch = lambda one: seen.append(("launch", one.state))
        self.server.hooks.on_running = running
        self.server.hooks.on_terminated = lambda one: seen.append(("ended", one.state))
        instance_id = self.run_instances()[0]
        self.assertEqual(self.describe()[0]["PrivateIpAddress"], "10.77.0.11")
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.settle()
        self.assertEqual(
            seen, [("launch", "pending"), ("running", "pending"), ("ended", "shutting-down")]
        )

    def test_a_hook_may_call_the_server(self) -> None:
        shown: list[str] = []
        self.server.hooks.on_running = lambda one: shown.append(self.state(one.id))
        instance_id = self.run_instances()[0]
        self.assertEqual(self.state(instance_id), "running")
        self.assertEqual(shown, ["pending"])
        self.assertEqual(self.inspector.hook_errors(), [])

    def test_what_a_hook_raises_is_kept_and_stops_nothing(self) -> None:
        def fail(instance: Instance) -> None:
            raise RuntimeError(instance.id)

        self.server.hooks.on_running = fail
        instance_id = self.run_instances()[0]
        self.assertEqual(self.state(instance_id), "running")
        self.assertEqual([str(one) for one in self.inspector.hook_errors()], [instance_id])

    def test_calls_are_counted_by_action_and_time(self) -> None:
        self.run_instances()
        self.ids()
        self.server.advance(3600)
        later = self.server.clock.seconds()
        self.ids()
        self.refused("InvalidParameterValue", self.filtered, flavour="x")
        self.assertEqual(
            self.inspector.calls_by_action(), {"RunInstances": 1, "DescribeInstances": 3}
        )
        self.assertEqual(self.inspector.count_calls(since=later), 2)
        self.assertEqual(self.inspector.errors_by_code(), {"InvalidParameterValue": 1})
        self.inspector.forget_calls()
        self.assertEqual(self.inspector.count_calls(), 0)

    def test_two_servers_know_nothing_of_each_other(self) -> None:
        self.run_instances()
        with EC2Server() as other:
            answer = other.client().describe_instances()
            self.assertEqual(answer["Reservations"], [])
            self.assertNotEqual(other.account, self.server.account)

    def test_calls_to_another_region_are_refused(self) -> None:
        self.server.region = "eu-west-1"  # where its clients go; the cloud stays where it is
        error = self.refused("InvalidParameterValue", self.server.client().describe_instances)
        self.assertIn("us-east-1", str(error))

    def test_what_the_server_can_not_do_is_said_and_kept(self) -> None:
        error = self.assertRaises(
            ClientError,
            self.ec2.get_spot_placement_scores,
            TargetCapacity=1,
            InstanceTypes=["c5.large"],
        )
        self.assertIn("get_spot_placement_scores", str(error))
        self.assertEqual(len(self.inspector.crashes), 1)
