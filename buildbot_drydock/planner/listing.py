"""When to ask each provider what exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from buildbot_drydock.actions import Action, ListHosts
from buildbot_drydock.model import Blueprint, Power, Resource, ResourceStatus
from buildbot_drydock.planner.parking import is_current
from buildbot_drydock.planner.survey import ENDED, Survey

# A provider that was just told something is asked this much sooner than by its poll interval.
_HASTE = 10.0
_CHANGING = (Power.PARKING, Power.WAKING)


def refresh_listings(survey: Survey) -> Iterator[Action]:
    """List often while a change is expected, seldom otherwise, and soon after each change made."""
    leaving = _strays_that_leave(survey)
    for blueprint in survey.world.blueprints:
        due = _due(survey, blueprint, leaving.get(blueprint.name, ()))
        if due > survey.now:
            survey.wake(due)
        elif survey.may_call("inventory", blueprint.name):
            yield ListHosts(blueprint.name)


def _is_asked_for(survey: Survey, resource: Resource) -> bool:
    """Tell whether a host is to appear; an active one may have to, if it is a listed host."""
    if resource.status is ResourceStatus.PENDING:
        return True
    inventory = survey.inventory(resource.blueprint)
    active = resource.status is ResourceStatus.ACTIVE
    return active and bool(resource.host) and resource.token not in inventory.hosts


def _should_have_gone(survey: Survey, resource: Resource) -> bool:
    """Tell whether the time has come at which a provider was to take a host away."""
    if resource.ends_at is None:
        return False
    survey.wake(resource.ends_at)
    return resource.ends_at <= survey.now


def _strays_that_leave(survey: Survey) -> Mapping[str, Sequence[float]]:
    """Return by blueprint when strays were told to go that are listed still."""
    found: dict[str, list[float]] = {}
    for key, call in survey.world.calls.items():
        if key.verb != "destroy-stray" or call.succeeded_at is None or call.failures:
            continue
        token, _, identity = key.subject.partition(" ")
        hosts = survey.inventory(key.blueprint).hosts.get(token, ())
        if any(identity in ("", host.identity) for host in hosts):
            found.setdefault(key.blueprint, []).append(call.succeeded_at)
    return found


def _due(survey: Survey, blueprint: Blueprint, leaving: Sequence[float]) -> float:
    inventory = survey.inventory(blueprint.name)
    asked_at = inventory.asked_at
    if inventory.stale:
        return asked_at
    soon = asked_at + blueprint.poll_interval / _HASTE
    if any(changed >= asked_at for changed in leaving):
        return soon
    expecting = bool(leaving)
    for resource in survey.of_blueprint[blueprint.name]:
        if _is_asked_for(survey, resource):
            changed = survey.call("create", blueprint.name, resource.token).succeeded_at
        elif resource.status in ENDED:
            changed = survey.call("destroy", blueprint.name, resource.token).succeeded_at
        elif resource.power in _CHANGING:
            verb = "park" if resource.power is Power.PARKING else "wake"
            changed = survey.call(verb, blueprint.name, resource.token).succeeded_at
        elif _should_have_gone(survey, resource) or not is_current(survey, resource):
            changed = None
        else:
            continue
        expecting = True
        if changed is not None and changed >= asked_at:
            return soon
    return asked_at + (blueprint.poll_interval if expecting else blueprint.sweep_interval)
