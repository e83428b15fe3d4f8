"""A real master process, with a pool of containers of a real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from buildbot_drydock.latent.docker.fields import OUR_LABELS
from tests.containers import Engine
from tests.lab import LIVING, ROOT, Lab, Ports, Request

_SIGNS: Final = "/signs"  # in the containers


class ContainerLab(Lab):
    """A master in *directory*. *settings* go to ``tests/container_lab.cfg``, group by group."""

    config = ROOT / "tests" / "container_lab.cfg"

    def __init__(self, directory: Path, engine: Engine, **settings: Any) -> None:
        self.machines = {}
        self.engine = engine
        self.name = f"lab{uuid4().hex[:12]}"  # so no other lab's containers are counted
        self.ports = Ports("127.0.0.1")
        self.signs = directory.with_name(f"{directory.name}-signs")
        self.signs.mkdir()
        usual = {
            "name": self.name,
            "pool": {
                "hosts": [engine.url],
                "image": engine.image,
                "networks": ["host"],
                "pull": "never",
                "worker_version": "",
                "volumes": [f"{self.signs}:{_SIGNS}"],
                "limit": 4,
                "poll_interval": 0.2,
                "sweep_interval": 1.0,
                "stop_grace": 1.0,
            },
            "workers": {
                "size": 4,
                "build_wait_timeout": 0,
                "login_timeout": 60,
                "reconnect_timeout": 20,
                "stop_timeout": 10,
                "max_start_attempts": 20,
                "masterFQDN": "127.0.0.1",
            },
            "drydock": {"lease_seconds": 20, "renew_interval": 2},
            "worker_port": f"tcp:{self.ports.workers}:interface=127.0.0.1",
            "web_port": f"tcp:{self.ports.web}:interface=127.0.0.1",
            "url": self.ports.url,
        }
        self.begin(directory, usual, settings)

    # --- builds ------------------------------------------------------------------------------

    def held(self, sign: str) -> Request:
        """Ask for a build that goes on until it is let go."""
        command = (
            f"touch {_SIGNS}/begun-{sign}; until [ -e {_SIGNS}/go-{sign} ]; do sleep 0.1; done"
        )
        return self.request(command=command)

    def has_begun(self, sign: str) -> bool:
        return (self.signs / f"begun-{sign}").exists()

    def let_go(self, sign: str) -> None:
        (self.signs / f"go-{sign}").touch()

    # --- containers --------------------------------------------------------------------------

    def containers(self) -> list[dict[str, Any]]:
        return self.engine.containers(f"{OUR_LABELS}blueprint={self.name}")

    def strays(self) -> list[str]:
        """Return the containers that no living row accounts for."""
        found = {each["Labels"][f"{OUR_LABELS}token"]: each["State"] for each in self.containers()}
        rows = self.query(f"SELECT token FROM drydock_resources WHERE status IN {LIVING}")
        living = {token for (token,) in rows}
        return [f"{token}: {state}" for token, state in found.items() if token not in living]

    def is_at_rest(self) -> bool:
        """Tell whether nothing is left, neither a container nor a living row."""
        rows = self.query(f"SELECT id FROM drydock_resources WHERE status IN {LIVING}")
        return not rows and not self.containers()

    def end(self) -> None:
        """Stop the master, if it runs, and remove what it left."""
        if self.master.process is not None:
            self.master.kill()
        for each in self.containers():
            self.engine.remove(each["Id"])
