"""What goes wrong with pods, produced on a real cluster, and what is made of it."""

from __future__ import annotations

import subprocess
from typing import Any
from uuid import uuid4

import yaml
from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.errors import (
    DrydockError,
    HostUnreachable,
    Misconfigured,
    NoCapacity,
    RetryLater,
)
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.kubernetes.connection import Connection
from buildbot_drydock.latent.kubernetes.fields import KubernetesPodsFields, as_selector, labels_of
from buildbot_drydock.latent.kubernetes.listing import Pod
from buildbot_drydock.latent.kubernetes.provider import KubernetesProvider
from buildbot_drydock.latent.kubernetes.watching import Watch
from buildbot_drydock.model import Health, Observed
from tests.kubernetes_cluster import a_file
from tests.kubernetes_pods import InPods
from tests.registry import Registry

_LONG = 60.0


def running(*argv: str, **spec: Any) -> dict[str, Any]:
    """Return a pod whose container runs a command of its own."""
    return {"spec": {"containers": [{"name": "build", "command": list(argv)}], **spec}}


class _OnACluster(InPods):
    def setUp(self) -> None:
        super().setUp()
        self.begin()

    async def refused(
        self, error: type[DrydockError], provider: KubernetesProvider, token: str = "drydock-1"
    ) -> str:
        """Return what is said as a pod cannot be made."""
        call = Deferred.fromCoroutine(provider.create(token, HostSpec()))
        return str(await self.assertFailure(call, error))

    async def ended(self, provider: KubernetesProvider) -> Observed:
        """Return what is said of the only pod once somebody else has deleted it."""
        while True:
            for each in await provider.inventory():
                if each.has_ended:
                    return each
            await self.pause()


