"""Events that are scheduled for instances."""

from __future__ import annotations

from typing import Any

from .cases import ServerCase
from .clock import date_of


class Scheduled(ServerCase):
    def setUp(self) -> None:
        super().setUp()
        self.number = self.run_instances()[0]
        self.server.settle()
        self.at = self.server.clock.seconds() + 60

    def events(self) -> list[dict[str, Any]]:
        (status,) = self.ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
        return list(status["Events"])

    def with_code(self, code: str) -> int:
        filters = [{"Name": "event.code", "Values": [code]}]
        return len(self.ec2.describe_instance_status(Filters=filters)["InstanceStatuses"])

    def test_an_instance_is_stopped_when_it_was_announced(self) -> None:
        event = self.server.schedule_event(
            self.number, "instance-stop", not_before=self.at, deadline=self.at + 5
        )
        (told,) = self.events()
        self.assertEqual((told["InstanceEventId"], told["Code"]), (event.id, "instance-stop"))
        self.assertEqual(told["NotBefore"], date_of(self.at))
        self.assertEqual(told["NotBeforeDeadline"], date_of(self.at + 5))
        self.assertNotIn("NotAfter", told)
        self.server.advance(59)
        self.assertEqual(self.state(self.number), "running")
        self.server.advance(1)
        self.assertEqual(self.state(self.number), "stopped")
        self.assertEqual(self.describe()[0]["StateReason"]["Code"], "Server.ScheduledStop")
        self.assertTrue(self.events()[0]["Description"].startswith("[Completed] The instance"))

    def test_what_is_called_off_does_not_happen(self) -> None:
        event = self.server.schedule_event(self.number, "instance-stop", not_before=self.at)
        event.end("Canceled")
        self.server.advance(61)
        self.assertEqual(self.state(self.number), "running")
        self.assertTrue(self.events()[0]["Description"].startswith("[Canceled] The instance"))

    def test_a_spot_instance_ends_and_one_that_is_rebooted_runs_on(self) -> None:
        spot = self.run_spot()
        self.server.settle()
        self.server.schedule_event(spot, "instance-retirement", not_before=self.at)
        self.server.schedule_event(self.number, "system-reboot", not_before=self.at)
        self.server.advance(60)
        self.assertEqual((self.state(spot), self.state(self.number)), ("terminated", "running"))

    def test_statuses_are_found_by_the_codes_of_events_and_not_by_tags(self) -> None:
        self.server.schedule_event(self.number, "system-reboot", not_before=self.at)
        self.assertEqual(self.with_code("system-reboot"), 1)
        self.assertEqual(self.with_code("instance-stop"), 0)
        self.refused(
            "InvalidParameterValue",
            self.ec2.describe_instance_status,
            Filters=[{"Name": "tag:a", "Values": ["b"]}],
        )
