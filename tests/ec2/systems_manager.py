"""Run Command of Systems Manager: shell scripts that really run, on instances that are directories.

moto knows no managed instances and runs nothing. Here an instance has a directory for its root:
scripts run in it as the user of the test, in a process group of their own, as the agent has them
("RunShellScript" runs ``sh`` on a file). The states, limits and errors are those of the API
reference and of "Understanding command statuses" in the user guide.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .clock import date_of
from .cloud import Cloud
from .problems import EC2Error
from .records import Instance

MARK = "DRYDOCK_TEST_INSTANCE"

# GetCommandInvocation: StandardOutputContent and StandardErrorContent.
MOST_STDOUT = 24_000
MOST_STDERR = 8_000
# MaxDocumentSizeExceeded; that parameters count is cautious, as the reference doesn't say.
MOST_DOCUMENT = 64 * 1024
LEAST_TIMEOUT = 30

_FINAL = {
    "Success": "Success",
    "Failed": "Failed",
    "Undeliverable": "Failed",
    "Delivery Timed Out": "TimedOut",
    "Execution Timed Out": "TimedOut",
    "Cancelled": "Cancelled",
}


@dataclass
class AgentTimings:
    """How long things take, in seconds of the server's clock; ``invisible_calls`` is a number."""

    registration: float = 0.0  # after the instance runs
    pickup: float = 0.0  # until an agent takes up a command
    report: float = 0.0  # until the end of a command shows
    invisible_calls: int = 0  # so many looks at a new command answer InvocationDoesNotExist


@dataclass
class Command:
    """One command on one instance."""

    id: str
    instance: Instance
    text: str
    directory: str
    comment: str
    sent_at: float
    delivery_seconds: float
    execution_seconds: float
    hidden_calls: int
    details: str = "Pending"
    begun_at: float | None = None
    ended_at: float | None = None
    cancelled: bool = False
    process: subprocess.Popen[bytes] | None = None
    stdout: Path | None = None
    stderr: Path | None = None


