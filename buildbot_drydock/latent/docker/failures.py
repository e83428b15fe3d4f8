"""What an engine says as a call fails, as errors of ours that say what to do. Pure, but for types."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from buildbot_drydock.errors import DrydockError, Misconfigured, NoCapacity, RetryLater


class Cause(Enum):
    """Why a call failed, as far as it matters what is done next."""

    UNREACHABLE = "unreachable"  # no answer: it may have been done, or not
    BARRED = "barred"  # the engine does not let us in, until somebody changes something
    TAKEN = "taken"  # a container has that name
    NO_IMAGE = "no image"  # the engine does not have it
    ABSENT = "absent"  # there is no such container
    LEAVING = "leaving"  # it is being removed already
    FULL = "full"  # the engine has no room for it now
    WRONG = "wrong"  # no such container can be made until somebody changes something
    UNWELL = "unwell"  # whatever else


class CallFailed(Exception):
    """A call failed. ``error`` is what the loop is told if nothing better can be done."""

    def __init__(self, cause: Cause, error: DrydockError) -> None:
        super().__init__(str(error))
        self.cause = cause
        self.error = error


_TAKEN: Final = re.compile(r"name .* already in use|name is already in use", re.S)
_LEAVING: Final = re.compile(r"removal of container .* in progress|being removed", re.I)
_NO_IMAGE: Final = re.compile(r"no such image|image not known|unable to find image", re.I)
_ABSENT: Final = re.compile(r"no such container|no container with name or id", re.I)

# What they say, and what a person can do about it.
_FULL: Final = (
    (r"no space left on device|disk quota exceeded", "free some space there: docker system prune"),
    (r"cannot allocate memory|resource temporarily unavailable", "see what takes its memory"),
    (r"too many open files|too many levels", "raise the limits of its service"),
    (r"no available IPv4|could not find an available|address pools", "give it a larger network"),
    (r"port is already allocated", "see who has that port"),
)
_WRONG: Final = (
    (r"network \S+ not found|find network", "give networks those that the engine has"),
    (
        r"unknown runtime|runtime .* not found|unknown or invalid runtime",
        "give runtime one of the engine's",
    ),
    (r"capabilit|CapAdd|CapDrop", "give cap_add and cap_drop capabilities such as 'SYS_PTRACE'"),
    (r"memory limit", "give memory more, or None"),
    (r"cpus?\b.*(range|available|greater)|NanoCPU", "give cpus no more than the engine has"),
    (
        r"docker-init|catatonit|init binary|container-init",
        "install tini or catatonit beside the engine, or let init be False",
    ),
    (
        r"executable file not found|exec: .*no such file",
        "give command what the image has, or the image /bin/sh",
    ),
    (
        r"unable to find user|no matching entries in passwd|unable to find group",
        "give user one that the image has, or its number",
    ),
    (
        r"mount|volume|bind source",
        "give volumes, caches and tmpfs what the engine has, and the image can take",
    ),
    (r"invalid reference format", "give image the name of one, such as 'debian:12'"),
    (r"host-gateway|ExtraHosts|extra host", "give extra_hosts names and addresses"),
    (
        r"operation not permitted|permission denied|capset|apply caps",
        "see what the engine is allowed to do",
    ),
    (r"no command specified", "give command what keeps the container running"),
)
_PULL_REFUSED: Final = re.compile(
    r"denied|unauthorized|authentication required|forbidden|manifest unknown|name unknown|"
    r"not found|does not exist|invalid reference|no matching manifest|no basic auth|unsupported",
    re.I,
)
_PULL_LATER: Final = re.compile(r"toomanyrequests|rate limit|too many requests", re.I)
_LIMITED_SECONDS: Final = 60.0
_BAD_REQUEST: Final = 400


def refused(engine: str, doing: str, status: int, text: str) -> CallFailed:
    """Translate what an engine answered."""
    said = f"cannot {doing} on {engine}: {text}"
    for pattern, cause in (
        (_TAKEN, Cause.TAKEN),
        (_LEAVING, Cause.LEAVING),
        (_NO_IMAGE, Cause.NO_IMAGE),
        (_ABSENT, Cause.ABSENT),
    ):
        if pattern.search(text):
            return CallFailed(cause, RetryLater(said))
    remedy = _remedy(_FULL, text)
    if remedy:
        return CallFailed(Cause.FULL, NoCapacity(f"{said}. Remedy: {remedy}"))
    remedy = _remedy(_WRONG, text)
    if remedy or status == _BAD_REQUEST:
        remedy = remedy or "see which field of the blueprint that is about"
        return CallFailed(Cause.WRONG, Misconfigured(f"{said}. Remedy: {remedy}"))
    return CallFailed(Cause.UNWELL, RetryLater(said))


def not_pulled(engine: str, image: str, text: str) -> CallFailed:
    """Translate why an image could not be pulled."""
    said = f"cannot pull {image} to {engine}: {text}"
    remedy = _remedy(_FULL, text)
    if remedy:
        return CallFailed(Cause.FULL, NoCapacity(f"{said}. Remedy: {remedy}"))
    if _PULL_LATER.search(text):
        return CallFailed(Cause.UNWELL, RetryLater(said, after=_LIMITED_SECONDS))
    if _PULL_REFUSED.search(text):
        remedy = (
            "see whether its registry has the image by that name, and let the master's user log in "
            "there: docker login"
        )
        return CallFailed(Cause.WRONG, Misconfigured(f"{said}. Remedy: {remedy}"))
    return CallFailed(Cause.UNWELL, RetryLater(said))


def missing(engine: str, image: str) -> CallFailed:
    """Return what an image means that an engine does not have, and that is never pulled."""
    text = (
        f"{engine} has no image {image}, and pull is 'never'. Remedy: load the image there, or let "
        "pull be 'missing'"
    )
    return CallFailed(Cause.WRONG, Misconfigured(text))


def taken(engine: str, name: str) -> CallFailed:
    """Return what a container means that has our name, and is somebody else's."""
    text = (
        f"{engine} has a container named {name} that is not of this blueprint. Remedy: rename or "
        "remove it there"
    )
    return CallFailed(Cause.WRONG, Misconfigured(text))


def silent(engine: str, doing: str, text: str) -> CallFailed:
    """Translate that there was no answer."""
    said = f"cannot {doing} on {engine}: {text}"
    if re.search(r"Permission ?denied|PermissionError", text):
        remedy = "let the master's user use the engine's socket: add it to the group docker"
        return CallFailed(Cause.BARRED, Misconfigured(f"{said}. Remedy: {remedy}"))
    if re.search(r"CERTIFICATE|certificate|TLS|SSL", text):
        remedy = "see which certificates ca, cert and key name, and when they end"
        return CallFailed(Cause.BARRED, Misconfigured(f"{said}. Remedy: {remedy}"))
    remedy = "see whether the engine runs, and what its log says"
    return CallFailed(Cause.UNREACHABLE, RetryLater(f"{said}. Remedy: {remedy}"))


def _remedy(table: tuple[tuple[str, str], ...], text: str) -> str:
    found = (remedy for pattern, remedy in table if re.search(pattern, text, re.I))
    return next(found, "")
