"""Why a container has ended, as people are told."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent.docker.failures import CallFailed
from buildbot_drydock.latent.docker.listing import LEAVING, Container, End, end_of

if TYPE_CHECKING:
    from buildbot_drydock.latent.docker.engine import Engine

_TAIL_LINES: Final = 15
_TAIL_CHARACTERS: Final = 1500
# By which the clocks of an engine and of the master may differ.
_CLOCK_SECONDS: Final = 5.0
_RESTART_SECONDS: Final = 120.0
_KILLED: Final = 137
_SIGNALLED: Final = (_KILLED, 143, 255)


class Judge:
    """Looks at each container that has ended, once."""

    def __init__(self, clock: Clock, memory: int | None = None) -> None:
        """*memory* is how much of it, in bytes, a container may use."""
        self._memory = memory
        self._clock = clock
        self._reasons: dict[str, str] = {}  # by container id
        self._by_itself: set[str] = set()  # ids of containers that nothing ended from outside

    async def why_ended(self, engine: Engine, container: Container) -> str:
        """Return why a container is of no use any more."""
        if container.state in LEAVING:
            return f"container {container.short} is being removed"
        if container.state == "paused":
            return f"container {container.short} was paused. Remedy: reclaim it, or unpause it"
        known = self._reasons.get(container.id)
        if known is not None:
            return known
        try:
            end = await engine.call(
                f"look at container {container.short}", lambda client: _end(client, container.id)
            )
        except CallFailed as failed:
            return f"container {container.short} is {container.state} ({failed})"
        reason = sentence(
            container, end, was_restarted=self._was_restarted(engine, end), memory=self._memory
        )
        self._reasons[container.id] = reason
        if end.exit_code not in _SIGNALLED and not end.out_of_memory:
            self._by_itself.add(container.id)
        return reason

    def _was_restarted(self, engine: Engine, end: End) -> bool:
        """Tell whether the end of a container falls into the time in which its engine was away."""
        if engine.silent_since is None or end.at is None:
            return False
        back_at = engine.back_at
        until = self._clock.seconds() if back_at is None else back_at + _RESTART_SECONDS
        return engine.silent_since - _CLOCK_SECONDS <= end.at <= until

    def ended_by_itself(self, number: str) -> bool:
        """Tell whether nothing but what it was told to run has ended a container."""
        return number in self._by_itself

    def forget_all_but(self, ids: Collection[str]) -> None:
        self._reasons = {k: v for k, v in self._reasons.items() if k in ids}
        self._by_itself.intersection_update(ids)


def _end(client: Any, number: str) -> End:
    """Look at a container and at what it wrote. Blocks."""
    state = client.inspect_container(number)["State"]
    try:
        written = client.logs(number, tail=_TAIL_LINES)
    except Exception:  # noqa: BLE001 - some drivers keep no logs; the rest is worth telling
        written = b""
    return end_of(state, bytes(written).decode(errors="replace").strip()[-_TAIL_CHARACTERS:])


def sentence(
    container: Container, end: End, *, was_restarted: bool = False, memory: int | None = None
) -> str:
    """Say how a container ended. Podman 4.3 does not report that it ran out of memory."""
    name = f"container {container.short}"
    if end.out_of_memory:
        text = f"{name} ran out of memory, and was killed. Remedy: give memory more"
    elif was_restarted:
        text = (
            f"{name} ended with exit code {end.exit_code}, as its engine was stopped or restarted"
        )
    elif end.error:
        text = f"{name} could not be started: {end.error}"
    elif end.exit_code == _KILLED and memory is not None:
        text = (
            f"{name} was killed from outside, or ran out of its {memory >> 20} MiB of memory, which "
            "its engine does not report. Remedy: if so, give memory more"
        )
    elif end.exit_code == _KILLED:
        text = f"{name} was killed from outside (exit code {end.exit_code})"
    else:
        text = f"{name} ended by itself, with exit code {end.exit_code}"
    return f"{text}. The last that it wrote:\n{end.tail}" if end.tail else text
