"""Where a worker process is started, with which Python, and how it reaches its master."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from buildbot.config.errors import capture_config_errors
from buildbot.plugins import util
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.process import Login, WorkerProcess, tactics
from buildbot_drydock.latent.starting import Hopeless
from buildbot_drydock.latent.tenancy import Tenancy
from buildbot_drydock.latent.terms import Terms, rendered_labels
from buildbot_drydock.latent.worker import DrydockWorker
from buildbot_drydock.model import Lease, LeaseStatus, Resource, ResourceStatus

LOGIN = Login(name="linux-001", password="secret", address="master.example.org", port=9989)


class RecordingHost:
    """Does nothing, and notes what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.written: dict[str, bytes] = {}
        self.started: Sequence[str] = ()
        self.options: Mapping[str, Any] = {}

    async def start(self, argv: Sequence[str], *, file: tuple[str, bytes], **options: Any) -> None:
        self.calls.append("start")
        self.written.update([file])
        self.started, self.options = argv, options


class FakeService:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.host = RecordingHost()

    def kind_of(self, resource: Resource) -> str:
        return self.kind

    def connect(self, resource: Resource) -> RecordingHost:
        return self.host

    def password(self, lease: Lease) -> str:
        return "secret"

    async def machine_name(self) -> str:
        return "here.example.org"


def login_in(content: bytes) -> tuple[Any, ...]:
    """Run a configuration, without Buildbot or Twisted; return what the worker is made with."""
    made: list[tuple[Any, ...]] = []

    class Worker:
        def __init__(self, *arguments: Any, **_: Any) -> None:
            made.append(arguments)

        def setServiceParent(self, parent: object) -> None: ...

    class Service:
        def Application(self, name: str) -> None: ...

    source = content.decode()
    source = source.replace("from buildbot_worker.bot import Worker\n", "")
    source = source.replace("from twisted.application import service\n", "")
    exec(source, {"Worker": Worker, "service": Service(), "__file__": "/dev/null/buildbot.tac"})
    return made[0]


class TenancyTests(SynchronousTestCase):
    def start(
        self, terms: Terms | None = None, kind: str = "hosts", **data: str
    ) -> tuple[str, str, int]:
        """Start a process; return its Python, and the master's address and port."""
        resource = Resource(
            id=1, blueprint="lab", token="t", place=0, status=ResourceStatus.ACTIVE, data=data
        )
        lease = Lease(
            id=7,
            owner="worker/linux-001",
            type="host",
            nonce="n",
            status=LeaseStatus.ACTIVE,
            slot=3,
        )
        service: Any = FakeService(kind)
        tenancy = Tenancy(service, terms or Terms(), Clock(), lease, resource)
        self.successResultOf(Deferred.fromCoroutine(tenancy.start("linux-001", 9989)))
        self.host = service.host
        address, port, name, password, *_ = login_in(self.host.written["worker-3/buildbot.tac"])
        self.assertEqual((name, password), ("linux-001", "secret"))
        return self.host.started[0], address, port

    def test_the_python_of_the_pool_goes_before_what_the_blueprint_found(self) -> None:
        self.assertEqual(self.start(Terms(python="/p"), python="/found")[0], "/p")
        self.assertEqual(self.start(python="/found")[0], "/found")
        self.assertEqual(self.start(python="/found", kind="local")[0], "/found")

    def test_without_either_it_is_python3_and_here_the_masters_own(self) -> None:
        self.assertEqual(self.start()[0], "python3")
        self.assertEqual(self.start(python="")[0], "python3")
        self.assertEqual(self.start(kind="local")[0], sys.executable)

    def test_a_tunnel_goes_before_the_name_of_the_master(self) -> None:
        terms = Terms(masterFQDN="master.example.org")
        tunnel = {"master_address": "127.0.0.1", "master_port": "40001"}
        self.assertEqual(self.start(terms, **tunnel)[1:], ("127.0.0.1", 40001))
        self.assertEqual(self.start(terms)[1:], ("master.example.org", 9989))

    def test_a_tunnel_may_have_the_port_of_the_master(self) -> None:
        self.assertEqual(self.start(master_address="127.0.0.1")[1:], ("127.0.0.1", 9989))

    def test_without_either_it_is_the_name_of_this_machine(self) -> None:
        self.assertEqual(self.start()[1:], ("here.example.org", 9989))
        self.assertEqual(self.start(kind="local")[1:], ("localhost", 9989))


