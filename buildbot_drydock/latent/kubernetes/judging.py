"""How a pod fares, and what is to be done if that is badly. Pure.

The reasons are those of the kubelet and of Kubernetes' control plane (``kubernetes/kubernetes``,
``pkg/kubelet/images/types.go``, ``pkg/kubelet/container/sync_result.go``, ``pkg/kubelet/eviction``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from buildbot_drydock.errors import DrydockError, Misconfigured, NoCapacity, RetryLater
from buildbot_drydock.latent.kubernetes.listing import Condition, ContainerState, Pod
from buildbot_drydock.model import Health

# How much longer than its grace a pod may take to end, before that is told.
OVERDUE_SECONDS: Final = 30.0

_IMAGE: Final = (
    *("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"),
    *("ImageInspectError", "RegistryUnavailable"),
)
_CONTAINER: Final = (
    *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
    *("ContainerCannotRun", "StartError", "CrashLoopBackOff", "PreCreateHookError"),
    *("PostStartHookError", "PreStartHookError"),
)
_UNWELL_REGISTRY: Final = re.compile(
    r"time-?out|timed out|connection refused|connection reset|no such host|no route to host|"
    r"toomanyrequests|too many requests|temporary failure|service unavailable|EOF|i/o|"
    r"network is unreachable|50[0234] ",
    re.I,
)
# A pod that a node, or the control plane, has ended or not let in, by the reason of the whole pod.
_TAKEN_AWAY: Final = {
    "Evicted": "was evicted by its node",
    "Preempting": "was preempted by its node",
    "Preempted": "was preempted",
    "NodeLost": "was on a node that does not answer",
    "NodeShutdown": "was ended as its node was shut down",
    "Terminated": "was ended as its node was shut down",
    "Shutdown": "was ended as its node was shut down",
    "NodeAffinity": "was not let in by its node",
    "UnexpectedAdmissionError": "was not let in by its node",
}
_NO_ROOM: Final = re.compile(r"OutOf\w+")
_KILLED: Final = 137
_ENDED_FROM_OUTSIDE: Final = (_KILLED, 143)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How a pod fares. ``error`` is what a launch fails with that came to this."""

    health: Health
    reason: str = ""
    error: DrydockError | None = None
    wants_events: bool = False  # they may say more
    wants_log: bool = False
    is_losing_its_node: bool = False  # it may run on, and come back

    @property
    def runs(self) -> bool:
        return self.health is Health.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was asked for about one pod, beside its own state."""

    events: str = ""  # the last that is of interest
    log: str = ""  # the end of what its container wrote


def judged(
    pod: Pod, container: str, now: float, *, unschedulable_timeout: float = 0.0, told: Told = Told()
) -> Judgement:
    """Tell how a pod fares in whose *container* workers run. What told about it is taken in."""
    if pod.is_leaving:
        return _leaving(pod, now, told)
    if pod.has_ended:
        return _ended(pod, pod.container(container), told)
    place = pod.conditions.get("PodScheduled")
    if place is not None and not place.status and not pod.node:
        return _unplaced(pod, place, now, unschedulable_timeout)
    for each in pod.containers:
        found = _stuck(pod, each, told)
        if found is not None:
            return found
    return _under_way(pod, pod.container(container), told)


def _under_way(pod: Pod, container: ContainerState, told: Told) -> Judgement:
    name = f"pod {pod.name}"
    if container.exit_code is not None:
        return _ended(pod, container, told)
    if _is_node_silent(pod):
        reason = f"{name}: its node {pod.node} does not answer. Remedy: see whether it still runs"
        if container.is_running:
            return Judgement(health=Health.READY, reason=reason, is_losing_its_node=True)
        return Judgement(health=Health.FAILING, reason=reason, error=RetryLater(reason))
    if container.is_running:
        return Judgement(health=Health.READY)
    doing = " ".join(filter(None, (container.reason or "waits for its node", container.message)))
    if told.events:
        doing = f"{doing}; {told.events}"
    return Judgement(health=Health.STARTING, reason=f"{name}: {doing}", wants_events=True)


def _is_node_silent(pod: Pod) -> bool:
    """Tell whether the control plane has given up on the node: then it calls its pods not ready."""
    ready, containers = pod.conditions.get("Ready"), pod.conditions.get("ContainersReady")
    return (
        ready is not None
        and containers is not None
        and not ready.status
        and containers.status
        and ready.reason != "ReadinessGatesNotReady"
    )


# --- why it does not begin ------------------------------------------------------------------------


def _unplaced(pod: Pod, place: Condition, now: float, patience: float) -> Judgement:
    if place.reason != "Unschedulable":
        reason = f"pod {pod.name} waits for its node: {place.reason} {place.message}".rstrip()
        return Judgement(health=Health.STARTING, reason=reason)
    said = f"pod {pod.name} is unschedulable: {place.message}"
    if re.search(r"persistentvolumeclaim .* not found", place.message):
        text = f"{said}. Remedy: give volumes a claim that the namespace has"
        return Judgement(health=Health.FAILING, reason=text, error=Misconfigured(text))
    since = place.since if place.since is not None else pod.created_at
    if since is not None and now - since < patience:
        return Judgement(health=Health.STARTING, reason=said)
    return Judgement(health=Health.FAILING, reason=said, error=NoCapacity(said))


def _stuck(pod: Pod, container: ContainerState, told: Told) -> Judgement | None:
    """Return what keeps a container of a pod from beginning, if there is anything."""
    said = f"pod {pod.name}, container {container.name}: {container.reason}: {container.message}"
    if container.is_initial and container.exit_code:
        text = (
            f"pod {pod.name}: its first container {container.name} ended with exit code "
            f"{container.exit_code}. Remedy: see what it does; it is in pod"
        )
        return Judgement(health=Health.FAILING, reason=text, error=Misconfigured(text))
    if not container.waits:
        return None
    if container.reason in _IMAGE:
        return _without_image(said, container, told)
    if container.reason in _CONTAINER:
        return _misconfigured(said, _remedy_for_container(container.message))
    return None


def _without_image(said: str, container: ContainerState, told: Told) -> Judgement:
    backs_off = container.reason == "ImagePullBackOff"
    cause = f"{container.message} {told.events}" if backs_off else container.message
    text = f"{said}; {told.events}" if backs_off and told.events else said
    if container.reason == "RegistryUnavailable" or _UNWELL_REGISTRY.search(cause):
        error: DrydockError = RetryLater(text)
        return Judgement(health=Health.FAILING, reason=text, error=error, wants_events=backs_off)
    remedy = (
        "load the image on the nodes, or give image_pull_policy another"
        if container.reason == "ErrImageNeverPull"
        else "see whether its registry has the image by that name, and give image_pull_secrets what "
        "it asks for"
    )
    return _misconfigured(text, remedy, wants_events=backs_off)


def _misconfigured(said: str, remedy: str, *, wants_events: bool = False) -> Judgement:
    text = f"{said}. Remedy: {remedy}"
    return Judgement(
        health=Health.FAILING, reason=text, error=Misconfigured(text), wants_events=wants_events
    )


def _remedy_for_container(message: str) -> str:
    table = (
        (
            r"will run as root|non-numeric user|runAsNonRoot",
            "give run_as_user a number, such as 1000",
        ),
        (r"(secret|configmap) .*not found", "make it in the namespace, or take it out of pod"),
        (
            r"executable file not found|no such file or directory",
            "give pod a command that the image has, or the image /bin/sh",
        ),
        (r"unable to find user|no users found", "give run_as_user one that the image has"),
        (r"capabilit", "give cap_add and cap_drop capabilities such as 'SYS_PTRACE'"),
        (r"mount|volume", "give volumes what the node has, and the image can take"),
    )
    found = (remedy for pattern, remedy in table if re.search(pattern, message, re.I))
    return next(found, "see which field of the blueprint, or what in pod, that is about")


# --- why it has ended -----------------------------------------------------------------------------


def _leaving(pod: Pod, now: float, told: Told) -> Judgement:
    name = f"pod {pod.name}"
    if is_overdue(pod, now):
        assert pod.ends_at is not None
        text = (
            f"{name} should have ended {now - pod.ends_at:.0f} s ago, and may still run on node "
            f"{pod.node or 'that is not known'}. {OVERDUE_REMEDY}"
        )
        return Judgement(health=Health.FAILING, reason=text, error=RetryLater(text))
    why = next(_why_ended(pod), "") or told.events
    text = f"{name} is being deleted" + (f": {why}" if why else "")
    return Judgement(health=Health.FAILING, reason=text, error=RetryLater(text), wants_events=True)


OVERDUE_REMEDY: Final = (
    "Remedy: bring the node back; if its machine is gone for good, delete the node from the cluster, and "
    "the pod is gone with it"
)


def is_overdue(pod: Pod, now: float) -> bool:
    """Tell whether a pod that is being deleted should have ended long ago, as on a lost node."""
    return pod.ends_at is not None and now > pod.ends_at + OVERDUE_SECONDS


def _why_ended(pod: Pod) -> Iterator[str]:
    disruption = pod.conditions.get("DisruptionTarget")
    if disruption is not None and disruption.status:
        yield f"{disruption.reason}: {disruption.message}"
    if pod.reason:
        yield f"{_TAKEN_AWAY.get(pod.reason, pod.reason)}: {pod.message}".rstrip(": ")


def _ended(pod: Pod, container: ContainerState, told: Told) -> Judgement:
    """Judge a pod that has ended, or whose container for workers has."""
    name = f"pod {pod.name}"
    of_pod = _end_of_pod(pod)
    if of_pod is not None:
        return of_pod
    error: type[DrydockError] = RetryLater
    code = container.exit_code
    if container.reason == "OOMKilled":
        text = (
            f"{name} ran out of memory (OOMKilled), and was killed. Remedy: raise limits['memory']"
        )
    elif container.reason in _CONTAINER:
        remedy = _remedy_for_container(container.message)
        return _misconfigured(f"{name} could not be started: {container.message}", remedy)
    elif code is None:
        text = f"{name} has ended ({pod.phase}): {pod.message}".rstrip(": ")
    elif code in _ENDED_FROM_OUTSIDE:
        text = f"{name} was ended from outside (exit code {code})"
    else:
        text = f"{name} ended by itself, with exit code {code}"
        error = Misconfigured
    if told.log:
        text = f"{text}. The last that it wrote:\n{told.log}"
    remedy = "give pod a command that keeps the container running, or none"
    failure = f"{text}\nRemedy: {remedy}" if error is Misconfigured else text
    return Judgement(health=Health.FAILING, reason=text, error=error(failure), wants_log=True)


def _end_of_pod(pod: Pod) -> Judgement | None:
    """Judge a pod that was ended as a whole, and not by what ran in it."""
    name = f"pod {pod.name}"
    if pod.reason == "DeadlineExceeded":
        text = (
            f"{name} was ended, as it has run for longer than its deadline. Remedy: raise deadline"
        )
        return Judgement(health=Health.FAILING, reason=text, error=RetryLater(text))
    why = next(_why_ended(pod), "")
    if pod.reason in _TAKEN_AWAY or _NO_ROOM.fullmatch(pod.reason):
        text = f"{name} {why}" if pod.reason in _TAKEN_AWAY else f"{name} was not let in: {why}"
        return Judgement(health=Health.FAILING, reason=text, error=NoCapacity(text))
    if "DisruptionTarget" in pod.conditions and why:
        text = f"{name} was taken away: {why}"
        return Judgement(health=Health.FAILING, reason=text, error=NoCapacity(text))
    return None
