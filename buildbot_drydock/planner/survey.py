"""The world, indexed once for the planner, and the notes it takes while it plans."""

from __future__ import annotations

from dataclasses import replace

from buildbot_drydock.model import (
    Blueprint,
    Call,
    CallKey,
    Inventory,
    Lease,
    ListedHost,
    Resource,
    ResourceStatus,
    World,
)
from buildbot_drydock.policy import disabled_host, held_back_until, unusable_host
from buildbot_drydock.reasons import UnusableHost

_NEVER_CALLED = Call()
_NEVER_LISTED = Inventory(asked_at=float("-inf"), error="it was not listed yet")
ENDED = (ResourceStatus.RELEASED, ResourceStatus.BROKEN)


class Survey:
    """Look-ups over one world. ``wake`` collects when the next turn is due at the latest."""

    def __init__(self, world: World) -> None:
        # Whatever order the rows come in, the plan is the same.
        self.world = world = replace(
            world,
            resources=tuple(sorted(world.resources, key=lambda resource: resource.id)),
            leases=tuple(sorted(world.leases, key=lambda lease: lease.id)),
        )
        self.now = world.now
        self.blueprints = {blueprint.name: blueprint for blueprint in world.blueprints}
        self.resources = {resource.id: resource for resource in world.resources}
        self.of_blueprint: dict[str, list[Resource]] = {name: [] for name in self.blueprints}
        for resource in world.resources:
            self.of_blueprint.setdefault(resource.blueprint, []).append(resource)
        self.on_resource: dict[int, list[Lease]] = {}
        for lease in world.leases:
            if lease.resource is not None:
                self.on_resource.setdefault(lease.resource, []).append(lease)
        self._listed = {
            blueprint.name: {host.name: host for host in blueprint.hosts}
            for blueprint in world.blueprints
            if blueprint.hosts is not None
        }
        # The one living resource that each listed host is, whichever blueprint has it.
        self.host_users = {resource.host: resource for resource in world.resources if resource.host}
        self.wake_at: float | None = None
        self.ending: set[int] = set()  # leases that this plan ends
        self.moving: set[int] = set()  # resources that this plan moves or gives to a lease
        self.leaving: set[int] = set()  # resources that this plan breaks, reclaims or gives notice
        self.given_notice: set[int] = set()  # resources that this plan gives notice
        self.taken_hosts: set[str] = set()  # listed hosts that this plan takes into use

    def wake(self, at: float) -> None:
        """Ask for a turn at *at*; times that have passed are what this plan deals with."""
        if at > self.now and (self.wake_at is None or at < self.wake_at):
            self.wake_at = at

    def inventory(self, blueprint: str) -> Inventory:
        return self.world.inventories.get(blueprint, _NEVER_LISTED)

    def call(self, verb: str, blueprint: str, subject: str = "") -> Call:
        return self.world.calls.get(CallKey(verb, blueprint, subject), _NEVER_CALLED)

    def may_call(self, verb: str, blueprint: str, subject: str = "") -> bool:
        """Tell whether a call is neither under way nor to be put off."""
        call = self.call(verb, blueprint, subject)
        if call.running:
            return False
        self.wake(call.retry_at)
        return call.retry_at <= self.now

    def blueprint_of(self, resource: Resource) -> Blueprint | None:
        """Return the blueprint, unless it is another master's."""
        return self.blueprints.get(resource.blueprint)

    def unusable(self, host: ListedHost) -> UnusableHost | None:
        """Return why a listed host takes no leases, if it does not."""
        state = self.world.hosts.get(host.name)
        if state is not None and state.mode_until is not None:
            self.wake(state.mode_until)
        return unusable_host(host, state, self.now)

    def listed_host(self, resource: Resource) -> ListedHost | None:
        """Return the listed host that a resource is, if it is one that its blueprint still lists."""
        return self._listed.get(resource.blueprint, {}).get(resource.host)

    def takes_leases(self, resource: Resource) -> bool:
        """Tell whether a resource may be offered: it is neither held back nor out of service."""
        if self.held_back(resource):
            return False
        if resource.blueprint not in self._listed:
            return True
        host = self.listed_host(resource)
        return host is not None and self.unusable(host) is None

    def has_notice(self, resource: Resource) -> bool:
        """Tell whether a resource's provider has announced the end of its host."""
        return bool(resource.end_reason) or resource.id in self.given_notice

    def held_back(self, resource: Resource) -> bool:
        """Tell whether a lease could not use the resource a short while ago."""
        until = held_back_until(resource)
        if until is None or until <= self.now:
            return False
        self.wake(until)
        return True

    def disabled(self, resource: Resource) -> str | None:
        """Return why a resource is to be let go of, if somebody took its listed host out of service."""
        if resource.blueprint not in self._listed:
            return None
        host = self.listed_host(resource)
        if host is None:
            return f"its host {resource.host} is no longer listed"
        disabled = disabled_host(host, self.world.hosts.get(host.name), self.now)
        return None if disabled is None else f"its host {disabled.name} {disabled.why}"

    def evicts(self, resource: Resource) -> bool:
        """Tell whether the leases on a resource's listed host are to end at once."""
        state = self.world.hosts.get(resource.host) if resource.host else None
        return state is not None and state.at_once and state.disabled_at(self.now)

    def host_is_gone(self, resource: Resource) -> bool:
        """Tell whether the provider was told to destroy, and no longer lists, the host.

        The listing must have been asked for late enough to show what had been created: a new host
        may be missing from listings for a while.
        """
        blueprint = self.blueprint_of(resource)
        if blueprint is None or resource.status not in ENDED:
            return False
        inventory = self.inventory(blueprint.name)
        destroyed = self.call("destroy", blueprint.name, resource.token)
        return (
            inventory.known
            and resource.token not in inventory.hosts
            and resource.address not in inventory.unlisted
            and destroyed.succeeded_at is not None
            and inventory.asked_at >= destroyed.succeeded_at
            and inventory.asked_at >= resource.since + blueprint.listing_delay
        )