class WorkerProcessTests(SynchronousTestCase):
    def start(self) -> RecordingHost:
        host: Any = RecordingHost()
        process = WorkerProcess(host=host, tag="t", directory="worker-0", python="python3")
        self.successResultOf(Deferred.fromCoroutine(process.start(LOGIN, lease=7)))
        started: RecordingHost = host
        return started

    def test_it_takes_one_round_trip(self) -> None:
        self.assertEqual(self.start().calls, ["start"])

    def test_the_password_is_in_the_file_and_nowhere_else(self) -> None:
        host = self.start()
        ((path, content),) = host.written.items()
        self.assertIn(b"secret", content)
        self.assertEqual(path, "worker-0/buildbot.tac")
        self.assertNotIn("secret", repr((host.started, host.options)))

    def test_it_tells_who_looks_after_the_worker_and_leaves_what_somebody_wrote(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        source = tactics(LOGIN, lease=7).decode().partition("application =")[0]
        source = source.replace("from buildbot_worker.bot import Worker\n", "")
        admin = directory / "info" / "admin"
        for _ in range(2):
            exec(source, {"__file__": str(directory / "buildbot.tac")})
            self.assertEqual(admin.read_text(), "Buildbot Drydock\n")
        admin.write_text("Ada <ada@example.org>")
        exec(source, {"__file__": str(directory / "buildbot.tac")})
        self.assertEqual(admin.read_text(), "Ada <ada@example.org>")

    def test_a_directory_that_cannot_be_written_is_no_reason_not_to_start(self) -> None:
        self.assertEqual(
            login_in(tactics(LOGIN, lease=7))[:4],
            ("master.example.org", 9989, "linux-001", "secret"),
        )


class RequirementTests(SynchronousTestCase):
    def test_they_are_compared_as_labels_are(self) -> None:
        self.assertEqual(
            rendered_labels({"os": "debian", "cores": 8, "kvm": True, "gpu": False}),
            {"os": "debian", "cores": "8", "kvm": "true", "gpu": "false"},
        )

    def test_what_cannot_be_a_label_is_refused_by_name(self) -> None:
        for wrong in (None, 1.5, ["debian"], {"a": "b"}, b"debian"):
            error = self.assertRaises(Hopeless, rendered_labels, {"os": wrong})
            self.assertIn(f"requires['os'] is {wrong!r}", str(error))
            self.assertIn("property", str(error))
        self.assertRaises(Hopeless, rendered_labels, ["os"])


class ConfiguredWorkerTests(SynchronousTestCase):
    """A worker that is written without a pool."""

    def problems(self, **arguments: Any) -> list[str]:
        with capture_config_errors() as errors:
            DrydockWorker("linux-001", **arguments)
        found: list[str] = errors.errors
        return found

    def test_its_requirements_are_checked_with_the_configuration(self) -> None:
        (problem,) = self.problems(requires={"memory": 1.5})
        self.assertIn("worker 'linux-001': requires['memory'] is 1.5", problem)
        self.assertEqual(self.problems(requires={"os": "debian", "kvm": True}), [])
        self.assertEqual(self.problems(requires={"os": util.Property("os")}), [])

    def test_what_it_demands_is_compared_as_labels_are(self) -> None:
        worker = DrydockWorker("linux-001")
        worker.terms = Terms(requires={"kvm": True, "cores": 8})
        self.assertEqual(worker.demand.requires, (("cores", "8"), ("kvm", "true")))
