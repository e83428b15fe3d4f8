"""A master in memory that answers as the data API does, for tests of the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import httpx

from buildbot_drydock.cli.invocation import Invocation
from buildbot_drydock.cli.output import Output
from buildbot_drydock.cli.program import run

START = 1_800_000_000.0
LIVING = ("pending", "acquired", "active")


class PretendedMaster:
    """*before* and *after* are called with each request, and may raise what the network would.

    A lease becomes active at the second look at it.
    """

    def __init__(self) -> None:
        self.now = START
        self.leases: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.before: Callable[[httpx.Request], None] = lambda request: None
        self.after: Callable[[httpx.Request], None] = lambda request: None
        self.becomes = "active"
        self.reason = ""
        self._looks = 0

    @property
    def living(self) -> list[int]:
        return [number for number, row in self.leases.items() if row["status"] in LIVING]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.before(request)
        response = self._answer(request)
        self.after(request)
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2/")
        if request.method == "POST":
            call = json.loads(request.content)
            self.requests.append(f"{call['method']} {path}")
            return self._act(path, call["method"], call["params"])
        self.requests.append(f"GET {path}")
        if path.startswith("drydock_leases/") and path.count("/") == 1:
            return self._rows("drydock_leases", [self.leases[int(path.rpartition("/")[2])]])
        if path == "drydock_leases":
            return self._rows(path, self._looked_at(request))
        if path == "drydock_events":
            after = int(request.url.params.get("eventid__gt", 0))
            return self._rows(path, [row for row in self.events if row["eventid"] > after])
        if path.startswith("drydock_resources/"):
            row = {"host": "", "identity": "i-1", "address": "10.0.0.1", "labels": {"os": "debian"}}
            return self._rows("drydock_resources", [row])
        return self._rows(path, [])

    def _rows(self, name: str, rows: list[dict[str, Any]]) -> httpx.Response:
        return httpx.Response(200, json={name: rows, "meta": {"total": len(rows)}})

    def _looked_at(self, request: httpx.Request) -> list[dict[str, Any]]:
        if "leaseid" not in request.url.params:
            return [self.leases[number] for number in self.living]
        self._looks += 1
        numbers = [int(each) for each in request.url.params.get_list("leaseid")]
        for number in numbers:
            row = self.leases[number]
            if self._looks >= 2 and row["status"] == "pending":
                row.update(status=self.becomes, resourceid=3, blueprint="linux", reasons=[])
                row["reason"] = self.reason
                self._event(number, f"lease-{self.becomes}")
        return [self.leases[number] for number in numbers]

    def _act(self, path: str, method: str, params: dict[str, Any]) -> httpx.Response:
        if method == "request":
            number = len(self.leases) + 1
            self.leases[number] = {
                "leaseid": number,
                "status": "pending",
                "reasons": [{"kind": "full", "blueprint": "linux", "sentence": "linux is full"}],
                "attributes": params["attributes"],
                "expires_at": self.now + params["seconds"],
                "until": params.get("until"),
                "resourceid": None,
                "blueprint": None,
                "reason": "",
            }
            self._event(number, "lease-requested")
        else:
            number = int(path.rpartition("/")[2])
            if method == "release":
                self.leases[number].update(status="released", reason=params["reason"], reasons=[])
        result = {"jsonrpc": "2.0", "id": 1, "result": self.leases[number]}
        return httpx.Response(200, json=result)

    def _event(self, lease: int, kind: str) -> None:
        self.events.append(
            {
                "eventid": len(self.events) + 1,
                "at": self.now,
                "kind": kind,
                "sentence": f"{kind}, it says.",
                "leaseid": lease,
                "resourceid": None,
                "blueprint": None,
            }
        )


class Call:
    """One call of ``drydock`` in this process."""

    def __init__(self, master: PretendedMaster) -> None:
        self.master = master
        self.out, self.errors = io.StringIO(), io.StringIO()
        self.paused: Callable[[], None] = lambda: None
        self.invocation = Invocation(
            output=Output(file=self.out, errors=self.errors),
            now=lambda: master.now,
            pause=self._pause,
            transport=httpx.MockTransport(master.answer),
        )
        self.invocation.interruptions.install = lambda: None  # type: ignore[method-assign]

    def _pause(self, seconds: float) -> None:
        self.master.now += seconds
        self.paused()

    def run(self, *arguments: str) -> int:
        return run(["--config", "/dev/null", *arguments], self.invocation)