class TestWhatIsWrong(_OnACluster):
    """With the blueprint, its image, or the cluster."""

    async def test_an_image_that_is_missing_and_never_pulled(self) -> None:
        said = await self.refused(Misconfigured, self.new_provider(image="localhost/none:1"))
        self.assertIn("ErrImageNeverPull", said)
        self.assertIn("localhost/none:1", said)
        self.assertIn("image_pull_policy", said)

    async def test_a_registry_that_does_not_answer(self) -> None:
        provider = self.new_provider(image="127.0.0.1:1/none:1", image_pull_policy="Always")
        said = await self.refused(RetryLater, provider)
        self.assertIn("refused", said)
        self.assertIn("127.0.0.1:1/none:1", said)

    async def test_a_registry_that_does_not_have_the_image(self) -> None:
        registry = Registry()
        self.addCleanup(registry.stop)
        provider = self.new_provider(image=registry.name("none"), image_pull_policy="Always")
        said = await self.refused(Misconfigured, provider)
        self.assertIn("not found", said)
        self.assertIn("image_pull_secrets", said)

    async def test_a_container_that_cannot_be_configured(self) -> None:
        said = await self.refused(Misconfigured, self.new_provider(run_as_non_root=True))
        self.assertIn("CreateContainerConfigError", said)
        self.assertIn("Remedy: give run_as_user a number", said)

    async def test_a_container_that_cannot_be_started(self) -> None:
        said = await self.refused(Misconfigured, self.new_provider(pod=running("no-such-command")))
        self.assertIn("executable file not found", said)
        self.assertIn("give pod a command that the image has", said)

    async def test_an_image_without_a_python(self) -> None:
        provider = self.new_provider(image=self.cluster.small_image)
        said = await self.refused(Misconfigured, provider)
        self.assertIn("there is no program 'python3'", said)

    async def test_a_home_that_cannot_be_written_to(self) -> None:
        provider = self.new_provider(read_only=True, volumes={"/tmp": {"emptyDir": {}}})
        said = await self.refused(Misconfigured, provider)
        self.assertIn("cannot make the directory", said)

    async def test_a_pod_that_no_node_has_room_for(self) -> None:
        for fields, word in (
            ({"requests": {"cpu": 1000}}, "Insufficient cpu"),
            ({"node_selector": {"no": "such-node"}}, "affinity"),
        ):
            with self.subTest(word=word):
                provider = self.new_provider(**fields)
                said = await self.refused(NoCapacity, provider, f"drydock-{word[:2].lower()}")
                self.assertIn("is unschedulable: 0/1 nodes are available", said)
                self.assertIn(word, said)

    async def test_a_pod_that_waits_for_a_node_says_so_meanwhile(self) -> None:
        provider = self.new_provider(requests={"cpu": 1000}, unschedulable_timeout=600)
        waiting = Deferred.fromCoroutine(provider.create("drydock-1", HostSpec()))
        while True:
            found = await provider.inventory()
            if found and "Insufficient cpu" in found[0].reason:
                break
            await self.pause()
        self.assertIs(found[0].health, Health.STARTING)
        self.assertFalse(waiting.called)
        await provider.destroy("drydock-1")
        await waiting

    async def test_a_volume_that_there_is_not(self) -> None:
        volumes = {"/cache": {"persistentVolumeClaim": {"claimName": "no-such-claim"}}}
        said = await self.refused(Misconfigured, self.new_provider(volumes=volumes))
        self.assertIn("no-such-claim", said)
        self.assertIn("Remedy: give volumes a claim", said)

    async def test_a_quota_that_is_exceeded(self) -> None:
        api = self.cluster.api
        quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}}
        api.create_namespaced_resource_quota(self.namespace, quota)
        while not api.read_namespaced_resource_quota("few", self.namespace).status.hard:
            await self.pause()
        provider = self.new_provider()
        await self.ready(provider)
        said = await self.refused(NoCapacity, provider, "drydock-2")
        self.assertIn("exceeded quota: few", said)
        self.assertIn("used: pods=1", said)

    async def test_what_the_cluster_does_not_let_in(self) -> None:
        limits = {
            "metadata": {"name": "small"},
            "spec": {"limits": [{"type": "Container", "max": {"cpu": "100m"}}]},
        }
        self.cluster.api.create_namespaced_limit_range(self.namespace, limits)
        for fields, word in (
            ({"requests": {"cpu": 1}, "limits": {"cpu": 1}}, "LimitRange"),
            ({"pod": {"spec": {"dnsPolicy": "Nonsense"}}}, "dnsPolicy"),
            ({"service_account": "no-such-account"}, "service_account"),
            ({"priority_class": "no-such-class"}, "priority_class"),
            ({"runtime_class": "no-such-class"}, "runtime_class"),
            ({"namespace": "no-such-namespace"}, "namespace"),
            ({"pod": "no-such-template"}, "no-such-template"),
        ):
            with self.subTest(word=word):
                said = await self.refused(Misconfigured, self.new_provider(**fields))
                self.assertIn(word, said)
                self.assertIn("Remedy: ", said)
        self.assertEqual(self.all_pods(), [])

    async def test_a_name_that_somebody_else_has(self) -> None:
        name = self.cluster.run(self.namespace)
        said = await self.refused(Misconfigured, self.new_provider(), name)
        self.assertIn(name, said)
        self.assertIn("not of this blueprint", said)
        provider = self.new_provider()
        self.assertEqual(await provider.inventory(), [])
        await provider.destroy(name)
        found = self.cluster.api.read_namespaced_pod(name, self.namespace)
        self.assertIsNone(found.metadata.deletion_timestamp)


