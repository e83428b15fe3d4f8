"""The listed hosts of one blueprint: which are in service, which of those nobody uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from buildbot_drydock.model import Blueprint, Labels, ListedHost
from buildbot_drydock.planner.labels import LabelKey, label_key
from buildbot_drydock.planner.survey import Survey
from buildbot_drydock.policy import meets
from buildbot_drydock.reasons import UnusableHost


class HostList:
    """Used up while the planner places leases, as ``Stock`` is."""

    def __init__(self, survey: Survey, blueprint: Blueprint) -> None:
        self._survey = survey
        self._hosts = blueprint.hosts or ()
        self._unusable = {
            host.name: reason
            for host in self._hosts
            if (reason := survey.unusable(host)) is not None
        }
        self._free: dict[LabelKey, deque[ListedHost]] = {}
        self._unusable_by_need: dict[LabelKey, tuple[UnusableHost, ...]] = {}

    def fitting(self, requires: Labels) -> Iterator[ListedHost]:
        return (host for host in self._hosts if meets(host.labels, requires))

    def free(self, requires: Labels) -> ListedHost | None:
        """Return the first host in service that fits and that no resource is."""
        key = label_key(requires)
        if key not in self._free:
            self._free[key] = deque(
                host
                for host in self.fitting(requires)
                if host.name not in self._unusable and host.name not in self._survey.host_users
            )
        queue = self._free[key]
        while queue and queue[0].name in self._survey.taken_hosts:
            queue.popleft()
        return queue[0] if queue else None

    def take(self, name: str) -> None:
        self._survey.taken_hosts.add(name)

    def in_use(self, requires: Labels) -> Iterator[str]:
        """Return the hosts in service that would fit, were it not for the resource on them."""
        return (
            host.name
            for host in self.fitting(requires)
            if host.name not in self._unusable and host.name in self._survey.host_users
        )

    def unusable(self, requires: Labels) -> tuple[UnusableHost, ...]:
        """Return the hosts that would fit, were they in service."""
        key = label_key(requires)
        if key not in self._unusable_by_need:
            self._unusable_by_need[key] = tuple(
                self._unusable[host.name]
                for host in self.fitting(requires)
                if host.name in self._unusable
            )
        return self._unusable_by_need[key]

    def has_service(self, requires: Labels) -> bool:
        """Tell whether any host that fits is in service."""
        return any(host.name not in self._unusable for host in self.fitting(requires))
