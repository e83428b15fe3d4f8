"""Listed hosts as the simulator has them: synthetic machines, each of which is one host or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from buildbot_drydock.errors import RetryLater
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.synthetic import SyntheticCloud, SyntheticProvider
from buildbot_drydock.model import Blueprint, ListedHost, Observed

HOST_NAMES: Final = ("h1", "h2", "h3")


def some_hosts(random: Random) -> tuple[ListedHost, ...]:
    """Return a list of hosts that differ in slots and in what they offer."""
    return tuple(
        ListedHost(
            name=name,
            labels={"host": name, "image": random.choice(["old", "new"])},
            slots=random.choice([1, 1, 2]),
        )
        for name in HOST_NAMES[: random.randint(1, len(HOST_NAMES))]
    )


def shaken(blueprint: Blueprint, random: Random) -> Blueprint:
    """Return the blueprint with one of its hosts in or out of service, or gone from the list."""
    hosts = list(blueprint.hosts or ())
    number = random.randrange(len(hosts))
    change: Callable[[ListedHost], ListedHost] = random.choice(
        [
            lambda host: replace(host, unavailable="" if host.unavailable else "does not answer"),
            lambda host: replace(host, disabled="" if host.disabled else "its fan is loud"),
            lambda host: replace(host, slots=3 - host.slots),
        ]
    )
    hosts[number] = change(hosts[number])
    return replace(blueprint, hosts=tuple(hosts))


def mended(blueprint: Blueprint) -> Blueprint:
    """Return the blueprint with all its hosts in service."""
    if blueprint.hosts is None:
        return blueprint
    hosts = tuple(replace(host, disabled="", unavailable="") for host in blueprint.hosts)
    return replace(blueprint, hosts=hosts)


class ListedSyntheticProvider(SyntheticProvider):
    """Uses a machine as a host only once what it was before is gone, as a marker on it says.

    *clouds* are those of all blueprints, which may list the same machine. Hosts have no identity
    of their own beside their name.
    """

    def __init__(
        self, cloud: SyntheticCloud, blueprint: str, clouds: Callable[[], Sequence[SyntheticCloud]]
    ) -> None:
        super().__init__(cloud, blueprint)
        self._clouds = clouds

    async def inventory(self) -> Sequence[Observed]:
        return [replace(observed, identity="") for observed in await super().inventory()]

    async def create(self, token: str, spec: HostSpec) -> None:
        await self._cloud.call("create", token, lambda: self._take(token, spec))

    def _take(self, token: str, spec: HostSpec) -> None:
        for cloud in self._clouds():
            for machine in cloud.hosts():
                if machine.spec.host == spec.host and machine.token != token:
                    raise RetryLater(f"host {spec.host} is still {machine.token}")
        self._cloud.create(self._blueprint, token, spec)
