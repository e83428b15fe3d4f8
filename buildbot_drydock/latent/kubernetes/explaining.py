"""What more a cluster knows of a pod that fares badly: its events, and what it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from buildbot_drydock.latent.kubernetes.failures import CallFailed
from buildbot_drydock.latent.kubernetes.judging import Judgement, Told
from buildbot_drydock.latent.kubernetes.listing import Pod

if TYPE_CHECKING:
    from buildbot_drydock.latent.kubernetes.cluster import Cluster

# Events that tell why a pod is taken away, before all warnings.
_TELLING: Final = ("Preempted", "Evicted", "TaintManagerEviction", "NodeNotReady")
_NOISE: Final = ("MissingClusterDNS", "DNSConfigForming")  # that have nothing to do with it
_BARE: Final = ("BackOff", "Failed")  # of pulling; what they repeat has been told with its cause


class Explanations:
    """Asks once for each pod and state that it is in."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._told: dict[str, tuple[Pod, Told]] = {}  # by uid
        self._kept: dict[str, str] = {}
        self._leaving: set[str] = set()  # uids of those whose kept reason is of their deletion

    async def told(self, pod: Pod, container: str, judgement: Judgement) -> Told:
        """Return what the cluster tells of a pod in this state. What it refuses to tell is said."""
        known = self._told.get(pod.uid)
        if known is not None and known[0] == pod:
            return known[1]
        events = log = ""
        if judgement.wants_events:
            try:
                events = last_telling(await self._cluster.events(pod.uid))
            except CallFailed as failed:
                events = f"({failed})"
        if judgement.wants_log:
            try:
                log = await self._cluster.log(pod.name, container)
            except CallFailed as failed:
                log = f"({failed})"
        told = Told(events=events, log=log)
        self._told[pod.uid] = (pod, told)
        return told

    def keep(self, pod: Pod, reason: str) -> None:
        """Remember why a pod is of no use, for when it is gone: that it is being deleted says less."""
        if pod.is_leaving and pod.uid not in self._kept:
            self._leaving.add(pod.uid)
        if not pod.is_leaving or pod.uid in self._leaving:
            self._kept[pod.uid] = reason

    def ask_again(self, uid: str) -> None:
        """Forget what was told of a pod, as there may be more by now."""
        self._told.pop(uid, None)

    def forget(self, uid: str) -> str:
        """Return what is remembered of a pod that is gone, for the last time."""
        self._told.pop(uid, None)
        self._leaving.discard(uid)
        return self._kept.pop(uid, "")


def last_telling(events: Sequence[Mapping[str, Any]]) -> str:
    """Return the last of a pod's events that tells why something is wrong; empty if none does."""
    telling = [
        each
        for each in events
        if each.get("type") == "Warning" and each.get("reason") not in _NOISE
    ]
    taken = [each for each in events if each.get("reason") in _TELLING]
    # That pulling is put off says less than why it failed.
    better = [each for each in telling if len(str(each.get("message") or "").split(":")) > 2]
    plain = [each for each in telling if each.get("reason") not in _BARE]
    chosen = taken or plain or better or telling
    if not chosen:
        return ""
    last = chosen[-1]
    return f"{last.get('reason')}: {last.get('message')}"