class TestTheWayToTheCluster(_OnACluster):
    async def test_a_file_that_is_not_there_or_no_context_in_it(self) -> None:
        for fields in (
            {"kubeconfig": "/no/such/file"},
            {"context": "no-such-context"},
            {"kubeconfig": None, "in_cluster": True},
        ):
            with self.subTest(**fields):
                provider = self.new_provider(**fields)
                call = Deferred.fromCoroutine(provider.inventory())
                said = str(await self.assertFailure(call, Misconfigured))
                self.assertIn("Remedy: give kubeconfig", said)

    def changed(self, *pairs: tuple[str, str]) -> KubernetesProvider:
        """Return a provider whose kubeconfig has something else."""
        with open(self.cluster.admin) as file:
            text = file.read()
        for old, new in pairs:
            self.assertIn(old, text)
            text = text.replace(old, new)
        return self.new_provider(kubeconfig=a_file(text, ".kubeconfig"))

    async def test_a_server_that_cannot_be_verified_is_not_used(self) -> None:
        other = a_file("", ".crt")
        command = (
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout /dev/null"
        )
        subprocess.run([*command.split(), "-out", other], check=True, capture_output=True)
        with open(self.cluster.admin) as file:
            text = file.read()
        ours = text.partition("certificate-authority: ")[2].partition("}")[0]
        provider = self.changed((ours, other))
        call = Deferred.fromCoroutine(provider.inventory())
        said = str(await self.assertFailure(call, Misconfigured))
        self.assertIn("certificate", said.lower())

    async def test_a_server_that_does_not_answer(self) -> None:
        provider = self.changed(("127.0.0.1:", "127.0.0.1:1"))
        call = Deferred.fromCoroutine(provider.inventory())
        said = str(await self.assertFailure(call, RetryLater))
        self.assertIn("see whether the API server runs", said)

    async def test_credentials_that_do_not_count_any_more(self) -> None:
        provider = self.changed(("token: admin-", "token: other-"))
        call = Deferred.fromCoroutine(provider.inventory())
        said = str(await self.assertFailure(call, Misconfigured))
        self.assertIn("Unauthorized", said)
        self.assertIn("which credentials", said)


class TestWhatHappens(_OnACluster):
    """To a pod."""

    async def test_a_pod_that_runs_out_of_memory_says_so(self) -> None:
        provider = self.new_provider(
            pod=running("sh", "-c", "sleep 5; exec tail /dev/zero"),
            requests={"memory": "64Mi"},
            limits={"memory": "128Mi"},
        )
        await self.ready(provider)
        seen = await self.until(provider, Health.FAILING)
        self.assertIn("OOMKilled", seen.reason)
        self.assertIn("raise limits['memory']", seen.reason)

    async def test_a_pod_that_ends_by_itself_leaves_its_last_words(self) -> None:
        script = "sleep 5; echo the last words; exit 3"
        provider = self.new_provider(pod=running("sh", "-c", script))
        await self.ready(provider)
        seen = await self.until(provider, Health.FAILING)
        self.assertIn("exit code 3", seen.reason)
        self.assertIn("the last words", seen.reason)

    async def test_a_pod_that_ends_at_once_is_no_mystery(self) -> None:
        script = "echo cannot start >&2; exit 4"
        said = await self.refused(Misconfigured, self.new_provider(pod=running("sh", "-c", script)))
        self.assertIn("exit code 4", said)
        self.assertIn("cannot start", said)
        self.assertIn("a command that keeps the container running", said)

    async def test_a_pod_that_ends_as_it_is_looked_at_is_no_mystery(self) -> None:
        script = "until [ -e ~/drydock ]; do sleep 0.02; done; echo seen by nobody; exit 5"
        said = await self.refused(Misconfigured, self.new_provider(pod=running("sh", "-c", script)))
        self.assertIn("exit code 5", said)
        self.assertIn("seen by nobody", said)

    async def test_a_pod_that_has_run_past_its_deadline(self) -> None:
        provider = self.new_provider(deadline=8)
        await self.ready(provider)
        seen = await self.until(provider, Health.FAILING)
        self.assertIn("longer than its deadline", seen.reason)

    async def test_a_pod_that_its_node_evicts(self) -> None:
        script = "sleep 5; head -c 5000000 /dev/zero > /room/file; exec sleep 600"
        provider = self.new_provider(
            pod=running("sh", "-c", script),
            volumes={"/room": {"emptyDir": {"sizeLimit": "1Mi"}}},
        )
        await self.ready(provider)
        seen = await self.until(provider, Health.FAILING)
        self.assertIn("was evicted by its node", seen.reason)
        self.assertIn("exceeds the limit", seen.reason)

    async def test_a_pod_that_is_preempted(self) -> None:
        name = f"high-{uuid4().hex[:8]}"
        self.cluster.scheduling.create_priority_class(
            {"metadata": {"name": name}, "value": 1000, "globalDefault": False}
        )
        self.addCleanup(self.cluster.scheduling.delete_priority_class, name)
        (node,) = self.cluster.api.list_node().items
        most = int(node.status.allocatable["cpu"])
        provider = self.new_provider(requests={"cpu": most})
        await self.ready(provider)
        waiting = Deferred.fromCoroutine(
            self.new_provider("high", requests={"cpu": most}, priority_class=name).create(
                "drydock-2", HostSpec()
            )
        )
        seen = await self.ended(provider)
        self.assertIn("Preempted", seen.end_reason)
        waiting.addErrback(lambda failure: failure.trap(NoCapacity))
        await waiting

    async def test_a_pod_that_somebody_deletes_is_told_of_at_once(self) -> None:
        provider = self.new_provider()
        resource = await self.ready(provider)
        while self.wakes.pending:
            self.wakes.get()
        waking = self.wakes.get()
        self.cluster.api.delete_namespaced_pod(resource.token, self.namespace)
        await waking
        seen = await self.ended(provider)
        self.assertEqual((seen.token, seen.identity), (resource.token, resource.identity))
        self.assertIn(resource.token, seen.end_reason)
        self.assertEqual(await provider.inventory(), [])

    async def test_a_pod_of_an_earlier_master_is_found_and_taken_over(self) -> None:
        resource = await self.ready(self.new_provider())
        restarted = self.new_provider()
        seen = await self.until(restarted, Health.READY)
        self.assertEqual(seen.identity, resource.identity)
        await restarted.create(resource.token, HostSpec())
        self.assertEqual(len(self.all_pods()), 1)

    async def test_a_pod_that_another_master_has_just_made_is_taken_for_ours(self) -> None:
        first, second = self.new_provider(), self.new_provider()
        calls = [
            Deferred.fromCoroutine(each.create("drydock-1", HostSpec())) for each in (first, second)
        ]
        for each in calls:
            await each
        self.assertEqual(len(self.all_pods()), 1)
        await self.until(second, Health.READY)

    async def test_pods_of_others_are_neither_listed_nor_deleted(self) -> None:
        await self.ready(self.new_provider())
        self.installation, before = uuid4().hex[:16], self.installation
        other = self.new_provider()
        self.installation = before
        for each in (other, self.new_provider("others")):
            self.assertEqual(await each.inventory(), [])
            await each.destroy("drydock-1")
        (pod,) = self.all_pods()
        self.assertNotIn("deletionTimestamp", pod["metadata"])

    async def test_what_is_run_is_given_up_as_the_provider_is_closed(self) -> None:
        provider = self.new_provider()
        host = provider.connect(await self.ready(provider))
        script = "touch begun; sleep 600"
        call = Deferred.fromCoroutine(host.run(["sh", "-c", script], timeout=_LONG))
        while not await host.exists("begun"):
            await self.pause()
        await provider.close()
        self.assertIn("closed", str(await self.assertFailure(call, HostUnreachable)))


