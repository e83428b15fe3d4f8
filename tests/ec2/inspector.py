"""What really is, behind the back of whoever uses the API."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .cloud import Cloud
from .records import Instance, SpotRequest


@dataclass
class Call:
    """One call to the server: its action and parameters, and what came of it.

    `status` is 0 if the connection was broken instead of an answer; `error` is the code of the
    error that was answered, empty if none; `fault` says whether a rule made it fail.
    """

    action: str
    at: float
    access_key: str
    body: str
    status: int = 0
    error: str = ""
    fault: bool = False


class Inspector:
    """Counts and lists for assertions. Nothing here waits, lags or fails."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.calls: list[Call] = []
        self.crashes: list[Exception] = []

    # -- instances -----------------------------------------------------------------------------

    @property
    def instances(self) -> list[Instance]:
        """All instances ever, oldest first."""
        return sorted(self._cloud.all(), key=lambda instance: instance.number)

    @property
    def living(self) -> list[Instance]:
        """The instances that cost money: not shutting down and not terminated."""
        return [instance for instance in self.instances if instance.living]

    @property
    def running(self) -> list[Instance]:
        """The instances that are pending or running."""
        return [one for one in self.instances if one.state in ("pending", "running")]

    def in_state(self, state: str) -> list[Instance]:
        """The instances in one state."""
        return [instance for instance in self.instances if instance.state == state]

    def with_tag(self, key: str, value: str | None = None) -> list[Instance]:
        """All instances ever that have a tag, whether listings show it yet or not."""
        return [
            one
            for one in self.instances
            if key in one.tags and (value is None or one.tags[key] == value)
        ]

    def by_tag(self, key: str) -> dict[str, list[Instance]]:
        """All instances ever that have a tag, by its value."""
        found: dict[str, list[Instance]] = {}
        for instance in self.with_tag(key):
            found.setdefault(instance.tags[key], []).append(instance)
        return found

    # -- what must not be ----------------------------------------------------------------------

    def doubled_tokens(self) -> dict[str, list[str]]:
        """Client tokens that made more instances than the call asked for: {token: ids}."""
        asked: dict[str, int] = {}
        made: dict[str, list[str]] = {}
        for launch in self._cloud.launches:
            asked.setdefault(launch.token, launch.asked)
        for instance in self.instances:
            if instance.origin_token:
                made.setdefault(instance.origin_token, []).append(instance.id)
        return {token: ids for token, ids in made.items() if len(ids) > asked.get(token, 0)}

    def doubled_tags(self, key: str) -> dict[str, list[str]]:
        """Values of a tag that several instances have, living or not: {value: ids}."""
        return {
            value: [instance.id for instance in instances]
            for value, instances in self.by_tag(key).items()
            if len(instances) > 1
        }

    def orphan_volumes(self) -> list[str]:
        """Volumes that no instance that still is has."""
        kept = {
            volume for one in self.instances if one.state != "terminated" for volume in one.volumes
        }
        return sorted(set(self._cloud.volumes()) - kept)

    def volumes(self) -> list[str]:
        """All volumes there are."""
        return sorted(self._cloud.volumes())

    def spot_requests(self) -> list[SpotRequest]:
        """All Spot requests ever."""
        return list(self._cloud.spot_requests.values())

    def open_spot_requests(self) -> list[SpotRequest]:
        """The Spot requests that hold an instance or would bring one."""
        return [one for one in self.spot_requests() if one.state in ("open", "active", "disabled")]

    def launch_templates(self) -> list[str]:
        """The names of the launch templates there are."""
        return sorted(one.name for one in self._cloud.moto.launch_templates.values())

    def hook_errors(self) -> list[Exception]:
        """What the test's own hooks raised."""
        return list(self._cloud.hooks.errors)

    # -- counts --------------------------------------------------------------------------------

    def launched(self) -> int:
        """How many instances were ever launched."""
        return len(self._cloud.instances)

    def count_calls(self, action: str | None = None, *, since: float = 0.0) -> int:
        """How many calls came, of one action or of all, from a time of the server's clock on."""
        return sum(
            1
            for call in list(self.calls)
            if call.at >= since and (action is None or call.action == action)
        )

    def calls_by_action(self, *, since: float = 0.0) -> dict[str, int]:
        """How many calls came, by action."""
        return dict(Counter(call.action for call in list(self.calls) if call.at >= since))

    def calls_of(self, action: str) -> list[Call]:
        """The calls of one action, in the order they came."""
        return [call for call in list(self.calls) if call.action == action]

    def errors_by_code(self) -> dict[str, int]:
        """How many calls were answered with an error, by its code."""
        return dict(Counter(call.error for call in list(self.calls) if call.error))

    def forget_calls(self) -> None:
        """Count calls from now on."""
        self.calls.clear()
