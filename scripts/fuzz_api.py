#!/usr/bin/env python
"""Ask a real master's data API odd things, over HTTP, and see that it bears them.

``DRYDOCK_REQUESTS`` says how many (10000), ``DRYDOCK_SEED`` which. Counted are

* ``requests``: those made, each answered;
* ``server_errors``: answers of 500 and above, or with a traceback in them;
* ``forbidden_changes``: rounds of requests by visitors who may change nothing, after which a row of
  Drydock's tables was another than before; and events of what these visitors did.

Writes ``build/fuzz-api.json``; exits with 1 unless the last two are 0, and there were that many.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from demo_master import Master
from fuzz_requests import Request, Requests

ROOT = Path(__file__).resolve().parents[1]
HOST, PORT = "127.0.0.1", 8012
ROUND = 40  # requests of each kind of visitor, before the tables are looked at
TABLES = ("blueprints", "hosts", "resources", "leases", "slot_locks", "events", "uses", "costs")


class Visitor:
    """Somebody with a cookie, or without."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.headers: dict[str, str] = {}
        self.connection = http.client.HTTPConnection(HOST, PORT, timeout=60)

    def log_in(self) -> None:
        login = base64.b64encode(f"{self.name}:{self.name}".encode()).decode()
        self.connection.request("GET", "/auth/login", headers={"Authorization": f"Basic {login}"})
        response = self.connection.getresponse()
        response.read()
        assert response.status == 302, f"{self.name} could not log in: {response.status}"
        # The first is that of the session that began before the login.
        cookie = response.headers.get_all("Set-Cookie", [])[-1]
        self.headers["Cookie"] = cookie.partition(";")[0]

    def ask(self, request: Request) -> tuple[int, bytes]:
        try:
            return self._ask(request)
        except (BrokenPipeError, http.client.RemoteDisconnected):
            # The server closes a connection when it is old; a new one it has to answer on.
            self.connection.close()
        try:
            return self._ask(request)
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            return 599, repr(error).encode()

    def _ask(self, request: Request) -> tuple[int, bytes]:
        headers = {**self.headers, **request.headers}
        self.connection.request(request.method, f"/api/v2/{request.path}", request.body, headers)
        response = self.connection.getresponse()
        return response.status, response.read()


class Fuzz:
    def __init__(self, directory: Path, requests: int, seed: int) -> None:
        self.master = Master(directory, ROOT / "scripts" / "fuzz_api.cfg", f"http://{HOST}:{PORT}/")
        self.wanted = requests
        self.seed = seed
        self.figures = Counter(requests=0, server_errors=0, forbidden_changes=0)
        self.statuses: Counter[str] = Counter()

    def run(self) -> None:
        self.master.create()
        self.master.start()
        self.master.wait_until_up()
        self.master.wait_for(lambda: self.master.rows("drydock_blueprints"), 60, "our paths")
        self.random = Random(self.seed)
        self.requests = Requests(self.master.rows("application.spec?limit=1000"), self.random)
        self.admin, self.owner, self.other = map(Visitor, ("admin", "owner", "other"))
        self.anyone = Visitor()
        for visitor in (self.admin, self.owner, self.other):
            visitor.log_in()
        while self.figures["requests"] < self.wanted:
            self.round()

    def round(self) -> None:
        # What an admin does is allowed; afterwards there is something to be protected.
        for _ in range(ROUND):
            self.send(self.admin, self.requests.any())
        self.send(self.admin, self.call("drydock_blueprints/linux", "resume", {}))
        reset = {"reset": ["limit", "idle_timeout", "max_uses", "max_age", "failure_budget"]}
        self.send(self.admin, self.call("drydock_blueprints/linux", "edit", reset))
        self.send(self.admin, self.call("drydock_leases", "request", {"seconds": 3000}))
        before = self.settled()
        for visitor in (self.anyone, self.other, self.owner):
            for _ in range(ROUND):
                self.send(visitor, self.requests.any())
        if self.settled() != before:
            self.figures["forbidden_changes"] += 1
            print("a row was changed by who may change nothing", flush=True)
        done = self.figures["requests"]
        if done // 1000 > (done - 4 * ROUND) // 1000:
            print(f"{done} of {self.wanted} requests: {dict(self.figures)}", flush=True)

    def call(self, path: str, method: str, params: dict[str, Any]) -> Request:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"Content-Type": "application/json"}
        return Request("POST", path, json.dumps(body).encode(), headers)

    def send(self, visitor: Visitor, request: Request) -> None:
        status, answer = visitor.ask(request)
        self.figures["requests"] += 1
        self.statuses[f"{request.method} {status}"] += 1
        if status >= 500 or b"Traceback" in answer:
            self.figures["server_errors"] += 1
            shown = (request.body or b"")[:300]
            print(
                f"{status} for {visitor.name} {request.method} {request.path} {shown!r}: {answer[:300]!r}"
            )

    def settled(self) -> str:
        """Return a fingerprint of all rows, once two in a row are the same."""
        last = ["" for _ in range(8)]

        def look() -> str:
            last.append(self.fingerprint())
            return last[-1] if len(set(last[-8:])) == 1 else ""

        return self.master.wait_for(look, 60, "the rows to settle")

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for table in TABLES:
            for row in self.master.query(f"SELECT * FROM drydock_{table} ORDER BY 1"):
                digest.update(repr(row).encode())
        return digest.hexdigest()

    def judge(self) -> bool:
        """Add what the events say, and tell whether all went well."""
        acted = self.master.query(
            "SELECT count(*) FROM drydock_events WHERE actor NOT IN ('drydock', 'admin')"
        )
        self.figures["forbidden_changes"] += acted[0][0]
        return (
            not self.figures["server_errors"]
            and not self.figures["forbidden_changes"]
            and self.figures["requests"] >= self.wanted
            and self.statuses["POST 200"] > 0
            and self.statuses["POST 403"] > 0
        )


def main() -> int:
    requests = int(os.environ.get("DRYDOCK_REQUESTS", "10000"))
    seed = int(os.environ.get("DRYDOCK_SEED", "1"))
    with tempfile.TemporaryDirectory() as directory:
        fuzz = Fuzz(Path(directory) / "master", requests, seed)
        try:
            fuzz.run()
            well = fuzz.judge()
            for line in fuzz.master.log.read_text(errors="replace").splitlines():
                if "while handling API request" in line:
                    print(line)
        except SystemExit:
            print(fuzz.master.log.read_text(errors="replace")[-3000:])
            raise
        finally:
            fuzz.master.stop()
    figures = {**fuzz.figures, "seed": seed, "statuses": dict(sorted(fuzz.statuses.items()))}
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "fuzz-api.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
