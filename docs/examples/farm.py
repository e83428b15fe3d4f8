"""A stand-in for the client library of some cloud, so that the tutorial's provider runs.

The machines of this farm are directories on this computer. As most such libraries do, it blocks,
and raises exceptions of its own.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from buildbot_drydock.remote.processes import RESOURCE_MARK, marked


class FarmError(Exception):
    """What its service answers if something is wrong."""


class NoMachineLeft(FarmError):
    """All machines of the farm are in use."""


class NotAllowed(FarmError):
    """The farm does not know who is asking."""


@dataclass(frozen=True)
class Machine:
    name: str
    serial: str
    started_at: float
    is_up: bool
    disk: str
    price: float  # USD per hour
    wanted_back_at: float | None  # when the farm takes it away


class Farm:
    def __init__(self, path: str, capacity: int = 100) -> None:
        self._path = Path(path)
        self._capacity = capacity

    def machines(self) -> list[Machine]:
        self._log_in()
        return [self._machine(each) for each in sorted(self._path.iterdir())]

    def start(self, name: str) -> None:
        """Start a machine, unless there is one of this name."""
        self._log_in()
        if not (self._path / name).exists() and len(self.machines()) >= self._capacity:
            raise NoMachineLeft(f"{self._capacity} machines are in use")
        (self._path / name / "disk").mkdir(parents=True, exist_ok=True)

    def stop(self, serial: str) -> None:
        """Switch a machine off and wipe it; nothing if there is none."""
        self._log_in()
        for machine in self.machines():
            if machine.serial == serial:
                for process in marked(RESOURCE_MARK, machine.disk):
                    process.kill()
                shutil.rmtree(self._path / machine.name, ignore_errors=True)

    def _log_in(self) -> None:
        if not self._path.is_dir():
            raise NotAllowed(f"there is no farm at {self._path}")

    def _machine(self, path: Path) -> Machine:
        status = path.stat()
        notice = path / "wanted-back-at"
        return Machine(
            name=path.name,
            serial=f"serial-{status.st_ino}",
            started_at=status.st_mtime,
            is_up=(path / "disk").is_dir(),
            disk=str(path / "disk"),
            price=0.05,
            wanted_back_at=float(notice.read_text()) if notice.exists() else None,
        )
