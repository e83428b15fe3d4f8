"""Instances of the EC2 test server that are the machines of ``scripts/with_ssh_hosts.sh``.

An instance that is launched gets a machine that no other has. When it runs, that is switched on with
an image's disk, which has buildbot-worker, and does what cloud-init makes of the user data: it shows the host key and lets those
in that are named there, as user ``admin``, and runs the scripts. When it is stopped, the machine is
switched off and keeps its disk. When it is terminated, its disk is emptied, too.
"""

from __future__ import annotations

import pwd
import shutil
from pathlib import Path
from threading import Lock

from tests.cloud_init import Boot, boot_of
from tests.ec2 import EC2Server, Instance
from tests.lab import worker_environment
from tests.ssh_hosts import Machine

USER = "admin"
HOME = f"/home/{USER}"
PYTHON = f"{HOME}/worker/bin/python"  # of the image; it has buildbot-worker
_ETC = "sshd_config", "host_key", "host_key.pub"


class InstancesOnMachines:
    """Stands behind a server's instances, as long as it is entered."""

    def __init__(self, server: EC2Server, machines: list[Machine]) -> None:
        self.server = server
        self._free = list(machines)
        self._taken: dict[str, Machine] = {}  # by id of the instance
        self._on: set[str] = set()  # ids of the instances whose machines are
        self._written: set[str] = set()  # and of those that have a disk, as they have booted once
        self._machines = machines
        self._lock = Lock()

    def __enter__(self) -> InstancesOnMachines:
        for machine in self._machines:
            machine.switch_off()
            _keep_etc(machine)
            _wipe(machine)
        hooks = self.server.hooks
        hooks.on_launch, hooks.on_running, hooks.on_terminated = self._take, self._boot, self._end
        hooks.on_stopped = self._switch_off
        return self

    def __exit__(self, *raised: object) -> None:
        hooks = self.server.hooks
        hooks.on_launch = hooks.on_running = hooks.on_stopped = hooks.on_terminated = None
        self.server.settle()  # and none is at work any more
        for number in list(self._taken):
            self._give_back(number)
        for machine in self._machines:
            _restore_etc(machine)
            machine.switch_on()

    def machine(self, number: str) -> Machine:
        """Return the machine of an instance that lives."""
        return self._taken[number]

    # --- what happens to an instance -----------------------------------------------------------

    def _take(self, instance: Instance) -> None:
        with self._lock:
            machine = self._free.pop(0)  # a test has no more instances at once than machines
            self._taken[instance.id] = machine
        instance.private_ip = instance.public_ip = machine.address

    def _boot(self, instance: Instance) -> None:
        machine = self._taken[instance.id]
        boot = boot_of(instance.user_data)
        is_first = instance.id not in self._written
        if is_first:
            _write_disk(machine, boot)
            self._written.add(instance.id)
        self._on.add(instance.id)
        machine.switch_on()
        for script in [*boot.boothooks, *(boot.scripts if is_first else ())]:
            machine.shell(script)

    def _switch_off(self, instance: Instance) -> None:
        self._on.remove(instance.id)
        self._taken[instance.id].switch_off()

    def _end(self, instance: Instance) -> None:
        self._give_back(instance.id)

    def _give_back(self, number: str) -> None:
        machine = self._taken[number]
        if number in self._on:
            self._on.remove(number)
            machine.switch_off()
        _wipe(machine)
        with self._lock:
            del self._taken[number]
            self._free.append(machine)


# --- the disk of a machine ---------------------------------------------------------------------


def _write_disk(machine: Machine, boot: Boot) -> None:
    """Write what the image has, and what cloud-init makes of the user data."""
    shutil.copytree(worker_environment(), machine.path(HOME) / "worker", symlinks=True)
    account = pwd.getpwnam(machine.user)
    home = machine.path(HOME)
    keys = home / ".ssh" / "authorized_keys"
    keys.parent.mkdir()
    keys.write_text("".join(f"{each}\n" for each in boot.authorized_keys))
    for path in (home, keys.parent, keys):
        shutil.chown(path, account.pw_uid, account.pw_gid)
        path.chmod(0o600 if path is keys else 0o700)
    etc = _etc(machine)
    (etc / "host_key").write_text(boot.host_key)
    (etc / "host_key").chmod(0o600)
    (etc / "host_key.pub").write_text(f"{boot.public_host_key}\n")
    lines = (etc / "kept" / "sshd_config").read_text().splitlines()
    kept = [each for each in lines if not each.startswith(("AllowUsers", "HostCertificate"))]
    (etc / "sshd_config").write_text("\n".join([*kept, f"AllowUsers {USER}", ""]))
    _write_users(machine)


def _write_users(machine: Machine) -> None:
    """Let the machine know its user by the image's name."""
    for name in ("passwd", "shadow"):
        lines = Path("/etc", name).read_text().splitlines()
        renamed = [_renamed(each, machine) for each in lines if not each.startswith(f"{USER}:")]
        path = _etc(machine) / name
        path.write_text("\n".join([*renamed, ""]))
        path.chmod(0o644 if name == "passwd" else 0o600)


def _renamed(line: str, machine: Machine) -> str:
    if not line.startswith(f"{machine.user}:"):
        return line
    return line.replace(machine.user, USER)  # in its home, too


def _wipe(machine: Machine) -> None:
    """Remove what an instance has left on the disk of a machine that is switched off."""
    shutil.rmtree(machine.path(HOME), ignore_errors=True)
    for directory in ("/tmp", "/run"):
        for path in machine.path(directory).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    machine.path("/run/sshd").mkdir()
    for name in (*_ETC, "passwd", "shadow"):
        (_etc(machine) / name).unlink(missing_ok=True)


def _etc(machine: Machine) -> Path:
    return Path(machine.disk) / "etc"


def _keep_etc(machine: Machine) -> None:
    kept = _etc(machine) / "kept"
    kept.mkdir()
    for name in _ETC:
        (_etc(machine) / name).rename(kept / name)


def _restore_etc(machine: Machine) -> None:
    kept = _etc(machine) / "kept"
    for name in _ETC:
        (kept / name).rename(_etc(machine) / name)
    kept.rmdir()
