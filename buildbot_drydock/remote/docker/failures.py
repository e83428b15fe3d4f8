"""What an engine says as it cannot run a command in a container, as errors that say what to do."""

from __future__ import annotations

import re
from typing import Any, Final

import docker.errors
import requests

from buildbot_drydock.errors import HostUnreachable

OPENING: Final = "starting a shell"
REACHING: Final = "reaching the engine"

_ENGINE_REMEDY: Final = "see whether the engine runs, and what its log says"
_GONE: Final = re.compile(r"not running|no such container|container state improper|is paused", re.I)

# All that the client library raises when it gets no answer.
NO_ANSWER: Final = (requests.RequestException, OSError)


def said_by(error: BaseException) -> str:
    """Return what an error of the client library says, without what is around it."""
    explanation = getattr(error, "explanation", None)
    if isinstance(explanation, bytes):
        explanation = explanation.decode(errors="replace")
    return str(explanation or error).strip()


def unreachable(shown: str, error: BaseException) -> HostUnreachable:
    """Translate what went wrong as a command was to be run in the container called *shown*."""
    text = said_by(error)
    if not isinstance(error, docker.errors.APIError):
        return _made(shown, REACHING, text, _ENGINE_REMEDY)
    if error.status_code == requests.codes.not_found or _GONE.search(text):
        return _made(shown, OPENING, text, "")
    return _made(shown, OPENING, text, _ENGINE_REMEDY)


def ended(shown: str, state: Any) -> HostUnreachable:
    """Return the error for a container that has ended while a command ran in it."""
    code = state.get("ExitCode")
    reason = (
        "the container has run out of memory"
        if state.get("OOMKilled")
        else (f"the container has ended, with exit code {code}")
    )
    return _made(shown, "running a command", reason, "")


def closed(shown: str) -> HostUnreachable:
    """Return the error for a command that is given up, as the way to the engine is closed."""
    return _made(shown, REACHING, "the way to its engine was closed", "")


def no_shell(shown: str, exit_code: int, said: str) -> HostUnreachable:
    """Return the error for a script that never began."""
    return _made(
        shown,
        OPENING,
        f"it ended with {exit_code}, saying: {said}",
        "give the image /bin/sh, grep, awk and ps, as Debian's and Alpine's have",
    )


def _made(shown: str, phase: str, reason: str, remedy: str) -> HostUnreachable:
    more = f"; {remedy}" if remedy else ""
    return HostUnreachable(
        f"{shown}: {phase}: {reason}{more}", phase=phase, reason=reason, remedy=remedy
    )
