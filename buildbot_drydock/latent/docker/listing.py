"""What an engine says of containers, as values. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from buildbot_drydock.latent.docker.fields import OUR_LABELS

RUNNING: Final = "running"
# A container that was made, and not started yet. Podman has more words for it.
MADE: Final = ("created", "configured", "initialized")
# One that is on its way out, or that the engine could not remove altogether.
LEAVING: Final = ("removing", "dead")

_FRACTION: Final = re.compile(r"\.\d+")
_NEVER: Final = "0001-01-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container, as its engine lists it."""

    id: str
    token: str
    engine: str  # its URL
    state: str
    created_at: float | None = None
    image: str = ""  # its id

    @property
    def short(self) -> str:
        """What people call it."""
        return self.id[:12]

    @property
    def is_running(self) -> bool:
        return self.state == RUNNING

    @property
    def is_made(self) -> bool:
        return self.state in MADE


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a container ended."""

    exit_code: int
    out_of_memory: bool = False
    error: str = ""  # of the engine, as when it could not start it
    at: float | None = None
    tail: str = ""  # the end of what it wrote


def containers(engine: str, rows: Sequence[Mapping[str, Any]]) -> list[Container]:
    """Read a listing. What has no token is not ours, whatever other labels it has."""
    found = []
    for row in rows:
        token = (row.get("Labels") or {}).get(f"{OUR_LABELS}token", "")
        if token:
            created = row.get("Created")
            found.append(
                Container(
                    id=str(row["Id"]),
                    token=token,
                    engine=engine,
                    state=str(row.get("State") or "").lower(),
                    created_at=float(created) if isinstance(created, int | float) else None,
                    image=str(row.get("ImageID") or ""),
                )
            )
    return found


def end_of(state: Mapping[str, Any], tail: str) -> End:
    """Read the state of a container that was looked at, and what it wrote."""
    return End(
        exit_code=int(state.get("ExitCode") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        at=_seconds(str(state.get("FinishedAt") or "")),
        tail=tail,
    )


def _seconds(text: str) -> float | None:
    """Read a time. Engines give nanoseconds, which Python does not take."""
    if not text or text.startswith(_NEVER):
        return None
    try:
        found = datetime.fromisoformat(_FRACTION.sub("", text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
