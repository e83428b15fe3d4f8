"""Each field of ``EC2Pool``, and of what stands in it, wrong in turn: for checkconfig.

As a program it has checkconfig read a master.cfg for each case, on a closed network, and prints as
JSON what that says, and every attempt to use the network. The fields that only ``EC2Pool`` has are
in ``tests/unit/test_ec2_fields.py``, by their names; a new one has its case there.
"""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import boto3
from buildbot.scripts.checkconfig import checkconfig

from buildbot_drydock import SSH
from buildbot_drydock.latent.hosts_fields import SSHFields
from tests.unit.test_ec2_fields import GOOD, OF_VALUES, PLACES, WRONG

# What all pools have, or all that are reached over SSH.
INHERITED: dict[str, tuple[Any, ...]] = {
    "limit": (0, "3"),
    "leases_per_resource": (0, None),
    "labels": ("debian", {"os": 1.5}),
    "placement": ("best", None),
    "min_ready": (-1, 2),  # the last as it is more than the limit
    "idle_timeout": (-1, "never"),
    "max_uses": (0, "1"),
    "max_age": (0, "1 day"),
    "boot_timeout": (0, None),
    "poll_interval": (0, 61),  # the last as it is more than sweep_interval
    "sweep_interval": (0, "60"),
    "failure_budget": (0, None),
    "schedule": (["0 8 * * *"], "0 8 * * *"),
    "allow": ("builder/tests", ["tests"]),
    "needs_approval": ("sometimes", None),
    "approvers": (1, "the leads"),  # the last as nothing needs approval
    "directory": ("", "my builds", "~/builds"),
    "python": ("", None),
    "make_venv": (True, "sometimes"),
    "worker_version": (4, 4.3),
    "pip_arguments": ("--no-index", [1]),
    "keep_build_directories": ("yes", None),
    "stop_grace": (-1, None),
    "lost_after": (0, None),
    "probe_interval": (0, "60"),
    "min_free_disk": (-1, "1 GB"),
}
SSH_WRONG: dict[str, Any] = {
    "user": "no body",
    "port": 0,
    "keys": "id",
    "agent": "yes",
    "known_hosts": "",
    "host_authority": "mine",
    "jump": "@",
    "tunnel_to": "localhost",
    "connect_timeout": 0,
    "keepalive_interval": 0,
    "keepalive_count": 0,
    "most_channels": 0,
}

ALL_WRONG = {**INHERITED, **WRONG}
VALUES = (*OF_VALUES, (SSH, SSHFields, {"user": "admin"}, SSH_WRONG))
PLACES_OF_VALUES: dict[Any, str] = {**PLACES, SSH: "ssh"}

_CONFIG = """
from buildbot.plugins import schedulers, util

from buildbot_drydock import Drydock, EC2Pool, WorkerPool
from tests import ec2_wrong_configs

drydock = Drydock(
    blueprints=[EC2Pool("aws", **ec2_wrong_configs.current)],
    workers=[WorkerPool("linux", size=2)],
)
BuildmasterConfig = {
    "configurators": [drydock],
    "builders": [
        util.BuilderConfig(
            "tests", workernames=drydock.workernames("linux"), factory=util.BuildFactory()
        )
    ],
    "schedulers": [schedulers.ForceScheduler("force", ["tests"])],
    "protocols": {"pb": {"port": 9989}},
    "buildbotNetUsageData": None,
}
"""

current: dict[str, Any] = {}  # the fields that master.cfg gives its pool


def cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the field of the pool that is wrong, the one within it, and all fields."""
    for field, values in ALL_WRONG.items():
        for value in values:
            yield field, "", {**GOOD, field: value}
    for value_class, _, good, wrong in VALUES:
        field = PLACES_OF_VALUES.get(value_class, "volumes")
        for inner, value in wrong.items():
            given: Any = value_class(**{**good, inner: value})
            yield field, inner, {**GOOD, field: [given] if field == "volumes" else given}


@contextmanager
def closed_network() -> Iterator[list[str]]:
    """Let no connection be opened and no name be looked up; yield the attempts."""
    attempts: list[str] = []

    def refuse(*arguments: Any, **others: Any) -> NoReturn:
        attempts.append(repr(arguments[-1]))
        raise OSError("the network is closed")

    with (
        mock.patch.object(socket.socket, "connect", refuse),
        mock.patch.object(socket.socket, "connect_ex", refuse),
        mock.patch.object(socket.socket, "sendto", refuse),
        mock.patch.object(socket, "getaddrinfo", refuse),
    ):
        yield attempts


def _checked(path: Path, fields: dict[str, Any]) -> list[str]:
    current.clear()
    current.update(fields)
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        status = checkconfig._orig({"configFile": str(path), "quiet": False})  # type: ignore[attr-defined]
    return [str(status), *printed.getvalue().splitlines()]


def _call_of_aws() -> None:
    """Do what checkconfig must not."""
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
    client = boto3.client("ec2", region_name="eu-central-1", **keys)
    try:
        client.describe_instances()
    except Exception:  # noqa: BLE001 - whatever it makes of that
        return
    raise AssertionError("the network is not closed")


def main() -> None:
    path = Path(tempfile.mkdtemp()) / "master.cfg"
    path.write_text(_CONFIG)
    os.environ.update(AWS_MAX_ATTEMPTS="1", AWS_EC2_METADATA_DISABLED="true")
    with closed_network() as attempts:
        good = _checked(path, dict(GOOD))
        told = [(field, inner, _checked(path, fields)) for field, inner, fields in cases()]
        used = list(attempts)
        _call_of_aws()
        control = len(attempts) - len(used)
    print(json.dumps({"good": good, "told": told, "used": used, "control": control}))


if __name__ == "__main__":
    # master.cfg finds this very module.
    sys.modules["tests.ec2_wrong_configs"] = sys.modules["__main__"]
    main()
