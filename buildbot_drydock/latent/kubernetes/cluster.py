"""One cluster: calls to it, in threads of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import yaml
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from buildbot_drydock.latent.kubernetes.connection import RAW, Connection
from buildbot_drydock.latent.kubernetes.failures import bad_template
from buildbot_drydock.latent.kubernetes.fields import is_file
from buildbot_drydock.remote.kubernetes.exchange import Place
from buildbot_drydock.remote.kubernetes.machine import PodMachine
from buildbot_drydock.remote.shell.streaming import StreamedExchange

T = TypeVar("T")

_CALL_THREADS: Final = 8
_COMMAND_THREADS: Final = 50
_ENDING_SECONDS: Final = 10.0
_TAIL_LINES: Final = 15
_TAIL_CHARACTERS: Final = 1500


class Cluster:
    """Makes calls, each once. Raises ``CallFailed`` for what the cluster says, or does not say."""

    def __init__(
        self,
        connection: Connection,
        pod: Mapping[str, Any] | str | None,
        blueprint: str,
        reactor: Any,  # IReactorFromThreads and IReactorTime
    ) -> None:
        """*pod* is what pods are made on top of, or where that is."""
        self.where = connection.where
        self.namespace = connection.namespace
        self._pod = pod
        self._reactor = reactor
        self._connection = connection
        self._calls = ThreadPool(0, _CALL_THREADS, f"drydock-kubernetes-{blueprint}")
        self._commands = ThreadPool(0, _COMMAND_THREADS, f"drydock-exec-{blueprint}")
        for each in (self._calls, self._commands):
            each.start()
        self._exchanges: set[StreamedExchange] = set()

    # --- calls, each in a thread --------------------------------------------------------------

    def in_thread(self, function: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._calls, function)

    async def pods(self, selector: str) -> Sequence[Mapping[str, Any]]:
        """List the pods of a selector, as they are now."""
        items, _ = await self.in_thread(lambda: self._connection.list_pods(selector))
        return items

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        doing = f"make pod {body['metadata']['name']}"
        return await self._call(
            doing, lambda api: api.create_namespaced_pod(self.namespace, body, **RAW)
        )

    async def pod(self, name: str) -> Mapping[str, Any]:
        return await self._call(
            f"look at pod {name}",
            lambda api: api.read_namespaced_pod(name, self.namespace, **RAW),
        )

    async def delete(self, name: str, body: Mapping[str, Any]) -> None:
        await self._call(
            f"delete pod {name}",
            lambda api: api.delete_namespaced_pod(name, self.namespace, body=body, **RAW),
        )

    async def events(self, uid: str) -> Sequence[Mapping[str, Any]]:
        """Return what the cluster has noted about a pod, oldest first."""
        found = await self._call(
            "list the events of a pod",
            lambda api: api.list_namespaced_event(
                self.namespace, field_selector=f"involvedObject.uid={uid}", **RAW
            ),
        )
        return sorted(
            found.get("items") or (), key=lambda each: str(each.get("lastTimestamp") or "")
        )

    async def log(self, name: str, container: str) -> str:
        """Return the end of what a container wrote."""

        def read() -> str:
            doing = f"read the log of pod {name}"
            data = self._connection.answer(
                doing,
                lambda api: api.read_namespaced_pod_log(
                    name, self.namespace, container=container, tail_lines=_TAIL_LINES, **RAW
                ),
            )
            return data.decode(errors="replace").strip()[-_TAIL_CHARACTERS:]

        return await self.in_thread(read)

    async def template(self) -> Mapping[str, Any]:
        """Return what pods are made on top of, from wherever it is."""
        pod = self._pod
        if isinstance(pod, str):
            if is_file(pod):
                return await self.in_thread(lambda: read_template(pod))
            found = await self._call(
                f"read PodTemplate {pod}",
                lambda api: api.read_namespaced_pod_template(pod, self.namespace, **RAW),
            )
            return dict(found.get("template") or {})
        return pod or {}

    async def _call(self, doing: str, function: Callable[[Any], Any]) -> Mapping[str, Any]:
        def call() -> Mapping[str, Any]:
            return dict(json.loads(self._connection.answer(doing, function) or b"{}"))

        return await self.in_thread(call)

    # --- commands ----------------------------------------------------------------------------

    def machine(self, pod: str, container: str) -> PodMachine:
        """Return the way into a pod."""
        place = Place(namespace=self.namespace, pod=pod, container=container)
        return PodMachine(
            self._reactor, self._commands, self._connection.configuration, place, self._exchanges
        )

    async def close(self, threads: ThreadPool) -> None:
        """Make no more calls; *threads* waits for those that are under way."""
        for each in list(self._exchanges):
            each.cancel()
        for pool in (self._calls, self._commands):
            ending: Deferred[None] = deferToThreadPool(self._reactor, threads, pool.stop)
            ending.addTimeout(_ENDING_SECONDS, self._reactor)
            ending.addErrback(lambda _: None)  # a call hangs; it ends by its own limit
            await ending
        self._connection.close()


def read_template(path: str) -> Mapping[str, Any]:
    """Read a pod, or a PodTemplate, from a YAML file. Raises ``CallFailed``. Blocks."""
    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise bad_template(path, str(error)) from error
    if not isinstance(found, dict):
        raise bad_template(path, "it has no dictionary at its top")
    whole = found.get("template") if found.get("kind") == "PodTemplate" else found
    if not isinstance(whole, dict) or not {"spec", "metadata"} & whole.keys():
        raise bad_template(path, "it has neither 'spec' nor 'metadata'")
    return whole
