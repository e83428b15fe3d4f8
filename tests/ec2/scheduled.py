"""Scheduled events: what EC2 does to an instance at a time told beforehand."""

from __future__ import annotations

from .cloud import Cloud
from .records import Instance, ScheduledEvent
from .spot import request_of, take_back

SCHEDULED_STOP = (
    "Server.ScheduledStop",
    "Server.ScheduledStop: Stopped due to scheduled retirement",
)
DESCRIPTIONS = {
    "instance-retirement": "The instance is running on degraded hardware",
    "instance-stop": "The instance is running on degraded hardware",
    "instance-reboot": "The instance is scheduled for a reboot",
    "system-reboot": "The host is scheduled for a reboot",
    "system-maintenance": "The instance is scheduled for maintenance",
}
"""By code, all that there are."""
STOPPING = ("instance-retirement", "instance-stop")


def schedule(cloud: Cloud, instance: Instance, event: ScheduledEvent) -> None:
    """Announce an event of an instance from now on, and let it happen in time."""
    with cloud.lock:
        event.id = f"instance-event-{instance.number:08x}{len(instance.events):09x}"
        event.description = event.description or DESCRIPTIONS[event.code]
        instance.events.append(event)
    delay = max(0.0, event.not_before - cloud.now())
    cloud.later(delay, lambda: _happen(cloud, instance, event))


def _happen(cloud: Cloud, instance: Instance, event: ScheduledEvent) -> None:
    """Stop an instance, whose root is a volume, or a Spot one end; a reboot shows in no state."""
    if event.over:
        return
    event.end("Completed")
    if event.code not in STOPPING or instance.state != "running":
        return
    if request_of(cloud, instance) is None:
        cloud.begin_stop(instance, SCHEDULED_STOP)
    else:
        take_back(cloud, instance, "instance-terminated-by-service")
