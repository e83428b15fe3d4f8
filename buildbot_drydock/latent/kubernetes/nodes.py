"""Nodes on which pods should have ended long ago, as people are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from buildbot_drydock.events import Event, HostLost, HostReturned
from buildbot_drydock.latent.kubernetes.judging import OVERDUE_REMEDY, is_overdue
from buildbot_drydock.latent.kubernetes.listing import Pod


class Nodes:
    """Reports each node that does not end its pods, and that it does again."""

    def __init__(self, report: Callable[[Event], None]) -> None:
        self._report = report
        self._lost: dict[str, float] = {}  # since when, by name

    def note(self, pods: Iterable[Pod], now: float) -> None:
        """Take note of all pods that there are."""
        overdue = {each.node: each for each in pods if is_overdue(each, now)}
        for node, pod in overdue.items():
            if node not in self._lost:
                self._lost[node] = now
                remedy = OVERDUE_REMEDY.removeprefix("Remedy: ")
                reason = (
                    f"pod {pod.name} was deleted and may still run there, so its place is not free"
                )
                self._report(HostLost(host=node, phase="ending pods", reason=reason, remedy=remedy))
        for node in [each for each in self._lost if each not in overdue]:
            self._report(HostReturned(host=node, seconds=now - self._lost.pop(node)))
