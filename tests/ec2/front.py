"""What stands between the clients and moto: the log, the faults, and who may do what."""

from __future__ import annotations

import io
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs

from moto.server import DomainDispatcherApplication, create_backend_app

from .cloud import Cloud
from .faults import Fault, Faults
from .inspector import Call, Inspector
from .problems import EC2Error
from .records import Instance
from .systems_manager import SystemsManager

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Answer = tuple[str, list[tuple[str, str]], bytes]

_ACCESS_KEY = re.compile(r"Credential=([^/]+)/[^/]*/([^/]*)/([^/]*)/")
_ERROR_CODE = re.compile(rb"<Code>([^<]+)</Code>")


# It keeps nothing of one server, and takes a while to make ready for its first call.
_moto = DomainDispatcherApplication(create_backend_app)


class Permissions:
    """Who may do what: actions that nobody may call, and access keys that have expired."""

    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.expired_keys: set[str] = set()

    def check(self, action: str, access_key: str, service: str) -> None:
        """Raise the documented error for a call that isn't allowed."""
        if access_key in self.expired_keys:
            code = "RequestExpired" if service == "ec2" else "ExpiredTokenException"
            raise EC2Error(code, "Request has expired.")
        if any(fnmatchcase(action, pattern) for pattern in self.denied):
            code = "UnauthorizedOperation" if service == "ec2" else "AccessDeniedException"
            raise EC2Error(
                code,
                f"You are not authorized to perform this operation. User: arn:aws:iam::0:user/test"
                f" is not authorized to perform: {service}:{action}",
                403 if service == "ec2" else 400,
            )


class ConnectionBroken(ConnectionResetError):
    """The client gets no answer."""


class Front:
    """The WSGI application of one server."""

    def __init__(
        self,
        cloud: Cloud,
        faults: Faults,
        permissions: Permissions,
        inspector: Inspector,
        systems_manager: SystemsManager,
    ) -> None:
        self._cloud = cloud
        self._faults = faults
        self._permissions = permissions
        self._inspector = inspector
        self._systems_manager = systems_manager
        self._moto = _moto
        self._closed = threading.Event()

    def close(self) -> None:
        """Let go of all calls that are held up."""
        self._closed.set()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._cloud.account
        found = _ACCESS_KEY.search(environ.get("HTTP_AUTHORIZATION", ""))
        access_key, service = (found.group(1), found.group(3)) if found else ("", "ec2")
        action = _action_of(environ, body)
        call = Call(action, self._cloud.now(), access_key, body.decode("utf-8", "replace"))
        self._inspector.calls.append(call)
        try:
            status, headers, content = self._answer(environ, call, service)
        except ConnectionBroken:
            _break(environ)
            raise
        except Exception as error:  # noqa: BLE001 - whatever moto raises, a client must hear of it
            self._inspector.crashes.append(error)
            call.error = "TestServerCrashed"
            crash = EC2Error(call.error, f"{type(error).__name__}: {error}", 500)
            status, headers, content = _error_answer(crash, environ)
        call.status = int(status.split()[0])
        if call.status >= 400 and not call.error:
            code = _ERROR_CODE.search(content)
            call.error = code.group(1).decode() if code else "Error"
        start_response(status, headers)
        return [content]

    def _answer(self, environ: Environ, call: Call, service: str) -> Answer:
        fault = self._faults.strike(call.action)
        call.fault = fault is not None
        fault = fault or Fault()
        if fault.gate is not None:
            fault.gate.pass_through()
        if fault.delay:
            self._closed.wait(fault.delay)
        self._cloud.settle()
        try:
            self._permissions.check(call.action, call.access_key, service)
            if not fault.after_work:
                _fail(fault)
            answer, made = self._work(environ, call, service)
            if fault.after_work:
                for instance in made:
                    if fault.appear_after is not None:
                        instance.visible_at = self._cloud.now() + fault.appear_after
                _fail(fault)
        except _Garbage as nonsense:
            return "200 OK", [("Content-Type", "text/html")], str(nonsense).encode()
        except EC2Error as error:
            call.error = error.code
            return _error_answer(error, environ)
        return answer

    def _work(self, environ: Environ, call: Call, service: str) -> tuple[Answer, list[Instance]]:
        """Let moto do the call; returns its answer and the instances the call made."""
        own = self._systems_manager.answers(call.action) if service == "ssm" else None
        if own is not None:
            content = json.dumps(own(json.loads(call.body))).encode()
            return ("200 OK", [("Content-Type", "application/x-amz-json-1.1")], content), []
        if service != "ec2":
            return self._ask_moto(environ), []
        with self._cloud.lock:
            before = len(self._cloud.instances)
            answer = self._ask_moto(environ)
            return answer, list(self._cloud.instances.values())[before:]

    def _ask_moto(self, environ: Environ) -> Answer:
        kept: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            kept["status"], kept["headers"] = status, headers

        content = b"".join(self._moto(environ, start_response))
        return kept["status"], kept["headers"], content


class _Garbage(Exception):
    """The body of an answer that is none."""


def _fail(fault: Fault) -> None:
    if fault.reset:
        raise ConnectionBroken("Planned by the test")
    if fault.garbage is not None:
        raise _Garbage(fault.garbage)
    if fault.error is not None:
        raise fault.error


def _action_of(environ: Environ, body: bytes) -> str:
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rpartition(".")[2]
    fields = parse_qs(body.decode("utf-8", "replace")) or parse_qs(environ.get("QUERY_STRING", ""))
    return fields.get("Action", [environ.get("PATH_INFO", "")])[0]


def _error_answer(error: EC2Error, environ: Environ) -> Answer:
    status = f"{error.status} Refused"
    if environ.get("HTTP_X_AMZ_TARGET"):
        kind = str(environ.get("CONTENT_TYPE", "application/x-amz-json-1.1"))
        return status, [("Content-Type", kind)], error.as_json().encode()
    return status, [("Content-Type", "text/xml;charset=UTF-8")], error.as_xml().encode()


def _break(environ: Environ) -> None:
    """Close the connection so that the client sees a reset, not an end."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
