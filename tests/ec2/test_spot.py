"""Spot instances, their requests and their interruptions."""

from __future__ import annotations

import json
from typing import Any

from .cases import ServerCase, tagged


class Spot(ServerCase):
    def setUp(self) -> None:
        super().setUp()
        self.server.catalogue.add_queue("warnings")
        self.sqs = self.server.client("sqs")
        self.queue = self.sqs.get_queue_url(QueueName="warnings")["QueueUrl"]

    def events(self) -> list[dict[str, Any]]:
        """The events in the queue, taken out of it."""
        messages = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        found = []
        for message in messages.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
        return found

    def request(self) -> dict[str, Any]:
        return dict(self.ec2.describe_spot_instance_requests()["SpotInstanceRequests"][0])

    def test_a_spot_instance_has_a_request(self) -> None:
        instance_id = self.run_spot(TagSpecifications=tagged("spot-instances-request", a="b"))
        request = self.request()
        self.assertEqual(request["InstanceId"], instance_id)
        self.assertEqual((request["State"], request["Status"]["Code"]), ("active", "fulfilled"))
        self.assertEqual(request["Tags"], [{"Key": "a", "Value": "b"}])
        shown = self.describe()[0]
        self.assertEqual(shown["SpotInstanceRequestId"], request["SpotInstanceRequestId"])
        self.assertEqual(shown["InstanceLifecycle"], "spot")

    def test_an_interruption_is_warned_of_by_event_by_polling_and_on_the_instance(self) -> None:
        instance_id = self.run_spot()
        self.server.settle()
        self.server.interrupt(instance_id, notice=120)
        event = self.events()[0]
        self.assertEqual(event["detail-type"], "EC2 Spot Instance Interruption Warning")
        self.assertEqual((event["source"], event["account"]), ("aws.ec2", self.server.account))
        self.assertEqual(
            event["detail"], {"instance-id": instance_id, "instance-action": "terminate"}
        )
        self.assertEqual(event["time"], "2026-01-01T00:00:00Z")
        self.assertEqual(self.request()["Status"]["Code"], "marked-for-termination")
        self.assertEqual(self.state(instance_id), "running")
        notice = self.server.instance_metadata(instance_id)["meta-data/spot/instance-action"]
        self.assertEqual(
            json.loads(notice), {"action": "terminate", "time": "2026-01-01T00:02:00Z"}
        )
        self.server.advance(119)
        self.assertEqual(self.state(instance_id), "running")
        self.server.advance(1)
        shown = self.describe()[0]
        self.assertEqual(shown["State"]["Name"], "terminated")
        self.assertEqual(shown["StateReason"]["Code"], "Server.SpotInstanceTermination")
        request = self.request()
        self.assertEqual(request["State"], "closed")
        self.assertEqual(request["Status"]["Code"], "instance-terminated-no-capacity")

    def test_an_interruption_without_notice_is_told_by_nothing(self) -> None:
        instance_id = self.run_spot()
        self.server.settle()
        self.server.interrupt(instance_id, notice=0, status="instance-terminated-by-price")
        self.assertEqual(self.state(instance_id), "terminated")
        self.assertEqual(self.request()["Status"]["Code"], "instance-terminated-by-price")
        self.assertEqual(self.events(), [])

    def test_an_instance_ended_before_its_deadline_is_ended_by_the_user(self) -> None:
        instance_id = self.run_spot()
        self.server.interrupt(instance_id, notice=120)
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.advance(120)
        reason = self.describe()[0]["StateReason"]["Code"]
        self.assertEqual(reason, "Client.UserInitiatedShutdown")
        self.assertEqual(self.request()["Status"]["Code"], "instance-terminated-by-user")

    def test_a_rebalance_recommendation_is_an_event(self) -> None:
        instance_id = self.run_spot()
        self.server.recommend_rebalance(instance_id)
        event = self.events()[0]
        self.assertEqual(event["detail-type"], "EC2 Instance Rebalance Recommendation")
        self.assertEqual(event["detail"], {"instance-id": instance_id})
        self.assertIn(
            "meta-data/events/recommendations/rebalance",
            self.server.instance_metadata(instance_id),
        )

    def test_a_persistent_request_brings_back_an_instance_without_tags(self) -> None:
        first = self.run_spot("persistent", TagSpecifications=tagged(pool="a"))
        self.ec2.terminate_instances(InstanceIds=[first])
        self.assertEqual(self.request()["State"], "open")
        self.server.advance(30)
        second = self.inspector.living[0]
        self.assertNotEqual(second.id, first)
        self.assertEqual(second.tags, {})
        request = self.request()
        self.assertEqual((request["State"], request["InstanceId"]), ("active", second.id))

    def test_a_persistent_request_waits_for_capacity(self) -> None:
        first = self.run_spot("persistent")
        self.server.capacity.set(0)
        self.server.interrupt(first, notice=0)
        self.server.advance(60)
        self.assertEqual(self.request()["Status"]["Code"], "capacity-not-available")
        self.server.capacity.clear()
        self.server.advance(30)
        self.assertEqual(len(self.inspector.living), 1)

    def test_a_cancelled_request_brings_back_nothing(self) -> None:
        instance_id = self.run_spot("persistent")
        request_id = self.request()["SpotInstanceRequestId"]
        self.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request_id])
        self.assertEqual(self.request()["Status"]["Code"], "request-canceled-and-instance-running")
        self.assertEqual(self.state(instance_id), "running")
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.advance(3000)
        self.assertEqual(self.inspector.living, [])
        self.assertEqual(self.inspector.open_spot_requests(), [])

    def test_requests_are_found_by_state_and_missing_ones_refused(self) -> None:
        self.run_spot()
        by_state = [{"Name": "state", "Values": ["open"]}]
        found = self.ec2.describe_spot_instance_requests(Filters=by_state)
        self.assertEqual(found["SpotInstanceRequests"], [])
        for call in (
            self.ec2.describe_spot_instance_requests,
            self.ec2.cancel_spot_instance_requests,
        ):
            self.refused(
                "InvalidSpotInstanceRequestID.NotFound", call, SpotInstanceRequestIds=["sir-0"]
            )

    def test_a_one_time_spot_instance_can_not_be_stopped(self) -> None:
        instance_id = self.run_spot()
        self.server.settle()
        self.refused("UnsupportedOperation", self.ec2.stop_instances, InstanceIds=[instance_id])
        self.server.shut_down_from_inside(instance_id)
        self.assertEqual(self.state(instance_id), "terminated")

    def test_an_interruption_may_stop_instead(self) -> None:
        instance_id = self.run_spot("persistent", spot={"InstanceInterruptionBehavior": "stop"})
        self.server.settle()
        self.server.interrupt(instance_id, notice=120)
        self.assertEqual(self.events()[0]["detail"]["instance-action"], "stop")
        self.assertEqual(self.request()["Status"]["Code"], "marked-for-stop")
        self.server.advance(120)
        self.assertEqual(self.state(instance_id), "stopped")

    def test_on_demand_instances_are_not_interrupted(self) -> None:
        instance_id = self.run_instances()[0]
        self.assertRaises(ValueError, self.server.interrupt, instance_id)
