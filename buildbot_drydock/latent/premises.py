"""What Drydock looks at, and leaves, on a listed machine.

A file there, the *marker*, says who uses the machine: which installation of Drydock, and for which
resource. It is what a restarted master, or another one, knows a machine by.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from buildbot_drydock.errors import HostError
from buildbot_drydock.interfaces import Host

MARKER: Final = "owner.json"
# What all processes of a resource on a listed machine bear, besides the mark of the resource.
OWNER_MARK: Final = "DRYDOCK_OWNER"

_SECONDS: Final = 30.0  # for a script that only looks, or moves a file
_REMOVAL_SECONDS: Final = 600.0  # for one that removes build directories

# Each prints what it found, one `name=value` a line. POSIX, as the login shell may be any.
LOOK: Final = """\
mkdir -p "$1" && cd "$1" || exit 70
echo "directory=$(pwd -P)"
echo "time=$(date +%s)"
echo "system=$(uname -sm)"
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) ||
    boot=$(sysctl -n kern.bootsessionuuid 2>/dev/null) || boot=
echo "boot=$boot"
echo "free=$(df -Pk . 2>/dev/null | awk 'NR == 2 { print $4 }')"
printf 'marker='
if [ -e owner.json ]; then tr -d '\\n' < owner.json; fi
echo
"""
# A link to a name that is taken fails, so one of several that claim at once succeeds.
CLAIM: Final = """\
cd "$1" || exit 70
umask 077
cat > "owner.json.$$" || { rm -f "owner.json.$$"; exit 71; }
if ln "owner.json.$$" owner.json 2>/dev/null; then answer=taken
elif grep -q "\\"token\\": \\"$2\\"" owner.json; then
    mv -f "owner.json.$$" owner.json && answer=taken || exit 71
else answer=refused
fi
rm -f "owner.json.$$"
echo "claim=$answer"
"""
UNCLAIM: Final = """\
cd "$1" 2>/dev/null || exit 0
if grep -q "\\"token\\": \\"$2\\"" owner.json 2>/dev/null; then rm -f owner.json; fi
"""
# A directory is a worker's if it holds a worker's configuration. Builds leave read-only files.
WIPE: Final = """\
cd "$1" 2>/dev/null || exit 0
for each in ./*-$2; do
    if [ -f "$each/buildbot.tac" ] && [ ! -L "$each" ]; then
        rm -rf "$each" 2>/dev/null || { chmod -R u+rwX "$each"; rm -rf "$each" || exit 72; }
    fi
done
"""
OWNERS: Final = """\
cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep '^DRYDOCK_OWNER=' | sort -u
exit 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """What the file on a machine says."""

    installation: str
    token: str
    since: float  # when it was taken into use
    boot: str = ""  # which run of the machine that was in; empty where that cannot be told
    start: str = ""  # which start of it by its provider; empty where nobody tells
    ready: bool = False  # whether all that earlier resources left had been ended
    python: str = ""
    port: int = 0  # of the tunnel, on the machine; 0 without one

    def content(self) -> bytes:
        return json.dumps(
            {
                "installation": self.installation,
                "token": self.token,
                "since": self.since,
                "boot": self.boot,
                "start": self.start,
                "ready": self.ready,
                "python": self.python,
                "port": self.port,
                "note": "Written by Buildbot Drydock, which uses this machine.",
            }
        ).encode()

    @property
    def owner(self) -> str:
        return owner(self.installation, self.token)


def owner(installation: str, token: str) -> str:
    """Return the value of the mark ``OWNER_MARK``."""
    return f"{installation}/{token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a machine told of itself."""

    at: float  # by our clock
    directory: str  # without links
    system: str = ""  # such as "Linux x86_64"
    boot: str = ""
    free_bytes: int | None = None
    clock_ahead: float = 0.0  # seconds, of ours
    marker: Marker | None = None
    unreadable: str = ""  # what stands in a marker's place, if it is none

    def marked(self, marker: Marker | None) -> Look:
        return replace(self, marker=marker)

    def is_other_boot(self, marker: Marker) -> bool:
        """Tell whether the machine was restarted after the marker was written."""
        return bool(self.boot and marker.boot and self.boot != marker.boot)


async def look(home: Host, directory: str, now: float) -> Look:
    """Look at a machine. *home* is the login's directory."""
    found = await _script(home, LOOK, [directory], what=f"look at {directory}")
    marker = unreadable = None
    if found.get("marker"):
        marker = _marker(found["marker"])
        unreadable = None if marker else found["marker"][:200]
    return Look(
        at=now,
        directory=found.get("directory") or directory,
        system=found.get("system", ""),
        boot=found.get("boot", ""),
        free_bytes=int(found["free"]) * 1024 if found.get("free", "").isdigit() else None,
        clock_ahead=float(found["time"]) - now if found.get("time", "").isdigit() else 0.0,
        marker=marker,
        unreadable=unreadable or "",
    )


async def claim(home: Host, directory: str, marker: Marker) -> bool:
    """Write the marker, if none of another resource is there; tell whether that was so."""
    arguments = [directory, marker.token]
    what = f"write {directory}/{MARKER}"
    found = await _script(home, CLAIM, arguments, what=what, stdin=marker.content())
    return found.get("claim") == "taken"


async def unclaim(home: Host, directory: str, token: str) -> None:
    """Remove the marker, if it is of this resource."""
    await _script(home, UNCLAIM, [directory, token], what=f"remove {directory}/{MARKER}")


async def wipe(home: Host, directory: str, slot: int | None = None) -> None:
    """Remove the build directories of one slot, or of all."""
    which = "*" if slot is None else str(slot)
    what = f"remove the build directories in {directory}"
    await _script(home, WIPE, [directory, which], what=what, seconds=_REMOVAL_SECONDS)


async def owners(home: Host) -> frozenset[str]:
    """Return the owners that the living processes of the login are marked with."""
    completed = await home.run(["sh", "-c", OWNERS, "sh"], timeout=_SECONDS)
    lines = completed.stdout.decode(errors="replace").splitlines()
    return frozenset(line.partition("=")[2] for line in lines if line.startswith(OWNER_MARK))


async def _script(
    home: Host,
    script: str,
    arguments: Sequence[str],
    *,
    what: str,
    stdin: bytes = b"",
    seconds: float = _SECONDS,
) -> dict[str, str]:
    """Run a script and return what it printed. Raises ``HostError`` if it fails."""
    argv = ["sh", "-c", script, "sh", *arguments]
    completed = await home.run(argv, timeout=seconds, stdin=stdin)
    if completed.exit_code:
        said = completed.stderr.decode(errors="replace").strip() or f"exit {completed.exit_code}"
        raise HostError(f"cannot {what}: {said.splitlines()[-1]}")
    lines = completed.stdout.decode(errors="replace").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _marker(text: str) -> Marker | None:
    try:
        content: Any = json.loads(text)
        return Marker(
            installation=str(content["installation"]),
            token=str(content["token"]),
            since=float(content["since"]),
            boot=str(content.get("boot", "")),
            start=str(content.get("start", "")),
            ready=bool(content.get("ready", False)),
            python=str(content.get("python", "")),
            port=int(content.get("port", 0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
