"""That a resource is parked, or woken."""

from __future__ import annotations

from dataclasses import dataclass

from buildbot_drydock.event_base import Event
from buildbot_drydock.model import Power


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcePowerChanged(Event):
    """A resource is to stop or to run, or does so."""

    kind = "resource-power-changed"
    power: str  # what it is now
    reason: str
    seconds: float | None = None  # since the change before, if there was one

    def sentence(self) -> str:
        took = "" if self.seconds is None else f", {self.seconds:.1f} s after it was to be"
        match Power(self.power):
            case Power.PARKING:
                return f"The host is being parked: {self.reason}."
            case Power.PARKED:
                return f"The host is parked{took}: {self.reason}."
            case Power.WAKING:
                return f"The host is being woken: {self.reason}."
            case Power.RUNNING:
                return f"The host runs again{took}: {self.reason}."
