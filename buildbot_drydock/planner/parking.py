"""Bring the host of a resource that is parked, or woken, one step closer to what its row wishes.

The row alone says whether a host is to run, and a provider is only told what the row says: to stop
while it is *parking*, to start while it is *waking*. A host is judged by a listing that was asked
for after the wish was written down; an older one tells of the time before. So a resource is woken
only after it was seen stopped, and leased only after it was seen to run again.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from buildbot_drydock.actions import (
    Action,
    GiveNotice,
    ParkHost,
    SetPower,
    SettleResource,
    WakeHost,
)
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Blueprint, Health, Observed, Power, Resource, ResourceStatus
from buildbot_drydock.planner.survey import Survey
from buildbot_drydock.policy import (
    CLOCK_TOLERANCE_SECONDS,
    LONGEST_PARKING_SECONDS,
    MOST_CALL_FAILURES,
    POWER_AGAIN_SECONDS,
    keeper,
    notice_to_give,
    worn_out,
)

STOPPED: Final = (Health.PARKING, Health.PARKED)
AT_REST: Final = (Power.PARKING, Power.PARKED)


def is_current(survey: Survey, resource: Resource) -> bool:
    """Tell whether the last listing was asked for after the resource's power changed."""
    if resource.power_since is None:
        return True
    current_from = resource.power_since + CLOCK_TOLERANCE_SECONDS
    survey.wake(current_from)
    return survey.inventory(resource.blueprint).asked_at > current_from


def follow(
    survey: Survey, blueprint: Blueprint, resource: Resource, host: Observed
) -> Action | None:
    """See to an active resource that is not running, and is listed."""
    assert resource.power_since is not None
    if not is_current(survey, resource):
        return None
    if host.health is Health.FAILING:
        reason = host.reason or "its host is failing"
        woken = resource.power is Power.WAKING
        return SettleResource(resource, ResourceEvent.BREAK, reason, launch_failed=woken)
    if (notice := notice_to_give(blueprint, resource, host)) is not None:
        return GiveNotice(resource, notice)
    if resource.power is Power.PARKING:
        return _parking(survey, resource, host, resource.power_since)
    if resource.power is Power.WAKING:
        return _waking(survey, blueprint, resource, host, resource.power_since)
    if host.health in STOPPED:
        return None
    return SetPower(resource, Power.PARKING, "its host was started, and nothing here wants that")


def _parking(survey: Survey, resource: Resource, host: Observed, since: float) -> Action | None:
    if host.health is Health.PARKED:
        return SetPower(resource, Power.PARKED, host.reason or "it has stopped")
    asked = survey.call("park", resource.blueprint, resource.token)
    if asked.failures >= MOST_CALL_FAILURES:
        return SettleResource(
            resource, ResourceEvent.RELEASE, f"it could not be parked: {asked.error}"
        )
    deadline = since + LONGEST_PARKING_SECONDS
    if deadline <= survey.now:
        reason = f"it was not parked within {LONGEST_PARKING_SECONDS:.0f} s"
        return SettleResource(resource, ResourceEvent.RELEASE, reason)
    survey.wake(deadline)
    if host.health not in STOPPED and _may_ask_again(survey, "park", resource):
        return ParkHost(resource)
    return None


def _waking(
    survey: Survey, blueprint: Blueprint, resource: Resource, host: Observed, since: float
) -> Action | None:
    if host.health is Health.READY:
        return SetPower(resource, Power.RUNNING, "its host answers", host)
    deadline = since + blueprint.boot_timeout
    if deadline <= survey.now:
        reason = f"its host took over {blueprint.boot_timeout:.0f} s to be woken"
        return SettleResource(resource, ResourceEvent.BREAK, reason, launch_failed=True)
    survey.wake(deadline)
    # What is still stopping, as it was told so late, can't be started before it has stopped.
    if host.health is Health.PARKED and _may_ask_again(survey, "wake", resource):
        return WakeHost(resource)
    return None


def _may_ask_again(survey: Survey, verb: str, resource: Resource) -> bool:
    asked = survey.call(verb, resource.blueprint, resource.token)
    if asked.succeeded_at is not None:
        again = asked.succeeded_at + POWER_AGAIN_SECONDS
        survey.wake(again)
        if again > survey.now:
            return False
    return survey.may_call(verb, resource.blueprint, resource.token)


class Parkable(Enum):
    """What a provider could do with an idle resource."""

    YES = "yes"
    NO = "no"
    NOT_KNOWN = "not known"  # before the next listing


def parkable(survey: Survey, blueprint: Blueprint, resource: Resource) -> Parkable:
    """Tell whether an idle resource is worth parking, and its provider can do that."""
    if not blueprint.parks or resource.faults:
        return Parkable.NO
    inventory = survey.inventory(blueprint.name)
    if not inventory.known or not is_current(survey, resource):
        return Parkable.NOT_KNOWN
    host = keeper(inventory.hosts.get(resource.token, ()), resource)
    fit = host is not None and host.parkable and host.health is Health.READY
    return Parkable.YES if fit else Parkable.NO


def can_be_woken(survey: Survey, blueprint: Blueprint, resource: Resource) -> bool:
    """Tell whether a parked resource may be woken now.

    Its row says that it was seen stopped. If this master's listing says otherwise, somebody else
    has started it since, and it is about to be parked again.
    """
    if resource.status is not ResourceStatus.ACTIVE or resource.power is not Power.PARKED:
        return False
    inventory = survey.inventory(blueprint.name)
    host = keeper(inventory.hosts.get(resource.token, ()), resource)
    stopped = host is not None and host.health is Health.PARKED and host.notice is None
    return (
        inventory.known
        and stopped
        and worn_out(blueprint, resource, survey.now) is None
        and survey.takes_leases(resource)
        and not survey.call("park", blueprint.name, resource.token).running
        and survey.may_call("wake", blueprint.name, resource.token)
    )
