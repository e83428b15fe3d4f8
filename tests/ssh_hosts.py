"""The machines of ``scripts/with_ssh_hosts.sh``: what they are, and what can happen to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from twisted.trial.unittest import SkipTest

from buildbot_drydock.remote.ssh.access import Access

_VARIABLE = "DRYDOCK_TEST_SSH_HOSTS"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine. Its methods block for a moment."""

    name: str  # its hostname
    address: str
    port: int
    user: str
    home: str
    disk: str  # what is mounted there: home, tmp, run, etc
    namespace: str
    link: str  # the end of its network cable that is here
    gateway: str  # this machine, as seen from there
    start: str
    init: str
    identity_file: str
    host_key: str
    known_hosts: str
    authority: str

    def access(self, **fields: Any) -> Access:
        """Return how to reach it, with other fields if asked for."""
        usual = {
            "address": self.address,
            "port": self.port,
            "user": self.user,
            "identity_files": (self.identity_file,),
            "use_agent": False,
        }
        if not {"host_key", "host_authority", "known_hosts"} & fields.keys():
            usual["known_hosts"] = self.known_hosts
        return Access(**{**usual, **fields})

    @property
    def public_host_key(self) -> str:
        return Path(f"{self.host_key}.pub").read_text()

    def path(self, path: str) -> Path:
        """Return where a path below its ``/home``, ``/tmp`` or ``/run`` is on this machine."""
        return Path(self.disk) / path.lstrip("/")

    # --- what runs there ----------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Return what runs there, but for its first process and SSH server."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                here = os.readlink(f"/proc/{process.pid}/ns/uts")
                if here == self._uts() and process.username() == self.user:
                    found.append(process)
        return found

    def commands(self) -> list[str]:
        """Return the command lines of what its user runs, but for the SSH server's part."""
        lines = []
        for process in self.processes():
            with suppress(psutil.Error):
                if process.name() != "sshd" and process.status() != psutil.STATUS_ZOMBIE:
                    lines.append(" ".join(process.cmdline()))
        return lines

    def servers(self) -> list[psutil.Process]:
        """Return the processes of its SSH server: the one that listens, and one or two for each
        connection."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                here = os.readlink(f"/proc/{process.pid}/ns/uts")
                if process.name() == "sshd" and here == self._uts():
                    found.append(process)
        return found

    def _uts(self) -> str:
        (init,) = psutil.Process(self._unshare()).children()
        return os.readlink(f"/proc/{init.pid}/ns/uts")

    def _unshare(self) -> int:
        return int(Path(self.init).read_text())

    # --- what happens to it -------------------------------------------------------------------

    def cut(self) -> None:
        """Pull its network cable: everything is lost, and nobody is told."""
        subprocess.run(["ip", "link", "set", self.link, "down"], check=True)

    def restore(self) -> None:
        subprocess.run(["ip", "link", "set", self.link, "up"], check=True)

    def hang_up(self) -> None:
        """End the connections of its SSH server, as if its processes crashed."""
        for process in self.servers():
            with suppress(psutil.Error):
                if not self.listens(process):
                    process.kill()

    def stop_server(self) -> None:
        """End its SSH server and all connections; what was started there goes on."""
        for process in self.servers():
            with suppress(psutil.Error):
                process.kill()

    def start_server(self) -> None:
        """Start its SSH server again."""
        self.shell("exec $(command -v sshd) -f /mnt/etc/sshd_config -E /mnt/sshd.log")
        self._await_server()

    def freeze(self) -> None:
        """Let it hang: its SSH server accepts connections and says nothing."""
        for process in self.servers():
            with suppress(psutil.Error):
                process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self.servers():
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)

    def switch_off(self) -> None:
        """Cut its power: all that ran there is gone, and what is on its disk stays."""
        unshare = psutil.Process(self._unshare())
        ended = [*unshare.children(recursive=True)]
        unshare.kill()
        psutil.wait_procs(ended, timeout=30)

    def switch_on(self) -> None:
        """Start it again; returns once its SSH server answers."""
        subprocess.run([self.start], check=True)
        self._await_server()

    def reboot(self) -> None:
        self.switch_off()
        self.switch_on()

    def shell(self, script: str) -> str:
        """Run a script there as root, without the network; return its output."""
        (init,) = psutil.Process(self._unshare()).children()
        entered = ["nsenter", "-t", str(init.pid), "-m", "-u", "-n", "-p", "sh", "-c", script]
        done = subprocess.run(entered, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        return done.stdout.decode()

    def listens(self, process: psutil.Process) -> bool:
        return "listener" in " ".join(process.cmdline())

    def _await_server(self) -> None:
        probe = (
            f"until (echo > /dev/tcp/{self.address}/{self.port}) 2> /dev/null; do sleep 0.05; done"
        )
        subprocess.run(["timeout", "60", "bash", "-c", probe], check=True)


def machines() -> list[Machine]:
    """Return the machines there are, or skip the test and say how to have some."""
    path = os.environ.get(_VARIABLE)
    if not path:
        raise SkipTest(f"no machines over SSH: run it with scripts/with_ssh_hosts.sh ({_VARIABLE})")
    return [Machine(**each) for each in json.loads(Path(path).read_text())]
