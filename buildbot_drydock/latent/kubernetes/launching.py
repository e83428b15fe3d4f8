"""How one pod is made for one token, however often that is asked for: its name is the token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildbot_drydock.latent.kubernetes import requests
from buildbot_drydock.latent.kubernetes.failures import (
    CallFailed,
    Cause,
    bad_template,
    leaving,
    taken,
)
from buildbot_drydock.latent.kubernetes.fields import BUILD_CONTAINER, KubernetesPodsFields
from buildbot_drydock.latent.kubernetes.listing import Pod, pod_of
from buildbot_drydock.latent.kubernetes.requests import BadTemplate, Order

if TYPE_CHECKING:
    from buildbot_drydock.latent.kubernetes.cluster import Cluster


class Launcher:
    """Makes pods. Raises ``CallFailed``."""

    def __init__(self, cluster: Cluster, fields: KubernetesPodsFields) -> None:
        self._cluster = cluster
        self._fields = fields
        # In which container workers run; a template that is not in the configuration may tell
        # another name, once it has been read.
        self.container = _container(fields)

    async def made(self, order: Order) -> Pod:
        """Have the order's pod made, unless there is one; return it."""
        body = await self._manifest(order)
        try:
            return pod_of(await self._cluster.create(body))
        except CallFailed as failed:
            if failed.cause is not Cause.TAKEN:
                raise
        return await self._ours(order)

    async def _manifest(self, order: Order) -> dict[str, object]:
        template = await self._cluster.template()
        try:
            return requests.pod(self._fields, template, order)
        except BadTemplate as error:
            raise bad_template(f"pod of blueprint {order.blueprint}", str(error)) from error

    async def _ours(self, order: Order) -> Pod:
        """Return the pod that has our name, if it is ours."""
        found = await self._cluster.pod(order.token)
        if not requests.is_ours(found, order):
            raise taken(self._cluster.where, order.token)
        pod = pod_of(found)
        if pod.is_leaving:
            raise leaving(self._cluster.where, order.token)
        return pod


def _container(fields: KubernetesPodsFields) -> str:
    if isinstance(fields.pod, dict):
        return requests.build_container(fields, fields.pod.get("spec") or {})
    return fields.container or BUILD_CONTAINER
