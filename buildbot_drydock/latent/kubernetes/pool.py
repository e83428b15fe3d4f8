"""``KubernetesPods``: pods of Kubernetes as build hosts."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING, Any, Final

from buildbot_drydock.errors import DrydockError
from buildbot_drydock.interfaces import Host as RemoteHost
from buildbot_drydock.latent.definition import Definition, Surroundings
from buildbot_drydock.latent.fitness import Interpreters
from buildbot_drydock.latent.interpreter import interpreter
from buildbot_drydock.latent.kubernetes.explaining import Explanations
from buildbot_drydock.latent.kubernetes.failures import Cause
from buildbot_drydock.latent.kubernetes.fields import (
    KubernetesPodsFields,
    as_selector,
    labels_of,
)
from buildbot_drydock.latent.kubernetes.launching import Launcher
from buildbot_drydock.latent.kubernetes.nodes import Nodes
from buildbot_drydock.latent.kubernetes.provider import KubernetesProvider, Rules
from buildbot_drydock.latent.problems import Problem
from buildbot_drydock.latent.worker_host import wanted_interpreter

if TYPE_CHECKING:
    from buildbot_drydock.latent.kubernetes.watching import Watch

__all__ = ["KubernetesPods", "KubernetesPodsFields"]

_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


class KubernetesPods(Definition):
    """Pods of Kubernetes: one for each lease, or kept for several."""

    kind = "kubernetes"
    fields_class = KubernetesPodsFields
    provider_class = KubernetesProvider

    def __init__(self, name: object = "", *unnamed: object, **arguments: Any) -> None:
        super().__init__(name, *unnamed, **arguments)
        self.problems = (
            *self.problems,
            *self._problems_of_name(),
            *self._problems_of_installation(),
        )

    def _problems_of_name(self) -> list[Problem]:
        if not self.name or _LABEL.fullmatch(self.name):
            return []
        message = f"the name {self.name!r} can't be a label of pods, which they are known by"
        remedy = "let it begin and end with a letter or a digit, and have 63 characters at most"
        return [self.problem("name", message, remedy)]

    def _problems_of_installation(self) -> list[Problem]:
        if importlib.util.find_spec("kubernetes") is not None:
            return []
        message = "clusters are used with the library kubernetes, which is not installed"
        remedy = "run pip install 'buildbot-drydock[kubernetes]' in the master's environment"
        return [self.problem("namespace", message, remedy)]

    @property
    def pool_fields(self) -> KubernetesPodsFields:
        fields = self.fields
        assert isinstance(fields, KubernetesPodsFields)
        return fields

    def provider(self, surroundings: Surroundings) -> KubernetesProvider:
        # The library is there only where pods are used.
        from buildbot_drydock.latent.kubernetes.cluster import Cluster
        from buildbot_drydock.latent.kubernetes.connection import Connection
        from buildbot_drydock.latent.kubernetes.watching import WATCHES, Watch

        fields, reactor = self.pool_fields, surroundings.reactor
        cluster = Cluster(Connection(fields), fields.pod, self.name, reactor)
        wanted = wanted_interpreter(fields)

        async def find_interpreter(host: RemoteHost) -> str:
            return await interpreter(host, wanted)

        def trouble() -> DrydockError | None:
            failed = watch.trouble
            return failed.error if failed is not None and failed.cause is Cause.BARRED else None

        key = object()
        place = (
            *(fields.kubeconfig, fields.context, fields.in_cluster, fields.namespace),
            surroundings.installation,
        )
        provider = KubernetesProvider(
            cluster,
            Launcher(cluster, fields),
            Interpreters(find_interpreter, fields.directory),
            Explanations(cluster),
            Nodes(lambda event: surroundings.report(self.name, event)),
            Rules(
                installation=surroundings.installation,
                blueprint=self.name,
                directory=fields.directory,
                stop_grace=fields.stop_grace,
                unschedulable_timeout=fields.unschedulable_timeout,
                prestarts=fields.prestart,
                most_uses=1 if fields.idle_timeout == 0 else fields.max_uses,
            ),
            reactor=reactor,
            threads=surroundings.thread_pool,
            trouble=trouble,
            wake=surroundings.wake,
            closing=lambda: WATCHES.leave(place, key),
        )

        def new_watch() -> Watch:
            selector = as_selector(labels_of(surroundings.installation))
            return Watch(Connection(fields), selector, reactor.callFromThread)

        watch = WATCHES.join(place, key, provider.heard, new_watch)
        return provider
