"""What a cluster says as it cannot run a command in a pod, as errors that say what to do. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from buildbot_drydock.errors import HostUnreachable

OPENING: Final = "starting a shell"
REACHING: Final = "reaching the cluster"

UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403

_REMEDY: Final = "see whether the API server and the pod's node run, and what their logs say"
_GONE: Final = re.compile(r"not found|completed pod|not running|not created or running", re.I)
_MISSING_RIGHT: Final = re.compile(
    r'User "(?P<who>[^"]*)" cannot (?P<verb>\S+) resource "(?P<what>[^"]*)"'
    r'(?: in API group "[^"]*")?(?: in the namespace "(?P<where>[^"]*)")?'
)


def said_in(body: object) -> str:
    """Return the message of a ``Status`` that the API server answered with, or the whole answer."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        status: Any = json.loads(text)
    except ValueError:
        return text.strip()
    message = status.get("message") if isinstance(status, dict) else None
    return str(message or text).strip()


def remedy_of_access(status: int, said: str) -> str:
    """Return what to do about an answer that refuses access; empty for any other."""
    missing = _MISSING_RIGHT.search(said)
    if missing is not None:
        where = f" in the namespace {missing['where']}" if missing["where"] else ""
        return (
            f"let a Role{where} that is bound to {missing['who']} have the verb '{missing['verb']}' "
            f"for '{missing['what']}', as the one in docs/kubernetes.md has"
        )
    if status == UNAUTHORIZED:
        return "see which credentials kubeconfig and context name, and when they expire"
    return ""


def refused(shown: str, status: int, said: str) -> HostUnreachable:
    """Translate why a command was not begun in the pod that is called *shown*."""
    access = remedy_of_access(status, said)
    if access:
        return _made(shown, OPENING, said, access, lasting=True)
    return _made(shown, OPENING, said, "" if _GONE.search(said) else _REMEDY)


def lost(shown: str, said: str) -> HostUnreachable:
    """Return the error for a connection that cannot be made, or breaks."""
    return _made(shown, REACHING, said, _REMEDY)


def ended(shown: str, said: str) -> HostUnreachable:
    """Return the error for a pod that has ended while a command ran in it."""
    reason = f"the pod has ended, or is about to ({said})"
    return _made(shown, "running a command", reason, "")


def closed(shown: str) -> HostUnreachable:
    """Return the error for a command that is given up, as the way to the cluster is closed."""
    return _made(shown, REACHING, "the way to its cluster was closed", "")


def no_shell(shown: str, exit_code: int, said: str) -> HostUnreachable:
    """Return the error for a script that never began."""
    return _made(
        shown,
        OPENING,
        f"it ended with {exit_code}, saying: {said}",
        "give the image /bin/sh, grep, awk and ps, as Debian's and Alpine's have",
    )


def _made(
    shown: str, phase: str, reason: str, remedy: str, *, lasting: bool = False
) -> HostUnreachable:
    more = f"; {remedy}" if remedy else ""
    return HostUnreachable(
        f"{shown}: {phase}: {reason}{more}",
        phase=phase,
        reason=reason,
        remedy=remedy,
        lasting=lasting,
    )