@dataclass
class SystemsManager:
    """The part of SSM that moto lacks, of one account and region.

    *home* is where instances have their directories; it is set before the first instance runs.
    Ids in ``offline`` are of instances whose agents answer nobody, those in ``undeliverable`` of
    such that SSM gives up on at once; ``unregistered`` never get known.
    """

    cloud: Cloud
    home: Path | None = None
    timings: AgentTimings = field(default_factory=AgentTimings)
    offline: set[str] = field(default_factory=set)
    undeliverable: set[str] = field(default_factory=set)
    unregistered: set[str] = field(default_factory=set)
    needs_profile: bool = True
    commands: list[Command] = field(default_factory=list)
    on_boot: Callable[[Instance, Path], None] | None = None
    _booted: set[str] = field(default_factory=set)
    _lock: Any = field(default_factory=threading.RLock)

    # --- for tests ----------------------------------------------------------------------------

    def root(self, instance_id: str) -> Path:
        """The root directory of an instance."""
        assert self.home is not None, "the test sets home"
        return self.home / instance_id

    def booted_root(self, instance_id: str) -> Path:
        """The root directory of an instance whose agent has registered itself."""
        self.cloud.settle(wait=True)
        with self._lock:
            assert self._knows(self.cloud.get(instance_id))
        return self.root(instance_id)

    def parameters(self) -> str:
        """All that was ever sent, as the history shows it."""
        return "\n".join(f"{each.comment}\n{each.text}" for each in self.commands)

    def outputs(self) -> str:
        """All that was ever printed, as the history shows it."""
        found = [path for each in self.commands for path in (each.stdout, each.stderr) if path]
        return "\n".join(path.read_text("utf-8", "replace") for path in found)

    def running(self) -> list[int]:
        """The processes that were started on instances and have not ended."""
        found = []
        mark = f"{MARK}={self.home}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_dead = b" Z " in (path / "stat").read_bytes()
                if not is_dead and mark in (path / "environ").read_bytes().split(b"\0"):
                    found.append(int(path.name))
        return found

    def kill_all(self) -> None:
        """End all that runs on instances."""
        if self.home is None:
            return
        for _ in range(100):
            left = self.running()
            for number in left:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            for command in self.commands:
                if command.process is not None:
                    command.process.poll()
            if not left:
                return

    # --- actions ------------------------------------------------------------------------------

    def answers(self, action: str) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
        """What answers an action; None if moto does."""
        own = {
            "SendCommand": self._send,
            "GetCommandInvocation": self._get,
            "CancelCommand": self._cancel,
            "DescribeInstanceInformation": self._describe,
        }.get(action)
        if own is None:
            return None
        answer = own

        def answer_alone(asked: dict[str, Any]) -> dict[str, Any]:
            with self._lock:
                return answer(asked)

        return answer_alone

    def _describe(self, asked: dict[str, Any]) -> dict[str, Any]:
        most = asked.get("MaxResults", 10)
        if not 5 <= most <= 50:
            raise _validation(f"MaxResults is {most}")
        known = [each for each in self.cloud.all() if self._knows(each)]
        known = [each for each in known if _fits(each, asked.get("Filters", []))]
        known.sort(key=lambda each: each.number)
        first = int(asked.get("NextToken") or 0)
        answer: dict[str, Any] = {
            "InstanceInformationList": [
                {
                    "InstanceId": each.id,
                    "PingStatus": self._ping(each),
                    "LastPingDateTime": date_of(self.cloud.now()).timestamp(),
                    "AgentVersion": "3.3.0.0",
                    "PlatformType": "Linux",
                    "ResourceType": "EC2Instance",
                    "IPAddress": each.private_ip,
                }
                for each in known[first : first + most]
            ]
        }
        if first + most < len(known):
            answer["NextToken"] = str(first + most)
        return answer

    def _ping(self, instance: Instance) -> str:
        is_up = instance.state == "running" and instance.id not in self.offline
        return "Online" if is_up else "ConnectionLost"

    def _knows(self, instance: Instance) -> bool:
        """Whether the agent of an instance has registered itself."""
        if instance.state != "running" or instance.id in self.unregistered:
            return False
        if self.needs_profile and not instance.request.get("IamInstanceProfile"):
            return False
        began = max(at for at, state in instance.history if state == "running")
        if self.cloud.now() < began + self.timings.registration:
            return False
        self._boot(instance)
        return True

    def _boot(self, instance: Instance) -> None:
        """Do what cloud-init would have done by now."""
        if instance.id in self._booted:
            return
        self._booted.add(instance.id)
        root = self.root(instance.id)
        (root / "home").mkdir(parents=True)
        if self.on_boot is not None:
            self.on_boot(instance, root)

    def _send(self, asked: dict[str, Any]) -> dict[str, Any]:
        (number,) = asked.get("InstanceIds") or [""]
        instance = self.cloud.instances.get(number)
        if instance is None or not self._knows(instance):
            raise EC2Error("InvalidInstanceId", "Instances not in a valid state for account", 400)
        if asked["DocumentName"] != "AWS-RunShellScript":
            raise EC2Error("InvalidDocument", "Document does not exist", 400)
        parameters = asked.get("Parameters", {})
        if len(json.dumps(parameters)) > MOST_DOCUMENT:
            raise EC2Error("MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.", 400)
        text = "\n".join(parameters["commands"])
        if "{{" in text:
            raise EC2Error("InvalidParameters", "A reference to a parameter can't be resolved", 400)
        (limit,) = parameters.get("executionTimeout", ["3600"])
        if not 1 <= int(limit) <= 172_800 or asked.get("TimeoutSeconds", 3600) < LEAST_TIMEOUT:
            raise _validation("a timeout is out of its range")
        if len(asked.get("Comment", "")) > 100:
            raise _validation("the comment is too long")
        command = Command(
            id=str(uuid.uuid4()),
            instance=instance,
            text=text,
            directory=(parameters.get("workingDirectory") or [""])[0],
            comment=asked.get("Comment", ""),
            sent_at=self.cloud.now(),
            delivery_seconds=float(asked.get("TimeoutSeconds", 3600)),
            execution_seconds=float(limit),
            hidden_calls=self.timings.invisible_calls,
        )
        self.commands.append(command)
        self.cloud.later(self.timings.pickup, lambda: self._take_up(command))
        self.cloud.settle()
        return {"Command": {"CommandId": command.id, "Status": "Pending"}}

    def _find(self, asked: dict[str, Any]) -> Command:
        for command in self.commands:
            if command.id == asked["CommandId"]:
                return command
        raise EC2Error("InvalidCommandId", "", 400)

    def _get(self, asked: dict[str, Any]) -> dict[str, Any]:
        command = self._find(asked)
        if command.hidden_calls > 0 or command.instance.id != asked["InstanceId"]:
            command.hidden_calls -= 1
            raise EC2Error("InvocationDoesNotExist", "", 400)
        self._watch(command)
        details = command.details
        is_over = details in _FINAL
        code = command.process.returncode if command.process is not None and is_over else -1
        return {
            "CommandId": command.id,
            "InstanceId": command.instance.id,
            "DocumentName": "AWS-RunShellScript",
            "Comment": command.comment,
            "Status": _FINAL.get(details, details.replace(" ", "")),
            "StatusDetails": details.replace(" ", ""),
            "ResponseCode": code,
            "StandardOutputContent": _text(command.stdout, MOST_STDOUT) if is_over else "",
            "StandardErrorContent": _text(command.stderr, MOST_STDERR) if is_over else "",
        }

    def _cancel(self, asked: dict[str, Any]) -> dict[str, Any]:
        command = self._find(asked)
        self._watch(command)
        command.cancelled = True
        if command.process is None and command.details not in _FINAL:
            command.details = "Cancelled"
        elif command.details not in _FINAL:
            _kill_group(command)
        return {}

    # --- what the agent does ------------------------------------------------------------------

    def _take_up(self, command: Command) -> None:
        with self._lock:
            self._try_to_take_up(command)

    def _try_to_take_up(self, command: Command) -> None:
        instance = command.instance
        if command.details in _FINAL or command.process is not None:
            return
        if instance.id in self.undeliverable:
            command.details = "Undeliverable"
            return
        if not self._knows(instance) or instance.id in self.offline:
            command.details = "Delayed"
            self.cloud.later(1.0, lambda: self._look_again(command))
            return
        self._begin(command)

    def _look_again(self, command: Command) -> None:
        waited = self.cloud.now() - command.sent_at
        if waited > command.delivery_seconds:  # from now on it is never begun
            over = command.delivery_seconds + command.execution_seconds - waited
            self.cloud.later(over, lambda: self._give_up(command))
        else:
            self._take_up(command)

    def _give_up(self, command: Command) -> None:
        if command.details not in _FINAL:
            command.details = "Delivery Timed Out"

    def _begin(self, command: Command) -> None:
        root = self.root(command.instance.id)
        kept = root / "orchestration" / command.id
        kept.mkdir(parents=True)
        script = kept / "_script.sh"
        script.write_text(command.text)
        command.stdout, command.stderr = kept / "stdout", kept / "stderr"
        command.details, command.begun_at = "In Progress", self.cloud.now()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root / "home"),
            "LC_ALL": "C",
            MARK: str(self.home),
        }
        with command.stdout.open("wb") as stdout, command.stderr.open("wb") as stderr:
            command.process = subprocess.Popen(
                ["sh", str(script)],
                cwd=root / command.directory.lstrip("/"),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def _watch(self, command: Command) -> None:
        """Bring a command's state up to date."""
        now = self.cloud.now()
        if command.process is None or command.details in _FINAL or command.begun_at is None:
            return
        is_too_late = now > command.begun_at + command.execution_seconds
        if command.process.poll() is None:
            if not is_too_late:
                return
            _kill_group(command)
            command.process.wait()
        if command.ended_at is None:
            command.ended_at = now
        is_out = command.instance.id in self.offline or command.instance.state != "running"
        if is_out or now < command.ended_at + self.timings.report:
            return  # nobody tells of it
        if command.cancelled:
            command.details = "Cancelled"
        elif is_too_late:
            command.details = "Execution Timed Out"
        else:
            command.details = "Failed" if command.process.returncode else "Success"


def _kill_group(command: Command) -> None:
    assert command.process is not None
    with suppress(ProcessLookupError):
        os.killpg(command.process.pid, signal.SIGKILL)


def _text(path: Path | None, most: int) -> str:
    if path is None:
        return ""
    return path.read_text("utf-8", "replace")[:most]


def _fits(instance: Instance, filters: list[dict[str, Any]]) -> bool:
    for each in filters:
        key, values = each["Key"], each["Values"]
        if key.startswith("tag:"):
            found = instance.tags.get(key.removeprefix("tag:"), "")
        elif key == "InstanceIds":
            found = instance.id
        else:
            raise EC2Error("InvalidFilterKey", f"The filter {key} is not known here", 400)
        if not any(fnmatchcase(found, value) for value in values):
            return False
    return True


def _validation(message: str) -> EC2Error:
    return EC2Error("ValidationException", message, 400)
