"""A real master process, with a pool of containers of a real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from buildbot_drydock.latent.docker.fields import OUR_LABELS
from tests.containers import Engine
from tests.lab import LIVING, ROOT, Lab, Ports, Request

SIGNS: Final = "/signs"  # in the containers


class SignLab(Lab):
    """A master whose builds give signs, and take them, in a directory of this machine."""

    config = ROOT / "tests" / "container_lab.cfg"

    def prepare(self, directory: Path, ports: Ports, settings: dict[str, Any]) -> dict[str, Any]:
        """Take a name and ports; return what is usual, whatever the containers are."""
        self.machines = {}
        self.name = f"lab{uuid4().hex[:12]}"  # so no other lab's containers are counted
        self.ports = ports
        self.signs = directory.with_name(f"{directory.name}-signs")
        self.signs.mkdir()
        return {
            "name": self.name,
            "workers": {
                "size": 4,
                "build_wait_timeout": 0,
                "login_timeout": 60,
                "reconnect_timeout": 20,
                "stop_timeout": 10,
                "max_start_attempts": 20,
                "masterFQDN": ports.address,
            },
            "drydock": {"lease_seconds": 20, "renew_interval": 2},
            "worker_port": f"tcp:{ports.workers}:interface={ports.address}",
            "web_port": f"tcp:{ports.web}:interface=127.0.0.1",
            "url": ports.url,
            **settings,
        }

    # --- builds ------------------------------------------------------------------------------

    def held(self, sign: str) -> Request:
        """Ask for a build that goes on until it is let go."""
        command = f"touch {SIGNS}/begun-{sign}; until [ -e {SIGNS}/go-{sign} ]; do sleep 0.1; done"
        return self.request(command=command)

    def has_begun(self, sign: str) -> bool:
        return (self.signs / f"begun-{sign}").exists()

    def let_go(self, sign: str) -> None:
        (self.signs / f"go-{sign}").touch()

    # --- containers --------------------------------------------------------------------------

    def found(self) -> dict[str, str]:
        """Return what there is, by token, and its state."""
        raise NotImplementedError

    def strays(self) -> list[str]:
        """Return what no living row accounts for."""
        found = self.found()
        rows = self.query(f"SELECT token FROM drydock_resources WHERE status IN {LIVING}")
        living = {token for (token,) in rows}
        return [f"{token}: {state}" for token, state in found.items() if token not in living]

    def is_at_rest(self) -> bool:
        """Tell whether nothing is left, neither a container nor a living row."""
        rows = self.query(f"SELECT id FROM drydock_resources WHERE status IN {LIVING}")
        return not rows and not self.found()


class ContainerLab(SignLab):
    """A master in *directory*. *settings* go to ``tests/container_lab.cfg``, group by group."""

    def __init__(self, directory: Path, engine: Engine, **settings: Any) -> None:
        self.engine = engine
        usual = self.prepare(
            directory,
            Ports("127.0.0.1"),
            {
                "kind": "DockerPool",
                "pool": {
                    "hosts": [engine.url],
                    "image": engine.image,
                    "networks": ["host"],
                    "pull": "never",
                    "worker_version": "",
                    "limit": 4,
                    "poll_interval": 0.2,
                    "sweep_interval": 1.0,
                    "stop_grace": 1.0,
                },
            },
        )
        usual["pool"]["volumes"] = [f"{self.signs}:{SIGNS}"]
        self.begin(directory, usual, settings)

    def containers(self) -> list[dict[str, Any]]:
        return self.engine.containers(f"{OUR_LABELS}blueprint={self.name}")

    def found(self) -> dict[str, str]:
        return {each["Labels"][f"{OUR_LABELS}token"]: each["State"] for each in self.containers()}

    def end(self) -> None:
        """Stop the master, if it runs, and remove what it left."""
        if self.master.process is not None:
            self.master.kill()
        for each in self.containers():
            self.engine.remove(each["Id"])
