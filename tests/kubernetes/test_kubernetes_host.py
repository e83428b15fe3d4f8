"""A pod as a host, by exec, on a real cluster."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.interfaces import Host
from buildbot_drydock.latent.kubernetes.connection import Connection
from buildbot_drydock.latent.kubernetes.fields import KubernetesPodsFields
from buildbot_drydock.remote.kubernetes.exchange import Place
from buildbot_drydock.remote.kubernetes.machine import PodMachine
from buildbot_drydock.remote.shell.host import ShellHost
from buildbot_drydock.testing.host_contract import HostContract
from tests.kubernetes_cluster import Cluster, cluster

_LONG = 60.0


class TestInPods(HostContract, TestCase):
    """The suite, each test in a directory of its own in a pod that they share."""

    pod: ClassVar[str] = ""
    namespace: ClassVar[str] = ""
    cluster: ClassVar[Cluster]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.cluster = cluster()
        cls.namespace = cls.cluster.new_namespace()
        cls.pod = cls.cluster.run(cls.namespace)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.cluster.remove_namespace(cls.namespace)
        super().tearDownClass()

    def machine(self, pod: str = "", kubeconfig: str = "") -> PodMachine:
        threads = ThreadPool(0, 20)
        threads.start()
        self.addCleanup(threads.stop)
        fields = KubernetesPodsFields(
            image="it", namespace=self.namespace, kubeconfig=kubeconfig or self.cluster.admin
        )
        place = Place(namespace=self.namespace, pod=pod or self.pod, container="build")
        return PodMachine(reactor, threads, Connection(fields).configuration, place)

    def make_host(self) -> Host:
        return ShellHost(self.machine(), f"/tmp/host {uuid4().hex}", grace_seconds=1.0)

    def setUp(self) -> Deferred[None]:
        super().setUp()
        host = self.host
        assert isinstance(host, ShellHost)
        return Deferred.fromCoroutine(host.make_directory())

    async def test_a_directory_of_its_own_is_made(self) -> None:
        host = ShellHost(self.machine(), f"drydock-{uuid4().hex}/below")
        await host.make_directory()
        completed = await host.run(["pwd"], timeout=_LONG)
        self.assertIn(b"/below", completed.stdout)

    async def test_a_pod_that_is_not_there_is_unreachable(self) -> None:
        host = ShellHost(self.machine("no-such-pod"), "/")
        call = Deferred.fromCoroutine(host.run(["true"], timeout=_LONG))
        self.assertIn("no-such-pod", await self.fails(call, HostUnreachable))

    async def test_a_pod_that_ends_ends_its_commands(self) -> None:
        pod = await deferToThread(self.cluster.run, self.namespace)
        host = ShellHost(self.machine(pod), "/tmp")
        script = "echo here > begun; sleep 600"
        running = Deferred.fromCoroutine(host.run(["sh", "-c", script], timeout=_LONG))
        while not await host.exists("begun"):
            await self.pause()
        self.cluster.api.delete_namespaced_pod(pod, self.namespace, body={"gracePeriodSeconds": 1})
        self.assertIn("ended", await self.fails(running, HostUnreachable))
        call = Deferred.fromCoroutine(host.run(["true"], timeout=_LONG))
        await self.fails(call, HostUnreachable)

    async def test_without_the_right_to_exec_the_error_says_which_is_missing(self) -> None:
        host = ShellHost(self.machine(kubeconfig=self.cluster.user), "/tmp")
        call = Deferred.fromCoroutine(host.run(["true"], timeout=_LONG))
        said = await self.fails(call, HostUnreachable)
        self.assertIn("the verb 'get' for 'pods/exec'", said)
        self.assertIn("docs/kubernetes.md", said)

    async def test_many_commands_at_once_keep_their_outputs_apart(self) -> None:
        host = ShellHost(self.machine(), "/tmp")
        calls = [
            Deferred.fromCoroutine(host.run(["sh", "-c", f"echo {n}; exit {n}"], timeout=_LONG))
            for n in range(12)
        ]
        for number, each in enumerate(calls):
            completed = await each
            self.assertEqual(completed.exit_code, number)
            self.assertEqual(completed.stdout, f"{number}\n".encode())
