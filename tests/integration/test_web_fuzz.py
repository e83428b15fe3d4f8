"""Whatever is asked of the data API: no server error, and nothing changed by who may not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.web import ANA, BOB, Visitor, WebTestCase

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from fuzz_requests import ACTIONS, NUMBERS, TEXTS, Request, Requests

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["limit", "offset", "order", "field", "leaseid", "owner", "since__gt", "kind"]
)
PATHS = st.sampled_from(
    [
        *("drydock_leases", "drydock_leases/1", "drydock_resources", "drydock_resources/1"),
        *("drydock_events", "drydock_events/1", "drydock_blueprints", "drydock_blueprints/linux"),
        *("drydock_hosts", "drydock_hosts/build1", "drydock_leases/1/drydock_events"),
        *("drydock_blueprints/linux/drydock_leases", "builds/1/drydock_leases"),
        *("drydock_costs", "drydock_costs/1", "drydock_spending", "builders/1/drydock_spending"),
        *("builds/1/drydock_costs", "drydock_leases/1/drydock_costs"),
        *("drydock_authorizations", "drydock_authorizations/1"),
        *("drydock_ledger", "drydock_ledger/linux-0123456789abcdef"),
    ]
)


def _call(path: str, method: str, params: Any) -> Request:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    return Request("POST", path, body.encode(), {"Content-Type": "application/json"})


def _question(path: str, arguments: list[tuple[str, str]]) -> Request:
    pairs = [f"{quote(name)}={quote(value, safe='')}" for name, value in arguments]
    return Request("GET", f"{path}?{'&'.join(pairs)}")


METHODS = st.sampled_from(sorted({name for names in ACTIONS.values() for name in names}))
FIELDS = st.sampled_from(
    [
        *("reason", "until", "seconds", "requires", "blueprints", "break_leases"),
        *("blueprint", "subject"),
    ]
)
READABLE = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.sampled_from([str(each) for each in NUMBERS] + [t for t in TEXTS if t != "\ud800"])
ARGUMENTS = st.tuples(NAMES, VALUES) | st.tuples(NAMES | READABLE, VALUES | READABLE)
QUESTIONS = st.builds(_question, PATHS, st.lists(ARGUMENTS, min_size=1, max_size=2))
CALLS = st.builds(
    _call, PATHS, METHODS | st.text(max_size=8), st.dictionaries(FIELDS | st.text(), JSON) | JSON
)
BODIES = st.builds(
    lambda path, body: Request("POST", path, body, {"Content-Type": "application/json"}),
    PATHS,
    st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()),
)


def some(strategy: st.SearchStrategy[Request], number: int) -> list[Request]:
    """Return what a strategy makes: a question to a master takes a reactor, which examples lack."""
    made: list[Request] = []

    @settings(max_examples=number, suppress_health_check=list(HealthCheck), database=None)
    @given(strategy)
    def collect(request: Request) -> None:
        made.append(request)

    collect()
    return made


class FuzzTests(WebTestCase):
    async def test_no_question_and_no_action_is_a_server_error_or_changes_what_it_may_not(
        self,
    ) -> None:
        await self.start()
        ana, bob = await self.visitor(ANA), await self.visitor(BOB)
        await self.active_lease(ana)
        await self.service.maintenance.disable_host("build1", actor="bo")
        spec = await self.anyone.rows("application.spec?limit=1000")
        requests = [
            *some(QUESTIONS, 200),
            *some(CALLS | BODIES, 100),
            *(Requests(spec, Random(seed)).any() for seed in range(100)),
        ]
        await self.becomes("drydock_blueprints/linux", leased=1)
        before = await self.all_rows()
        for request in requests:
            await self.send(self.anyone, request)
            if not self.is_request(request):
                await self.send(bob, request)
        self.assertEqual(await self.all_rows(), before)
        codes = [await self.send(ana, request) for request in requests]
        self.assertLessEqual({200, 400, 404}, set(codes))

    def is_request(self, request: Request) -> bool:
        """Bob may request leases of his own."""
        return request.path == "drydock_leases" and b"request" in (request.body or b"")

    async def send(self, visitor: Visitor, request: Request) -> int:
        code, answer = await visitor.send(
            request.method, request.path, request.body, dict(request.headers)
        )
        self.assertLess(code, 500, (request, answer))
        self.assertNotIn(b"Traceback", answer)
        return code

    async def all_rows(self) -> Any:
        rows = await self.service.store.rows()
        events = await self.service.store.events(limit=1000)
        return rows.blueprints, rows.hosts, rows.resources, rows.leases, events