class TestWhatPodsAreMadeOn(_OnACluster):
    """A template: in the configuration, in a file, or in the cluster."""

    _TEMPLATE = """
metadata: {labels: {team: qa}}
spec:
  containers:
    - name: helper
      image: IMAGE
      imagePullPolicy: Never
      command: [sleep, "3600"]
    - {name: build, image: IMAGE, env: [{name: FLAVOUR, value: vanilla}]}
"""

    async def flavour(self, provider: KubernetesProvider) -> None:
        host = provider.connect(await self.ready(provider))
        completed = await host.run(["sh", "-c", "echo $FLAVOUR $HOME"], timeout=_LONG)
        self.assertEqual(completed.stdout, b"vanilla /work\n")
        (pod,) = self.all_pods()
        self.assertEqual(pod["metadata"]["labels"]["team"], "qa")
        for each in pod["spec"]["containers"]:
            self.assertIs(each["securityContext"]["allowPrivilegeEscalation"], False)
        self.assertIs(pod["spec"]["automountServiceAccountToken"], False)

    def more(self, pod: object) -> dict[str, Any]:
        return {
            "pod": pod,
            "container": "build",
            "env": {"HOME": "/work"},
            "volumes": {"/work": {"emptyDir": {}}},
            "run_as_user": 1000,
            "run_as_group": 1000,
            "run_as_non_root": True,
            "cap_drop": ["ALL"],
        }

    def text(self) -> str:
        return self._TEMPLATE.replace("IMAGE", self.cluster.small_image)

    async def test_a_file(self) -> None:
        await self.flavour(self.new_provider(**self.more(a_file(self.text(), ".yaml"))))

    async def test_a_pod_template_of_the_namespace(self) -> None:
        template = {"metadata": {"name": "builds"}, "template": yaml.safe_load(self.text())}
        self.cluster.api.create_namespaced_pod_template(self.namespace, template)
        await self.flavour(self.new_provider(**self.more("builds")))

    async def test_a_file_that_is_no_pod(self) -> None:
        for content, word in (("[1]", "no dictionary"), ("{a: 1}", "neither"), ("{", "expected")):
            with self.subTest(content=content):
                provider = self.new_provider(pod=a_file(content, ".yaml"))
                said = await self.refused(Misconfigured, provider)
                self.assertIn(word, said)
                self.assertIn("Remedy: give pod", said)


