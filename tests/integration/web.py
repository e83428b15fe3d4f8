"""A real master with its web server, and visitors who ask it over HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import treq
from buildbot.config import BuilderConfig
from buildbot.plugins import util
from buildbot.test.util.integration import RunMasterBase
from buildbot.www import auth, authz
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool

from buildbot_drydock.config import Drydock
from buildbot_drydock.latent.synthetic import SyntheticPool
from buildbot_drydock.service import DrydockService
from buildbot_drydock.workerpool import WorkerPool
from buildbot_drydock.www.authz import DrydockEndpointMatcher

ANA, BOB, EVE = "ana@example.org", "bob@example.org", "eve@example.org"
USERS = {ANA: "a", BOB: "b", EVE: "e"}
PATIENCE = 600  # looks at something that is to happen, 50 ms apart


def rules() -> authz.Authz:
    """Ana may do everything; who requested a lease may renew and release it; others only read."""
    return util.Authz(
        allowRules=[
            DrydockEndpointMatcher(action="re[ln]e*", role="owner", defaultDeny=False),
            DrydockEndpointMatcher(action="request", blueprint="linux", role="people"),
            util.AnyControlEndpointMatcher(role="admins"),
        ],
        roleMatchers=[
            util.RolesFromOwner(role="owner"),
            util.RolesFromUsername(roles=["admins", "people"], usernames=[ANA]),
            util.RolesFromUsername(roles=["people"], usernames=[BOB, EVE]),
        ],
    )


class Visitor:
    """Somebody with a browser: asks, and remembers the cookies that he got."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._cookies: Any = None
        self._agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))
        self._client = treq.client.HTTPClient(self._agent)

    async def log_in(self, name: str) -> None:
        response = await self._client.get(
            f"{self.base}auth/login", auth=(name, USERS[name]), allow_redirects=False
        )
        assert response.code in (200, 302), response.code
        await response.content()
        self._cookies = response.cookies()

    async def ask(self, path: str) -> tuple[int, Any]:
        """GET; return the status and what was answered."""
        response = await self._client.get(f"{self.base}api/v2/{path}", cookies=self._cookies)
        return response.code, _parsed(await response.content())

    async def post(self, path: str, body: bytes) -> tuple[int, Any]:
        response = await self._client.post(
            f"{self.base}api/v2/{path}",
            data=body,
            headers={"Content-Type": "application/json"},
            cookies=self._cookies,
        )
        return response.code, _parsed(await response.content())

    async def send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        response = await self._client.request(
            method, f"{self.base}api/v2/{path}", data=body, headers=headers, cookies=self._cookies
        )
        return response.code, await response.content()

    async def act(self, path: str, method: str, **params: Any) -> tuple[int, Any]:
        """POST an action; return the status, and the result or the message of the error."""
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        code, answer = await self.post(path, json.dumps(call).encode())
        return code, answer["error"]["message"] if "error" in answer else answer["result"]

    async def rows(self, path: str) -> list[dict[str, Any]]:
        code, answer = await self.ask(path)
        assert code == 200, (code, answer)
        (rows,) = (value for key, value in answer.items() if key != "meta")
        found: list[dict[str, Any]] = rows
        return found

    async def listen(self, path: str) -> Listener:
        response = await self._client.get(f"{self.base}sse/listen/{path}", unbuffered=True)
        assert response.code == 200, response.code
        listener = Listener()
        response.original.deliverBody(_Stream(listener))
        await listener.wait_for(lambda: listener.shaken_hands)
        return listener


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content


