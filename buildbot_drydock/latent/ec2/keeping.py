"""What a master knows of one instance beside what EC2 says: how it answers over SSH.

A keeper, as of a listed machine, connects, makes the instance fit and marks it as taken. An
instance that is still coming up may refuse and fail as it likes; only one that has been ready, or
has had all its time, is judged by that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from buildbot_drydock.events import Event
from buildbot_drydock.interfaces import Host
from buildbot_drydock.latent.ec2.listing import Instance
from buildbot_drydock.latent.ec2.parking import STOPPED
from buildbot_drydock.model import Health, Observed

# Of boot_timeout, how much an instance gets until it is given up here, where the reason is known.
SHARE_OF_BOOT_TIMEOUT: Final = 0.9
# A running instance has its addresses by then; public ones come a little later than the state.
ADDRESS_SECONDS: Final = 120.0


class Keeps(Protocol):
    """The part of a ``Keeper`` that is needed here."""

    def begin(self, delay: float = 0.0) -> None: ...

    def use(self, token: str, start: str = "") -> None: ...

    def host(self, token: str) -> Host: ...

    async def wipe(self, slot: int) -> None: ...

    def listing(self) -> list[Observed]: ...

    async def close(self) -> None: ...

    @property
    def is_working(self) -> bool: ...


Report: TypeAlias = Callable[[Event], None]
# Makes a keeper for a token's instance, given its id and address, and what is told of events.
MakeKeeper: TypeAlias = Callable[[str, str, str, Report], Keeps]


@dataclass(slots=True)
class Kept:
    """One instance, as this master knows it."""

    id: str
    token: str
    address: str
    since: float  # when this master first saw it running
    keeper: Keeps
    launched_at: float | None = None  # or started again, as EC2 says
    was_ready: bool = False
    signed_at: float = float("-inf")  # when it last got a sign of life

    def is_of(self, address: str, launched_at: float | None) -> bool:
        """Tell whether it is the instance at this address, not started again since it was met."""
        if self.launched_at is None:
            self.launched_at = launched_at  # met before it was listed
        return self.address == address and launched_at in (None, self.launched_at)

    def observed(self) -> Observed:
        """Return what its keeper makes of it."""
        found = [each for each in self.keeper.listing() if each.token == self.token]
        return found[0] if found else Observed(token=self.token, health=Health.STARTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """How long is waited for an instance, and where it is expected to be."""

    boot_timeout: float  # seconds
    reach: str  # "private" or "public"

    @property
    def patience(self) -> float:
        return self.boot_timeout * SHARE_OF_BOOT_TIMEOUT


def seen_by_ec2(instance: Instance, expected: Expectations, now: float) -> tuple[Health, str]:
    """Return how an instance fares that nobody has connected to, and the reason."""
    if instance.state == "pending":
        return Health.STARTING, f"{instance.id} is pending"
    if instance.state != "running":
        reason = f" ({instance.state_reason})" if instance.state_reason else ""
        health = STOPPED.get(instance.state, Health.FAILING)
        return health, f"{instance.id} is {instance.state}{reason}"
    if not instance.address(expected.reach):
        reason = f"{instance.id} has no {expected.reach} address"
        if instance.launched_at is not None and now > instance.launched_at + ADDRESS_SECONDS:
            return Health.FAILING, f"{reason}. Remedy: {_ADDRESS_REMEDIES[expected.reach]}"
        return Health.STARTING, reason
    return Health.STARTING, f"{instance.id} is running, and has not been connected to"


_ADDRESS_REMEDIES: Final = {
    "public": "let associate_public_ip be True, or the subnet give public addresses, or reach be "
    "'private'",
    "private": "see which subnet it is in",
}


def judged(kept: Kept, expected: Expectations, now: float) -> Observed:
    """Return how a running instance fares, as far as it can be told from the connection to it."""
    observed = kept.observed()
    if observed.health is Health.READY:
        kept.was_ready = True
        return observed
    if kept.was_ready:
        return observed
    spent = now - kept.since
    if spent < expected.patience:
        return replace(observed, health=Health.STARTING)
    text = f"{kept.id} did not become usable within {spent:.0f} s: {observed.reason}"
    return replace(observed, health=Health.FAILING, reason=text)
