"""A master, or an engine, that is killed in any phase leaves no container without a living row."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from tests.container_lab import ContainerLab
from tests.containers import Engine, engine
from tests.killed import Killed


class _KilledWithContainers(Killed):
    kind: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        directory = Path(tempfile.mkdtemp(prefix="containers-", dir=Path.cwd()))
        cls.lab = ContainerLab(directory, engine(cls.kind))
        cls.addClassCleanup(cls.lab.end)

    @property
    def server(self) -> Engine:
        assert isinstance(self.lab, ContainerLab)
        return self.lab.engine


class TestKilledWithDocker(_KilledWithContainers):
    __test__ = True
    kind = "docker"


class TestKilledWithPodman(_KilledWithContainers):
    __test__ = True
    kind = "podman"
