"""The test server's Run Command does what the real one is documented to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .cases import ServerCase


class RunCommandTests(ServerCase):
    def setUp(self) -> None:
        super().setUp()
        self.ssm = self.server.client("ssm")
        self.manager = self.server.systems_manager
        self.manager.home = Path(self.mktemp()).absolute()
        self.profile = self.server.catalogue.add_instance_profile("managed")
        (self.number,) = self.run_instances(IamInstanceProfile={"Arn": self.profile})
        self.server.settle()
        self.addCleanup(self.manager.kill_all)

    def send(self, *lines: str, number: str = "", timeout: int = 60, **parameters: str) -> str:
        given = {"commands": list(lines), "workingDirectory": ["/"]}
        given |= {name: [value] for name, value in parameters.items()}
        answer = self.ssm.send_command(
            InstanceIds=[number or self.number],
            DocumentName="AWS-RunShellScript",
            TimeoutSeconds=timeout,
            Parameters=given,
        )
        return str(answer["Command"]["CommandId"])

    def seen(self, command: str) -> dict[str, Any]:
        return dict(self.ssm.get_command_invocation(CommandId=command, InstanceId=self.number))

    def ended(self, command: str) -> dict[str, Any]:
        (found,) = [each for each in self.manager.commands if each.id == command]
        assert found.process is not None
        found.process.wait(60)
        return self.seen(command)

    def test_a_script_runs_in_the_root_of_its_instance(self) -> None:
        command = self.send("echo hello", "pwd", "echo oh >&2")
        seen = self.ended(command)
        self.assertEqual((seen["Status"], seen["ResponseCode"]), ("Success", 0))
        self.assertEqual(
            seen["StandardOutputContent"], f"hello\n{self.manager.root(self.number)}\n"
        )
        self.assertEqual(seen["StandardErrorContent"], "oh\n")

    def test_an_exit_code_is_a_failure(self) -> None:
        seen = self.ended(self.send("exit 3"))
        self.assertEqual((seen["Status"], seen["ResponseCode"]), ("Failed", 3))

    def test_outputs_are_cut_off_and_shown_only_at_the_end(self) -> None:
        written = Path(self.mktemp()).absolute()
        os.mkfifo(written)
        command = self.send(
            "head -c 50000 /dev/zero | tr '\\0' x; head -c 50000 /dev/zero | tr '\\0' y >&2",
            f"echo > {written}; sleep 600",
        )
        written.read_text()
        self.assertEqual(self.seen(command)["StandardOutputContent"], "")
        self.manager.kill_all()
        seen = self.ended(command)
        self.assertEqual(len(seen["StandardOutputContent"]), 24_000)
        self.assertEqual(len(seen["StandardErrorContent"]), 8_000)

    def test_states_take_their_time(self) -> None:
        self.manager.timings.pickup = 5.0
        self.manager.timings.report = 3.0
        command = self.send("true")
        self.assertEqual(self.seen(command)["Status"], "Pending")
        self.server.advance(5)
        self.assertEqual(self.ended(command)["Status"], "InProgress")
        self.server.advance(3)
        self.assertEqual(self.seen(command)["Status"], "Success")

    def test_a_new_command_may_not_show_yet(self) -> None:
        self.manager.timings.invisible_calls = 2
        command = self.send("true")
        for _ in range(2):
            self.refused("InvocationDoesNotExist", self.seen, command)
        self.assertEqual(self.ended(command)["Status"], "Success")

    def test_a_silent_agent_delays_a_command_until_it_is_given_up(self) -> None:
        self.manager.offline.add(self.number)
        command = self.send("true", executionTimeout="100")
        self.assertEqual(self.seen(command)["Status"], "Delayed")
        self.server.advance(70)
        self.manager.offline.clear()  # too late: it is never begun
        self.server.advance(1)
        self.assertEqual(self.seen(command)["Status"], "Delayed")
        self.server.advance(100)
        seen = self.seen(command)
        self.assertEqual((seen["Status"], seen["StatusDetails"]), ("TimedOut", "DeliveryTimedOut"))

    def test_an_agent_that_comes_back_in_time_runs_it(self) -> None:
        self.manager.offline.add(self.number)
        command = self.send("true")
        self.server.advance(30)
        self.manager.offline.clear()
        self.server.advance(1)
        self.assertEqual(self.ended(command)["Status"], "Success")

    def test_what_takes_too_long_is_ended(self) -> None:
        command = self.send("sleep 600 & sleep 600", executionTimeout="10")
        self.server.advance(11)
        seen = self.seen(command)
        self.assertEqual((seen["Status"], seen["StatusDetails"]), ("TimedOut", "ExecutionTimedOut"))
        self.until_nothing_runs()

    def test_cancelling_ends_the_process_group(self) -> None:
        command = self.send("sleep 600 & sleep 600")
        self.ssm.cancel_command(CommandId=command)
        self.assertEqual(self.ended(command)["Status"], "Cancelled")
        self.until_nothing_runs()

    def test_what_has_not_begun_is_cancelled_as_well(self) -> None:
        self.manager.timings.pickup = 5.0
        command = self.send("touch here")
        self.ssm.cancel_command(CommandId=command)
        self.server.advance(10)
        self.assertEqual(self.seen(command)["Status"], "Cancelled")
        self.assertFalse((self.manager.root(self.number) / "here").exists())

    def test_who_is_not_registered_is_not_known(self) -> None:
        (other,) = self.run_instances()  # without a profile
        self.refused("InvalidInstanceId", self.send, "true", number=other)
        self.manager.timings.registration = 60.0
        self.refused("InvalidInstanceId", self.send, "true")
        self.server.advance(60)
        self.assertEqual(self.ended(self.send("true"))["Status"], "Success")

    def test_what_is_too_long_or_out_of_range_is_refused(self) -> None:
        self.refused("MaxDocumentSizeExceeded", self.send, "#" * 70_000)
        self.refused("InvalidParameters", self.send, "echo {{ ssm:name }}")
        self.refused("ValidationException", self.send, "true", executionTimeout="172801")
        self.refused("InvalidCommandId", self.ssm.cancel_command, CommandId="0" * 36)

    def test_instances_are_listed_in_pages_by_their_tags(self) -> None:
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "drydock:x", "Value": "a"}]}]
        profile = {"Arn": self.profile}
        made = self.run_instances(7, IamInstanceProfile=profile, TagSpecifications=tags)
        self.manager.offline.add(made[0])
        filters = [{"Key": "tag:drydock:x", "Values": ["a"]}]
        pages = self.ssm.get_paginator("describe_instance_information").paginate(
            Filters=filters, MaxResults=5
        )
        listed = [page["InstanceInformationList"] for page in pages]
        self.assertEqual([len(page) for page in listed], [5, 2])
        found = {each["InstanceId"]: each["PingStatus"] for page in listed for each in page}
        self.assertEqual(set(found), set(made))
        self.assertEqual([n for n, status in found.items() if status != "Online"], [made[0]])

    def until_nothing_runs(self) -> None:
        while self.manager.running():
            pass
