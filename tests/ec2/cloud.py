"""One account and region of the simulated EC2: all that is, and how it changes with time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .agenda import Agenda
from .clock import Clock, ScriptedClock, date_of
from .listing import check_instance_ids
from .market import Capacity, Prices, Quotas
from .moto_parts import ec2_of
from .problems import EC2Error
from .records import Fleet, Instance, Launch, SpotRequest
from .tokens import ClientTokens

USER_INITIATED = (
    "Client.UserInitiatedShutdown",
    "Client.UserInitiatedShutdown: User initiated shutdown",
)
FROM_INSIDE = (
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
)
SPOT_TERMINATION = (
    "Server.SpotInstanceTermination",
    "Server.SpotInstanceTermination: Spot instance termination",
)
BOOT_FAILURES = {
    "Server.InsufficientInstanceCapacity": "There was insufficient capacity to launch it",
    "Client.VolumeLimitExceeded": "Volume limit exceeded",
    "Client.InternalError": "Client error on launch",
    "Server.InternalError": "Internal error on launch",
}


@dataclass
class Timings:
    """How long things take, in seconds of the server's clock; each may be changed at any time.

    With a time of 0 a change shows in the call after the one that began it. `listing_lag_calls` is
    a number of looks, not seconds: so many calls that would list a new instance don't.
    """

    pending: float = 0.0
    status_checks: float = 0.0
    stopping: float = 0.0
    shutting_down: float = 0.0
    listing_lag: float = 0.0
    listing_lag_calls: int = 0
    tag_lag: float = 0.0
    template_lag: float = 0.0
    terminated_listed: float = 3600.0
    spot_relaunch: float = 30.0
    token_kept: float = 86400.0


class Hooks:
    """What the test does when instances come and go. A hook runs before the new state shows."""

    def __init__(self) -> None:
        self.on_launch: Callable[[Instance], None] | None = None
        self.on_running: Callable[[Instance], None] | None = None
        self.on_stopped: Callable[[Instance], None] | None = None
        self.on_terminated: Callable[[Instance], None] | None = None
        self.errors: list[Exception] = []

    def call(self, hook: Callable[[Instance], None] | None, instance: Instance) -> None:
        """Run one; what it raises is kept in `errors` and stops nothing."""
        if hook is None:
            return
        try:
            hook(instance)
        except Exception as error:  # noqa: BLE001 - a test's own function may raise anything
            self.errors.append(error)


class Cloud:
    """The state of the simulated EC2. Use `lock` around anything that reads more than one field."""

    def __init__(self, account: str, region: str, clock: Clock, timings: Timings) -> None:
        self.account = account
        self.region = region
        self.clock = clock
        self.timings = timings
        self.lock = threading.RLock()
        self.moto = ec2_of(account, region)
        self.hooks = Hooks()
        self.capacity = Capacity()
        self.quotas = Quotas()
        self.prices = Prices()
        self.tokens = ClientTokens()
        self.agenda = Agenda()
        self.instances: dict[str, Instance] = {}
        self.spot_requests: dict[str, SpotRequest] = {}
        self.launches: list[Launch] = []
        self.fleets: dict[str, Fleet] = {}
        self.failing_boots: list[str] = []
        self._settling = threading.RLock()
        self._serials = 0

    # -- time ----------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds of the server's clock."""
        return self.clock.seconds()

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Do something after so many seconds."""
        with self.lock:
            self.agenda.at(self.now() + delay, action)

    @contextmanager
    def _sole_settler(self, wait: bool) -> Iterator[bool]:
        mine = self._settling.acquire(blocking=wait)
        try:
            yield mine
        finally:
            if mine:
                self._settling.release()

    def settle(self, *, wait: bool = False) -> None:
        """Do all that is due by now.

        A call that arrives while another thread is at it doesn't wait: hooks run then, and may
        themselves make calls.
        """
        with self._sole_settler(wait) as mine:
            while mine:
                with self.lock:
                    action = self.agenda.take_due(self.now())
                if action is None:
                    return
                action()

    def advance(self, seconds: float) -> None:
        """Move a scripted clock on, and do in order what is due on the way."""
        if not isinstance(self.clock, ScriptedClock):
            raise TypeError("Only a ScriptedClock can be advanced; this server has another clock.")
        end = self.now() + seconds
        with self._sole_settler(wait=True):
            self.settle()
            while True:
                due = self.agenda.next_time()
                if due is None or due > end:
                    break
                self.clock.move_to(due)
                self.settle()
            self.clock.move_to(end)
            self.settle()

    # -- instances -----------------------------------------------------------------------------

    def get(self, instance_id: str) -> Instance:
        """An instance by its id, whatever its state; KeyError if there never was one."""
        return self.instances[instance_id]

    def all(self) -> list[Instance]:
        """All instances ever."""
        with self.lock:
            return list(self.instances.values())

    def zones(self) -> list[str]:
        """The zones of the region."""
        return [zone.name for zone in self.moto.describe_availability_zones()]

    def next_number(self) -> int:
        """A number that was not given before; the same ones in each run."""
        self._serials += 1
        return self._serials

    def add(self, instance: Instance) -> None:
        """Take in a new instance, pending."""
        self.instances[instance.id] = instance
        timings = self.timings
        instance.enter("pending", self.now())
        instance.visible_at = self.now() + timings.listing_lag
        instance.hidden_calls = timings.listing_lag_calls
        instance.tags_visible_at = instance.visible_at + timings.tag_lag
        self.hooks.call(self.hooks.on_launch, instance)
        if self.failing_boots:
            reason = self.failing_boots.pop(0)
            self.later(timings.pending, lambda: self._fail_boot(instance, reason))
        else:
            self.later(timings.pending, lambda: self._run(instance))

    def _run(self, instance: Instance) -> None:
        if instance.state != "pending":
            return
        self.hooks.call(self.hooks.on_running, instance)
        with self.lock:
            if instance.state != "pending":
                return
            instance.enter("running", self.now())
            instance.status_ok_at = self.now() + self.timings.status_checks

    def _fail_boot(self, instance: Instance, reason: str) -> None:
        with self.lock:
            if instance.state != "pending":
                return
            instance.reason_code = reason
            instance.reason_message = f"{reason}: {BOOT_FAILURES.get(reason, 'Launch failed')}"
        self._end(instance)

    def begin_termination(self, instance: Instance, reason: tuple[str, str]) -> None:
        """Start to shut an instance down; nothing if it is on its way already."""
        with self.lock:
            if not instance.living:
                return
            instance.reason_code, instance.reason_message = reason
            if reason == USER_INITIATED:
                instance.transition_reason = self._user_initiated()
            instance.enter("shutting-down", self.now())
        self.later(self.timings.shutting_down, lambda: self._end(instance))

    def begin_stop(self, instance: Instance, reason: tuple[str, str]) -> None:
        """Start to stop an instance."""
        with self.lock:
            instance.reason_code, instance.reason_message = reason
            instance.transition_reason = self._user_initiated()
            instance.enter("stopping", self.now())
        self.later(self.timings.stopping, lambda: self._stop(instance))

    def _stop(self, instance: Instance) -> None:
        if instance.state != "stopping":
            return
        self.hooks.call(self.hooks.on_stopped, instance)
        with self.lock:
            if instance.state == "stopping":
                instance.enter("stopped", self.now())
                instance.public_ip = None

    def begin_start(self, instance: Instance) -> None:
        """Start a stopped instance again."""
        with self.lock:
            instance.reason_code = instance.reason_message = instance.transition_reason = ""
            instance.enter("pending", self.now())
            instance.launched_at = self.now()  # EC2 tells when it was last launched
            instance.public_ip = instance.moto.public_ip_address
        self.later(self.timings.pending, lambda: self._run(instance))

    def _end(self, instance: Instance) -> None:
        if instance.state == "terminated":
            return
        self.hooks.call(self.hooks.on_terminated, instance)
        with self.lock:
            instance.moto.terminate()
            instance.enter("terminated", self.now())
            instance.private_ip = instance.public_ip = None
            instance.interruption_at = None
        self.later(self.timings.terminated_listed, lambda: self._forget(instance))

    def _forget(self, instance: Instance) -> None:
        instance.forgotten = True

    def _user_initiated(self) -> str:
        return f"User initiated ({date_of(self.now()):%Y-%m-%d %H:%M:%S} GMT)"

    # -- listing -------------------------------------------------------------------------------

    def is_listed(self, instance: Instance) -> bool:
        """Whether the API shows an instance yet, and still."""
        return (
            not instance.forgotten
            and instance.hidden_calls <= 0
            and instance.visible_at <= self.now()
        )

    def tags_of(self, instance: Instance) -> dict[str, str]:
        """The tags of an instance as the API shows them now."""
        return instance.tags if instance.tags_visible_at <= self.now() else {}

    def listed(self, instance_ids: list[str]) -> list[Instance]:
        """The listed instances of these ids; raises the documented errors."""
        check_instance_ids(instance_ids)
        found = [self.instances.get(instance_id) for instance_id in instance_ids]
        missing = [
            instance_id
            for instance_id, instance in zip(instance_ids, found, strict=True)
            if instance is None or not self.is_listed(instance)
        ]
        for instance in found:
            if instance is not None and instance.hidden_calls > 0:
                instance.hidden_calls -= 1
        if missing:
            several = len(missing) > 1
            raise EC2Error(
                "InvalidInstanceID.NotFound",
                f"The instance ID{'s' if several else ''} '{', '.join(missing)}'"
                f" do{'' if several else 'es'} not exist",
            )
        return [instance for instance in found if instance is not None]

    def volumes(self) -> dict[str, Any]:
        """moto's volumes by id."""
        return dict(self.moto.volumes)


CLOUDS: dict[str, Cloud] = {}
"""The clouds of this process by their account: how moto's handlers find theirs."""
