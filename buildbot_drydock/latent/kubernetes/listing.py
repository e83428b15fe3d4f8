"""What a cluster says of pods, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from buildbot_drydock.latent.kubernetes.fields import OUR_LABELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One of the things that hold for a pod, or don't."""

    status: bool
    reason: str = ""
    message: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """How one container of a pod fares."""

    name: str
    is_running: bool = False
    waits: bool = False
    exit_code: int | None = None  # once it has ended
    reason: str = ""  # why it waits, or has ended
    message: str = ""
    image: str = ""  # its id
    is_initial: bool = False  # it ends before the others begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod, as its cluster lists it."""

    name: str
    uid: str
    token: str
    blueprint: str = ""
    node: str = ""
    phase: str = ""
    reason: str = ""  # of the whole pod, such as that it was evicted
    message: str = ""
    created_at: float | None = None
    ends_at: float | None = None  # when its grace ends, once it is being deleted
    conditions: Mapping[str, Condition] = field(default_factory=dict)  # by type
    containers: tuple[ContainerState, ...] = ()

    @property
    def is_leaving(self) -> bool:
        return self.ends_at is not None

    @property
    def has_ended(self) -> bool:
        return self.phase in ("Failed", "Succeeded")

    def container(self, name: str) -> ContainerState:
        found = (each for each in self.containers if each.name == name and not each.is_initial)
        return next(found, ContainerState(name=name))


def pod_of(found: Mapping[str, Any]) -> Pod:
    """Read one pod."""
    metadata, status = found.get("metadata") or {}, found.get("status") or {}
    labels = metadata.get("labels") or {}
    return Pod(
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        token=str(labels.get(f"{OUR_LABELS}token") or ""),
        blueprint=str(labels.get(f"{OUR_LABELS}blueprint") or ""),
        node=str((found.get("spec") or {}).get("nodeName") or ""),
        phase=str(status.get("phase") or ""),
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or ""),
        created_at=seconds(metadata.get("creationTimestamp")),
        ends_at=seconds(metadata.get("deletionTimestamp")),
        conditions={
            str(each.get("type")): Condition(
                status=each.get("status") == "True",
                reason=str(each.get("reason") or ""),
                message=str(each.get("message") or ""),
                since=seconds(each.get("lastTransitionTime")),
            )
            for each in status.get("conditions") or ()
        },
        containers=(
            *(_state(each, True) for each in status.get("initContainerStatuses") or ()),
            *(_state(each, False) for each in status.get("containerStatuses") or ()),
        ),
    )


def pods_in(items: Sequence[Mapping[str, Any]]) -> list[Pod]:
    """Read a listing. What has no token is not ours, whatever other labels it has."""
    return [each for each in map(pod_of, items) if each.token and each.uid]


def _state(status: Mapping[str, Any], is_initial: bool) -> ContainerState:
    state = status.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    told = ended or waiting or {}
    return ContainerState(
        name=str(status.get("name") or ""),
        is_running="running" in state,
        waits=waiting is not None,
        exit_code=None if ended is None else int(ended.get("exitCode") or 0),
        reason=str(told.get("reason") or ""),
        message=str(told.get("message") or ""),
        image=str(status.get("imageID") or ""),
        is_initial=is_initial,
    )


def seconds(text: object) -> float | None:
    """Read a time as Kubernetes writes it."""
    if not isinstance(text, str) or not text:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
