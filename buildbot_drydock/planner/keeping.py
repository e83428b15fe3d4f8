"""What to keep, to park and to let go: warm resources, idle time-outs, age, drain."""

from __future__ import annotations

from collections.abc import Iterator

from buildbot_drydock.actions import Action, SetPower, SettleResource
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Blueprint, Mode, Power, Resource, ResourceStatus
from buildbot_drydock.planner.parking import AT_REST, Parkable, parkable
from buildbot_drydock.planner.survey import ENDED, Survey
from buildbot_drydock.policy import worn_out


def let_go(survey: Survey) -> Iterator[Action]:
    """Release idle resources that nothing keeps. A lease that gets there first wins."""
    for blueprint in survey.world.blueprints:
        resources = survey.of_blueprint[blueprint.name]
        idle = sorted(
            (r for r in resources if _is_idle(survey, r)), key=lambda r: (r.idle_since, r.id)
        )
        kept = []
        for resource in idle:
            reason = _not_wanted(survey, blueprint, resource)
            if reason is None:
                kept.append(resource)
            else:
                yield SettleResource(resource, ResourceEvent.RELEASE, reason)
        staying = sum(r.status not in ENDED and r.id not in survey.leaving for r in resources)
        over = staying - (len(idle) - len(kept)) - blueprint.limit
        yield from _surplus(survey, blueprint, kept, over)


def _is_idle(survey: Survey, resource: Resource) -> bool:
    return (
        resource.status is ResourceStatus.ACTIVE
        and resource.id not in survey.on_resource
        and resource.id not in survey.moving
    )


def _not_wanted(survey: Survey, blueprint: Blueprint, resource: Resource) -> str | None:
    if blueprint.retired:
        return "its blueprint is no longer configured"
    mode = blueprint.state.mode_at(survey.now)
    if mode in (Mode.DRAINING, Mode.DISABLED):
        return f"its blueprint is {mode.value}"
    if (disabled := survey.disabled(resource)) is not None:
        return disabled
    if resource.end_reason:
        return f"its host is to end: {resource.end_reason}"
    if blueprint.max_age is not None:
        survey.wake(resource.created_at + blueprint.max_age)
    return worn_out(blueprint, resource, survey.now)


def _surplus(
    survey: Survey, blueprint: Blueprint, idle: list[Resource], over: int
) -> Iterator[Action]:
    """Let go of the longest idle: those over the limit, and those idle too long and not kept warm.

    What is parked goes first. What was idle too long is parked, if that can be.
    """
    parked = [resource for resource in idle if resource.power in AT_REST]
    running = [resource for resource in idle if resource.power is Power.RUNNING]
    too_many = f"there are more resources than the limit of {blueprint.limit} allows"
    places = float("inf") if blueprint.max_parked is None else float(blueprint.max_parked)
    places -= len(parked)
    for resource in parked:
        reason = too_many if over > 0 else _parked_enough(survey, blueprint, resource, places)
        if reason is not None:
            over -= 1
            places += 1
            yield SettleResource(resource, ResourceEvent.RELEASE, reason)
    spare = len(running) - blueprint.min_ready
    for resource in running:
        if over > 0:
            over -= 1
            yield SettleResource(resource, ResourceEvent.RELEASE, too_many)
        elif spare > 0 and _idle_too_long(survey, blueprint, resource):
            action = _put_away(survey, blueprint, resource, places)
            if action is None:
                continue
            places -= isinstance(action, SetPower)
            yield action
        else:
            continue
        spare -= 1


def _put_away(
    survey: Survey, blueprint: Blueprint, resource: Resource, places: float
) -> SetPower | SettleResource | None:
    """Park what was idle too long, or release it; leave it if that depends on the next listing."""
    reason = f"it was idle for {blueprint.idle_timeout:.0f} s"
    can = parkable(survey, blueprint, resource) if places > 0 else Parkable.NO
    if can is Parkable.NOT_KNOWN:
        return None
    if can is Parkable.YES:
        return SetPower(resource, Power.PARKING, reason)
    return SettleResource(resource, ResourceEvent.RELEASE, reason)


def _parked_enough(
    survey: Survey, blueprint: Blueprint, resource: Resource, places: float
) -> str | None:
    """Return why a resource is not to stay parked, with so many *places* to park left."""
    if not blueprint.parks:
        return "its blueprint parks no more"
    if places < 0:
        return f"there are more than {blueprint.max_parked} parked"
    if blueprint.park_for is None:
        return None
    ends = resource.idle_since + blueprint.park_for
    survey.wake(ends)
    return f"it was parked for {blueprint.park_for:.0f} s" if ends <= survey.now else None


def _idle_too_long(survey: Survey, blueprint: Blueprint, resource: Resource) -> bool:
    if blueprint.idle_timeout is None:
        return False
    paid_until = resource.started_at + blueprint.minimum_billing
    ends = max(resource.idle_since + blueprint.idle_timeout, paid_until)
    survey.wake(ends)
    return ends <= survey.now
