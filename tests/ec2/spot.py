"""Spot: interruptions, rebalance recommendations, and what becomes of Spot requests."""

from __future__ import annotations

import json

from . import moto_parts
from .cloud import FROM_INSIDE, SPOT_TERMINATION, USER_INITIATED, Cloud
from .launching import Origin, Place, create, room
from .records import Instance, SpotRequest

INTERRUPTION = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"
BY_PRICE = "instance-terminated-by-price"
NO_CAPACITY = "instance-terminated-no-capacity"
MESSAGES = {
    "fulfilled": "Your Spot request is fulfilled.",
    "marked-for-termination": "Your Spot Instance is marked for termination.",
    "marked-for-stop": "Your Spot Instance is marked for stopping.",
    "instance-terminated-by-user": "Your Spot Instance was terminated by a user.",
    BY_PRICE: "Your Spot Instance was terminated because the Spot price rose above your price.",
    NO_CAPACITY: "Your Spot Instance was terminated because there is no capacity.",
    "instance-stopped-no-capacity": "Your Spot Instance was stopped: there is no capacity.",
    "request-canceled-and-instance-running": "Your request was canceled, its instance runs on.",
    "canceled-before-fulfillment": "Your request was canceled before it was fulfilled.",
    "capacity-not-available": "There is no capacity for your request at the moment.",
    "pending-evaluation": "Your Spot request is pending evaluation.",
}


def send_event(cloud: Cloud, kind: str, instance: Instance, detail: dict[str, str]) -> None:
    """Send an event of EC2 through EventBridge to whatever its rules say."""
    arn = f"arn:aws:ec2:{cloud.region}:{cloud.account}:instance/{instance.id}"
    moto_parts.events_of(cloud.account, cloud.region).put_events(
        [
            {
                "Source": "aws.ec2",
                "DetailType": kind,
                "Time": cloud.now(),
                "Resources": [arn],
                "Detail": json.dumps({"instance-id": instance.id, **detail}),
            }
        ]
    )


def interrupt(cloud: Cloud, instance: Instance, notice: float, status: str = NO_CAPACITY) -> None:
    """Take a Spot instance back after `notice` seconds of warning, or at once if that is 0."""
    request = request_of(cloud, instance)
    if request is None:
        raise ValueError(f"{instance.id} is no Spot instance, so it can't be interrupted.")
    action = request.interruption_behavior
    if notice <= 0:
        take_back(cloud, instance, status)
        return
    with cloud.lock:
        instance.interruption_at = cloud.now() + notice
        marked = "marked-for-termination" if action == "terminate" else "marked-for-stop"
        change(cloud, request, request.state, marked)
    send_event(cloud, INTERRUPTION, instance, {"instance-action": action})
    cloud.later(notice, lambda: take_back(cloud, instance, status))


def take_back(cloud: Cloud, instance: Instance, status: str) -> None:
    """End (or stop) a Spot instance on EC2's side."""
    request = request_of(cloud, instance)
    if not instance.living or request is None:
        return
    if request.interruption_behavior == "terminate":
        cloud.begin_termination(instance, SPOT_TERMINATION)
        after_termination(cloud, instance, status)
    else:
        cloud.begin_stop(instance, SPOT_TERMINATION)
        change(cloud, request, "disabled", "instance-stopped-no-capacity")


def recommend_rebalance(cloud: Cloud, instance: Instance) -> None:
    """Say that an instance is at elevated risk of interruption."""
    instance.rebalance_recommended = True
    send_event(cloud, REBALANCE, instance, {})


def terminate_by_user(cloud: Cloud, instance: Instance) -> None:
    """What TerminateInstances does to one instance: nothing if it has ended already."""
    if instance.living:
        cloud.begin_termination(instance, USER_INITIATED)
        after_termination(cloud, instance, "instance-terminated-by-user")


def shut_down_from_inside(cloud: Cloud, instance: Instance) -> None:
    """What `shutdown -h now` on the instance does, by its InstanceInitiatedShutdownBehavior.

    A Spot instance of a one-time request can't be stopped: it ends.
    """
    request = request_of(cloud, instance)
    behavior = instance.moto.instance_initiated_shutdown_behavior
    if behavior == "terminate" or (request is not None and request.kind == "one-time"):
        cloud.begin_termination(instance, FROM_INSIDE)
        after_termination(cloud, instance, "instance-terminated-by-user")
    else:
        cloud.begin_stop(instance, FROM_INSIDE)


def request_of(cloud: Cloud, instance: Instance) -> SpotRequest | None:
    """The Spot request of an instance; None for an on-demand one."""
    return cloud.spot_requests.get(instance.spot_request_id or "")


def change(cloud: Cloud, request: SpotRequest, state: str, status: str) -> None:
    """Set the state and status of a Spot request."""
    request.state, request.status, request.changed_at = state, status, cloud.now()


def after_termination(cloud: Cloud, instance: Instance, status: str) -> None:
    """A one-time request closes with its instance; a persistent one opens again."""
    request = request_of(cloud, instance)
    if request is None or request.instance_id != instance.id:
        return
    if request.state == "cancelled":
        return
    if request.kind == "one-time":
        change(cloud, request, "closed", status)
        return
    change(cloud, request, "open", "pending-evaluation")
    request.instance_id = None
    cloud.later(cloud.timings.spot_relaunch, lambda: _fulfil(cloud, request))


def _fulfil(cloud: Cloud, request: SpotRequest) -> None:
    """Launch the instance of an open request, without tags of its own; try again if there's no
    capacity."""
    with cloud.lock:
        if request.state != "open":
            return
        place = Place(request.zone, request.request["SubnetId"])
        if room(cloud, request.request, place) < 1:
            change(cloud, request, "open", "capacity-not-available")
            cloud.later(max(cloud.timings.spot_relaunch, 1.0), lambda: _fulfil(cloud, request))
            return
        without_address = {
            key: value for key, value in request.request.items() if key != "PrivateIpAddress"
        }
        instance = create(cloud, without_address, place, 1, Origin(sent={}))[0]
        del cloud.spot_requests[instance.spot_request_id or ""]
        instance.spot_request_id = request.id
        request.instance_id = instance.id
        change(cloud, request, "active", "fulfilled")


def cancel(cloud: Cloud, request: SpotRequest) -> None:
    """Cancel a request; its instance runs on."""
    if request.state in ("closed", "cancelled"):
        return
    running = request.instance_id is not None
    change(
        cloud,
        request,
        "cancelled",
        "request-canceled-and-instance-running" if running else "canceled-before-fulfillment",
    )
