"""What a connection makes of a server that refuses what it is asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import Misconfigured, RetryLater
from buildbot_drydock.latent.kubernetes.connection import Connection
from buildbot_drydock.latent.kubernetes.failures import CallFailed, Cause
from buildbot_drydock.latent.kubernetes.fields import KubernetesPodsFields

_FORBIDDEN = (
    403,
    {
        "kind": "Status",
        "message": 'pods is forbidden: User "bot" cannot list resource "pods" in API group "" in the '
        'namespace "builds"',
    },
)
_LISTED = (200, {"metadata": {"resourceVersion": "7"}, "items": []})
_READY, _UNREADY = (200, {}), (500, {})


class TestARefusal(SynchronousTestCase):
    def connection(self, pods: list[Any], ready: Any) -> Connection:
        """Return one to a server that answers so, call by call."""
        answers: dict[str, Callable[[], Any]] = {
            "/api/v1/namespaces/builds/pods": lambda: pods.pop(0),
            "/readyz": lambda: ready,
        }

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content = answers[self.path.partition("?")[0]]()
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        kubeconfig = {
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "bot"}}],
            "clusters": [
                {"name": "it", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
            ],
            "users": [{"name": "bot", "user": {"token": "it"}}],
        }
        path = Path(self.mktemp())
        path.write_text(json.dumps(kubeconfig))
        fields = KubernetesPodsFields(image="it", namespace="builds", kubeconfig=str(path))
        connection = Connection(fields)
        self.addCleanup(connection.close)
        return connection

    def test_by_a_server_that_has_just_started_passes(self) -> None:
        connection = self.connection([_FORBIDDEN], _UNREADY)
        failed = self.assertRaises(CallFailed, connection.list_pods, "all")
        self.assertIsInstance(failed.error, RetryLater)
        self.assertIs(failed.cause, Cause.UNREACHABLE)
        self.assertIn("'list' for 'pods'", str(failed.error))
        self.assertIn("has just started", str(failed.error))

    def test_by_a_server_that_got_ready_meanwhile_is_none(self) -> None:
        connection = self.connection([_FORBIDDEN, _LISTED], _READY)
        self.assertEqual(connection.list_pods("all"), ((), "7"))

    def test_by_one_that_is_ready_is_somebodys_to_put_right(self) -> None:
        connection = self.connection([_FORBIDDEN, _FORBIDDEN], _READY)
        failed = self.assertRaises(CallFailed, connection.list_pods, "all")
        self.assertIsInstance(failed.error, Misconfigured)
        self.assertIs(failed.cause, Cause.BARRED)
