"""What programs on a machine say as they fail, as errors that say what to do."""

from __future__ import annotations

import re
from typing import Final

from buildbot_drydock.errors import HostError

WORKING: Final = "entering its directory"

_SHOWN: Final = 500  # characters of what a machine said, in an error

# What they say, and what a person can do about it.
_REMEDIES: Final = (
    (r"No space left on device|Disk quota exceeded", "free some space there"),
    (r"Read-only file system", "mount it writable, and look for the disk error before"),
    (
        r"[Cc]annot fork|Resource temporarily unavailable|fork: retry|Cannot allocate memory",
        "its process table or memory is full: end processes there, or raise the user's limit",
    ),
    (r"Permission denied|Operation not permitted", "let the user have it, or name another user"),
    (r"not found|No such file or directory", "see whether it is installed there, or was removed"),
    (r"Input/output error", "look for a failing disk"),
    (r"Stale file handle", "mount the file server's directory there anew"),
)


def failed(shown: str, doing: str, said: bytes) -> HostError:
    """Translate what a program said as it failed on the machine that is called *shown*."""
    text = said_text(said)
    remedy = remedy_for(text)
    return HostError(f"cannot {doing} on {shown}: {text}" + (f"; {remedy}" if remedy else ""))


def said_text(said: bytes) -> str:
    """Return the end of what was said."""
    return said.decode(errors="replace").strip()[-_SHOWN:] or "nothing"


def remedy_for(text: str) -> str:
    """Return what to do about what was said; empty if that is not known."""
    return next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, text)), "")