class Listener:
    """Hears messages as they come."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.shaken_hands = False
        self.closed: Deferred[None] = Deferred()
        self.transport: Any = None

    def keys(self) -> list[str]:
        return [key for key, _ in self.messages]

    async def wait_for(self, condition: Callable[[], Any]) -> Any:
        return await wait_for(condition)

    async def heard(self, key: str) -> dict[str, Any]:
        await self.wait_for(lambda: key in self.keys())
        return [message for each, message in self.messages if each == key][-1]

    async def close(self) -> None:
        self.transport.loseConnection()
        await self.closed
        # The server hears of it a moment later.
        await wait_for(lambda: not any("HTTPChannel" in repr(each) for each in readers()))


class _Stream:
    """What a response's body is delivered to."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._rest = b""

    def makeConnection(self, transport: Any) -> None:
        self._listener.transport = transport

    def dataReceived(self, data: bytes) -> None:
        self._listener.text += data.decode()
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for each in whole:
            if b"handshake" in each:
                self._listener.shaken_hands = True
            else:
                message = json.loads(each.partition(b"data: ")[2])
                self._listener.messages.append(("/".join(message["key"]), message["message"]))

    def connectionLost(self, reason: Any) -> None:
        self._listener.closed.callback(None)


def readers() -> list[Any]:
    found: list[Any] = reactor.getReaders()  # type: ignore[attr-defined]
    return found


async def wait_for(condition: Callable[[], Any | Awaitable[Any]]) -> Any:
    """Look until a condition holds, and return what it answers."""
    for _ in range(PATIENCE):
        found = condition()
        if hasattr(found, "__await__"):
            found = await found
        if found:
            return found
        await deferLater(reactor, 0.05)
    raise AssertionError("it did not happen")


class WebTestCase(RunMasterBase):
    """A master with two blueprints of synthetic hosts, ``linux`` and ``gpu``."""

    def setUp(self) -> None:
        self.blueprints = [
            SyntheticPool("linux", limit=2, labels={"os": "debian"}, boot_seconds=0),
            SyntheticPool("gpu", limit=1, labels={"gpu": "yes"}, boot_seconds=0),
        ]
        self.authz: Any = rules()

    def configuration(self) -> dict[str, Any]:
        drydock = Drydock(
            blueprints=self.blueprints,
            workers=[WorkerPool("linux", size=1, requires={"os": "debian"})],
        )
        config: dict[str, Any] = {
            "db_url": f"sqlite:///{self.directory}/state.sqlite",
            "protocols": {"null": {}},
            "multiMaster": True,
            "builders": [
                BuilderConfig(
                    name="tests",
                    workernames=drydock.workernames("linux"),
                    factory=util.BuildFactory([]),
                )
            ],
            "workers": [],
            "configurators": [],
            "www": {
                "port": "tcp:0:interface=127.0.0.1",
                "auth": auth.UserPasswordAuth(USERS),
                "authz": self.authz,
                "plugins": {},
            },
        }
        drydock.configure(config)
        return config

    async def start(self) -> None:
        self.directory = os.path.abspath(self.mktemp())
        os.makedirs(self.directory)
        await self.setup_master(self.configuration(), startWorker=False, basedir=self.directory)
        port = self.master.www.getPortnum()
        self.url = f"http://127.0.0.1:{port}/"
        self.anyone = Visitor(self.url)

    @property
    def service(self) -> DrydockService:
        service: DrydockService = self.master.service_manager.namedServices["drydock"]
        return service

    async def visitor(self, name: str) -> Visitor:
        visitor = Visitor(self.url)
        await visitor.log_in(name)
        return visitor

    async def active_lease(self, visitor: Visitor, **params: Any) -> int:
        """Request a lease, and wait until it is active."""
        params.setdefault("blueprints", ["linux"])
        code, lease = await visitor.act("drydock_leases", "request", **params)
        self.assertEqual(code, 200, lease)
        number: int = lease["leaseid"]
        await self.becomes(f"drydock_leases/{number}", status="active")
        return number

    async def becomes(self, path: str, **wanted: Any) -> dict[str, Any]:
        """Wait until the one row at a path has these values."""

        async def has() -> dict[str, Any] | None:
            (row,) = await self.anyone.rows(path)
            return row if {name: row[name] for name in wanted} == wanted else None

        row: dict[str, Any] = await wait_for(has)
        return row
