"""The connection to a cluster, for use in threads: the client library blocks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import kubernetes.client
import kubernetes.config
import urllib3
import urllib3.exceptions
import yaml
from kubernetes.client.exceptions import ApiException

from buildbot_drydock.latent.kubernetes.failures import (
    CallFailed,
    refused,
    silent,
    unconfigured,
    unready,
)
from buildbot_drydock.latent.kubernetes.fields import KubernetesPodsFields
from buildbot_drydock.remote.kubernetes.failures import said_in

CONNECTING_SECONDS: Final = 10
ANSWER_SECONDS: Final = 30
_BAD: Final = 300

# How calls are made: replies are read as they are.
RAW: Final[dict[str, Any]] = {
    "_preload_content": False,
    "_request_timeout": (CONNECTING_SECONDS, ANSWER_SECONDS),
}


class Connection:
    """Makes calls, each once. Raises ``CallFailed`` for what the cluster says, or does not say."""

    def __init__(self, fields: KubernetesPodsFields) -> None:
        self.where = fields.where
        self.namespace = fields.namespace
        self._fields = fields
        self._lock = threading.Lock()
        self._api: Any = None

    def list_pods(self, selector: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        """Return the pods of a selector, and the version that the listing is of. Blocks."""
        data = self.answer(
            "list the pods",
            lambda api: api.list_namespaced_pod(self.namespace, label_selector=selector, **RAW),
        )
        found = json.loads(data)
        return found.get("items") or (), str(found["metadata"]["resourceVersion"])

    def answer(self, doing: str, function: Callable[[Any], Any]) -> bytes:
        """Return what a call is answered with. Blocks."""
        response = self.response(doing, function)
        try:
            return bytes(response.data)
        except urllib3.exceptions.HTTPError as error:
            raise silent(self.where, doing, str(error)) from error

    def response(self, doing: str, function: Callable[[Any], Any]) -> Any:
        """Return the reply to a call, with its body not read. Blocks until that begins.

        A server that has just started refuses everything, until it has read who may do what.
        """
        try:
            return self._response(doing, function)
        except CallFailed as failed:
            if not failed.is_refusal:
                raise
            if not self._is_ready():
                raise unready(failed) from failed
        return self._response(doing, function)

    def _is_ready(self) -> bool:
        """Tell whether the server says that it has read all that it needs to know. Blocks."""
        client = self.api().api_client
        settings = client.configuration.auth_settings().values()
        headers = {each["key"]: each["value"] for each in settings if each.get("in") == "header"}
        try:
            reply = client.rest_client.pool_manager.request(
                "GET",
                f"{client.configuration.host.rstrip('/')}/readyz",
                headers=headers,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECTING_SECONDS, read=ANSWER_SECONDS),
            )
        except (urllib3.exceptions.HTTPError, OSError):
            return False
        return bool(reply.status < _BAD)

    def _response(self, doing: str, function: Callable[[Any], Any]) -> Any:
        try:
            response = function(self.api())
        except ApiException as error:
            said = said_in(error.body) or str(error.reason)
            if not error.status:
                raise silent(self.where, doing, said) from error
            raise refused(self.where, doing, int(error.status), said) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise silent(self.where, doing, str(error)) from error
        if response.status >= _BAD:
            raise refused(self.where, doing, response.status, said_in(response.data))
        return response

    def api(self) -> Any:
        """Return the client, for any thread. Blocks at first."""
        with self._lock:
            if self._api is None:
                self._api = kubernetes.client.CoreV1Api(
                    kubernetes.client.ApiClient(self._configuration())
                )
            return self._api

    def configuration(self) -> Any:
        return self.api().api_client.configuration

    def _configuration(self) -> Any:
        fields, configuration = self._fields, kubernetes.client.Configuration()
        try:
            if fields.in_cluster:
                kubernetes.config.load_incluster_config(client_configuration=configuration)
            else:
                kubernetes.config.load_kube_config(
                    config_file=fields.kubeconfig,
                    context=fields.context,
                    client_configuration=configuration,
                )
        except (kubernetes.config.ConfigException, OSError, yaml.YAMLError) as error:
            raise unconfigured(self.where, str(error)) from error
        configuration.retries = 0
        return configuration

    def close(self) -> None:
        if self._api is not None:
            with suppress(Exception):
                self._api.api_client.close()
