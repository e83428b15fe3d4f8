"""How what there is is shared among those who ask: what is configured for the whole of Drydock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from buildbot_drydock.quota import Quota

AGEING_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """The rules that hold across all blueprints."""

    quotas: tuple[Quota, ...] = ()
    # Among leases of one priority, those go first whose builder, project or owner has the fewest;
    # ``None`` leaves it at the oldest first.
    fair_share: str | None = "builder"
    # For so many seconds that it waits, a lease counts as of a priority higher by one.
    ageing_seconds: float = AGEING_SECONDS


USUAL: Final = Sharing()