class TestTheCluster(_OnACluster):
    """What happens to parts of it."""

    async def test_pods_survive_an_api_server_that_is_killed_and_are_watched_again(self) -> None:
        provider = self.new_provider()
        resource = await self.ready(provider)
        self.cluster.kill("apiserver")
        call = Deferred.fromCoroutine(provider.inventory())
        await self.assertFailure(call, RetryLater)
        self.cluster.start("apiserver")
        seen = await self.until(provider, Health.READY)
        self.assertEqual(seen.identity, resource.identity)
        self.cluster.api.delete_namespaced_pod(resource.token, self.namespace)
        await self.ended(provider)

    async def test_pods_survive_a_kubelet_that_is_killed(self) -> None:
        provider = self.new_provider()
        resource = await self.ready(provider)
        host = provider.connect(resource)
        await host.start(["sleep", "600"], tag="it")
        self.cluster.kill("kubelet")
        call = Deferred.fromCoroutine(host.run(["true"], timeout=_LONG))
        await self.assertFailure(call, HostUnreachable)
        self.cluster.start("kubelet")
        seen = await self.until(provider, Health.READY)
        self.assertEqual(seen.identity, resource.identity)
        while True:
            try:
                self.assertTrue(await host.running("it"))
                break
            except HostUnreachable:
                await self.pause()  # its server begins a moment later

    async def test_a_pod_on_a_lost_node_keeps_its_place_and_is_reported(self) -> None:
        provider = self.new_provider()
        resource = await self.ready(provider)
        self.cluster.freeze("kubelet")
        try:
            while True:
                (seen,) = await provider.inventory()
                if seen.end_reason:
                    break
                await self.pause()
            self.assertIs(seen.health, Health.READY)
            self.assertIn("its node localhost does not answer", seen.end_reason)
            await provider.destroy(resource.token)
            while not any(isinstance(each, events.HostLost) for each in self.told):
                (seen,) = await provider.inventory()
                self.assertEqual(seen.identity, resource.identity)
                await self.pause()
            (lost,) = [each for each in self.told if isinstance(each, events.HostLost)]
            self.assertEqual(lost.host, "localhost")
            self.assertIn("its place is not free", lost.reason)
            (seen,) = await provider.inventory()
            self.assertIn("should have ended", seen.reason)
        finally:
            self.cluster.thaw("kubelet")
        while await provider.inventory():
            await self.pause()
        self.assertTrue(any(isinstance(each, events.HostReturned) for each in self.told))

    async def test_a_watch_goes_on_after_what_it_knew_last_has_expired(self) -> None:
        provider = self.new_provider()
        resource = await self.ready(provider)
        fields = KubernetesPodsFields(
            image="it", namespace=self.namespace, kubeconfig=self.cluster.admin
        )
        heard: list[Pod] = []
        selector = as_selector(labels_of(self.installation))
        watch = Watch(Connection(fields), selector, lambda call, *told: call(*told))
        watch.add("it", lambda pod, is_gone: heard.append(pod))
        watch.version = "1"  # before this server was started
        watch.start()
        self.addCleanup(watch.stop)
        while not heard:
            await self.pause()
        self.assertEqual({each.uid for each in heard}, {resource.identity})
        self.assertGreater(int(watch.version), 1)
