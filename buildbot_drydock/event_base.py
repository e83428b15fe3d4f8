"""What all events have in common."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

DRYDOCK = "drydock"  # the actor of what nobody in particular did


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    kind: ClassVar[str]
    actor: str = DRYDOCK

    def sentence(self) -> str:
        raise NotImplementedError

    def data(self) -> dict[str, Any]:
        """Return all fields but the actor, as JSON-able values."""
        values = asdict(self)
        del values["actor"]
        return values
