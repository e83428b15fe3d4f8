"""A real master process with a pool ``cloud`` of instances, which are real machines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from tests.ec2 import EC2Server
from tests.instances_on_machines import PYTHON, USER
from tests.lab import ROOT, Lab
from tests.ssh_hosts import Machine

_PATIENCE_WITH_CONNECTIONS = {
    "keepalive_interval": 0.5,
    "keepalive_count": 2,
    "connect_timeout": 5.0,
}


class EC2Lab(Lab):
    """A master in *directory*. *settings* go to ``tests/ec2_lab.cfg``, group by group."""

    config = ROOT / "tests" / "ec2_lab.cfg"

    def __init__(
        self, directory: Path, machines: list[Machine], server: EC2Server, **settings: Any
    ) -> None:
        self.server = server
        super().__init__(directory, machines, **settings)

    def _usual_settings(
        self, first: Machine, entries: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        usual = super()._usual_settings(first, entries)
        pool = {
            "region": self.server.region,
            "image": self.server.catalogue.newest_image,
            "instance_types": ["m7i.large", "m6i.large"],
            "subnets": list(self.server.catalogue.subnets().values())[:2],
            "limit": len(self.machines) - 1,  # one that is ending has a machine yet
            "python": PYTHON,
            "listing_delay": 5,
            "idle_timeout": 8,
            "minimum_billing": 0,
        }
        ssh = {"user": USER, "agent": False, **_PATIENCE_WITH_CONNECTIONS}
        return {**usual, "pool": {**usual["pool"], **pool}, "ssh": ssh}

    def start(self) -> None:
        # Its credentials and where EC2 is are for the master alone.
        with mock.patch.dict(os.environ, self.server.environment()):
            super().start()

    def instance_of(self, lease: int) -> str:
        """Return the id of the instance that a lease has."""
        ((number,),) = self.query(
            "SELECT resources.identity FROM drydock_leases AS leases JOIN drydock_resources AS"
            " resources ON leases.resource = resources.id WHERE leases.id = ?",
            lease,
        )
        return str(number)

    def end(self) -> None:
        """Stop the master, if it runs. What it left ends with the instances."""
        if self.master.process is not None:
            self.master.kill()
