"""The rights that docs/kubernetes.md prints are enough, and what is said where one of them is missing."""

from __future__ import annotations

import copy
from typing import Any

from twisted.internet.defer import Deferred

from buildbot_drydock.errors import DrydockError, Misconfigured
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.kubernetes.provider import KubernetesProvider
from buildbot_drydock.model import Health
from buildbot_drydock.testing.provider_contract import a_lease
from tests.kubernetes_cluster import documented_rules
from tests.kubernetes_pods import InPods

_ENDS = {"spec": {"containers": [{"name": "build", "command": ["sh", "-c", "echo bye; exit 3"]}]}}


def without(verb: str, resource: str) -> list[dict[str, Any]]:
    """Return the documented rules, one verb less."""
    rules = copy.deepcopy(documented_rules())
    (rule,) = [each for each in rules if resource in each["resources"]]
    rule["verbs"].remove(verb)
    return [each for each in rules if each["verbs"]]


class TestFewRights(InPods):
    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "kubeconfig": self.cluster.user}

    def granted(self, rules: list[dict[str, Any]]) -> None:
        self.cluster.grant(self.namespace, rules)

    async def lacks(self, call: Any, verb: str, resource: str) -> None:
        """Expect an error that names the right that is missing, and what to do."""
        error = await self.assertFailure(Deferred.fromCoroutine(call), Misconfigured)
        self.says(str(error), verb, resource)

    def says(self, text: str, verb: str, resource: str) -> None:
        wanted = (
            f"let a Role in the namespace {self.namespace} that is bound to buildbot have the verb "
            f"'{verb}' for '{resource}'"
        )
        self.assertIn(wanted, text)

    async def test_what_is_documented_is_enough(self) -> None:
        self.granted(documented_rules())
        provider = self.new_provider()
        resource = await self.ready(provider)
        host = provider.connect(resource)
        lease = a_lease(0, resource)
        await host.start(["sleep", "600"], tag=lease.tag)
        await provider.vacate(resource, lease)
        self.assertFalse(await host.running(lease.tag))
        await provider.destroy(resource.token)
        while await provider.inventory():
            await self.pause()
        ending = self.new_provider(pod=_ENDS)
        error = await self.error_of(ending)
        self.assertIn("bye", error)

    async def error_of(self, provider: KubernetesProvider) -> str:
        call = Deferred.fromCoroutine(provider.create("drydock-9", HostSpec()))
        return str(await self.assertFailure(call, DrydockError))

    async def test_every_documented_right_is_needed(self) -> None:
        """Each is tested below: a new one has to be, too."""
        rights = {
            (verb, resource)
            for rule in documented_rules()
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        tested = {
            *(("create", "pods"), ("get", "pods"), ("list", "pods"), ("watch", "pods")),
            *(("delete", "pods"), ("get", "pods/exec"), ("get", "pods/log"), ("list", "events")),
        }
        self.assertEqual(rights, tested)

    async def test_without_create(self) -> None:
        self.granted(without("create", "pods"))
        provider = self.new_provider()
        await self.lacks(provider.create("drydock-1", HostSpec()), "create", "pods")

    async def test_without_get(self) -> None:
        self.granted(without("get", "pods"))
        provider = self.new_provider()
        await self.ready(provider)
        await self.lacks(provider.destroy("drydock-1"), "get", "pods")

    async def test_without_list(self) -> None:
        self.granted(without("list", "pods"))
        await self.lacks(self.new_provider().inventory(), "list", "pods")

    async def test_without_watch(self) -> None:
        self.granted(without("watch", "pods"))
        provider = self.new_provider()
        while True:
            try:
                await provider.inventory()
            except Misconfigured as error:
                self.says(str(error), "watch", "pods")
                break
            await self.pause()
        self.granted(documented_rules())
        while True:
            try:
                await provider.inventory()
                break
            except Misconfigured:
                await self.pause()

    async def test_without_delete(self) -> None:
        self.granted(without("delete", "pods"))
        provider = self.new_provider()
        await self.ready(provider)
        await self.lacks(provider.destroy("drydock-1"), "delete", "pods")

    async def test_without_exec(self) -> None:
        self.granted(without("get", "pods/exec"))
        provider = self.new_provider()
        await self.lacks(provider.create("drydock-1", HostSpec()), "get", "pods/exec")

    async def test_without_logs(self) -> None:
        self.granted(without("get", "pods/log"))
        said = await self.error_of(self.new_provider(pod=_ENDS))
        self.assertIn("exit code 3", said)
        self.says(said, "get", "pods/log")

    async def test_without_events(self) -> None:
        self.granted(without("list", "events"))
        provider = self.new_provider()
        resource = await self.ready(provider)
        self.cluster.api.delete_namespaced_pod(resource.token, self.namespace)
        while True:
            found = await provider.inventory()
            if found and found[0].has_ended:
                break
            await self.pause()
        self.says(found[0].end_reason, "list", "events")
        self.assertIsNot(found[0].health, Health.FAILING)
