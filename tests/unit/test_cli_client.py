from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httpx
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.cli import exits
from buildbot_drydock.cli.client import Client
from buildbot_drydock.cli.exits import MEANINGS, CommandError, Exit
from buildbot_drydock.cli.settings import Settings

NOW = 1_800_000_000.0
ROWS = {"drydock_leases": [{"leaseid": 1}], "meta": {"total": 1}}


def client(answer: Callable[[httpx.Request], httpx.Response], **settings: Any) -> Client:
    return Client(Settings(**settings), now=lambda: NOW, transport=httpx.MockTransport(answer))


def always(code: int, **content: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(code, **content)


class ReadingTests(SynchronousTestCase):
    def test_rows_are_what_is_beside_the_count_of_them(self) -> None:
        asked = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(str(request.url))
            return httpx.Response(200, json=ROWS)

        rows = client(answer).rows("drydock_leases", status=["pending", "active"], limit=5)
        self.assertEqual(rows, [{"leaseid": 1}])
        self.assertEqual(
            asked,
            ["http://localhost:8010/api/v2/drydock_leases?status=pending&status=active&limit=5"],
        )

    def test_a_path_below_which_the_master_is_stays(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            self.assertEqual(request.url.path, "/ci/api/v2/drydock_leases")
            return httpx.Response(200, json=ROWS)

        client(answer, master="https://example.org/ci/").rows("drydock_leases")

    def test_a_token_goes_with_each_request(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            self.assertEqual(request.headers["Authorization"], "Bearer t0ken")
            return httpx.Response(200, json=ROWS)

        client(answer, token="t0ken").rows("drydock_leases")


class ErrorTests(SynchronousTestCase):
    def fails(
        self, answer: Callable[[httpx.Request], httpx.Response], error: type[Any], **settings: Any
    ) -> CommandError:
        found: CommandError = self.assertRaises(
            error, client(answer, **settings).rows, "drydock_leases"
        )
        return found

    def test_each_answer_leads_to_its_error(self) -> None:
        sentence = {"error": "limit: -1 is not between 0 and 1000"}
        for code, content, error in (
            (400, {"json": sentence}, exits.Refused),
            (403, {"json": sentence}, exits.NotLoggedIn),
            (404, {"json": sentence}, exits.NotFound),
            (404, {"json": {"error": "Drydock does not run on this master"}}, exits.NotReady),
            (404, {"json": {"error": "Invalid path: drydock_leases"}}, exits.NotReady),
            (404, {"text": "<html>nothing</html>"}, exits.MasterFailed),
            (500, {"json": sentence}, exits.MasterFailed),
            (502, {"text": "bad gateway"}, exits.Unreachable),
            (200, {"text": "<html>welcome</html>"}, exits.MasterFailed),
            (200, {"json": {"meta": {}}}, exits.MasterFailed),
            (200, {"json": [1]}, exits.MasterFailed),
        ):
            problem = self.fails(always(code, **content), error)
            if "json" in content and content["json"] == sentence:
                self.assertIn("limit: -1", problem.message)

    def test_a_redirect_is_told_and_not_followed(self) -> None:
        answer = always(301, headers={"Location": "https://ci.example.org/"})
        self.assertIn("https://ci.example.org/", self.fails(answer, exits.MasterFailed).message)

    def test_what_the_network_does_is_unreachable(self) -> None:
        for error, may_be_done in (
            (httpx.ConnectError, False),
            (httpx.ConnectTimeout, False),
            (httpx.ReadTimeout, True),
            (httpx.ReadError, True),
            (httpx.RemoteProtocolError, True),
        ):

            def answer(request: httpx.Request, error: Any = error) -> httpx.Response:
                raise error("cut", request=request)

            problem = self.fails(answer, exits.Unreachable)
            assert isinstance(problem, exits.Unreachable)
            self.assertIs(problem.may_be_done, may_be_done, error)

    def test_every_exit_code_has_a_meaning_and_every_error_one_of_its_own(self) -> None:
        self.assertEqual(set(MEANINGS), set(Exit))
        errors = [each for each in CommandError.__subclasses__() if each.kind != "problems-found"]
        self.assertEqual(len({each.exit for each in errors}), len(errors))
        self.assertEqual(len({each.kind for each in errors}), len(errors))


class LogInTests(SynchronousTestCase):
    """A master that lets nobody act, and reads if told, who has not logged in."""

    def setUp(self) -> None:
        self.paths: list[str] = []
        self.readable = True

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        if request.url.path == "/auth/login":
            right = request.headers["Authorization"] == "Basic YW5hOmE="  # ana:a
            headers = {"Set-Cookie": "TWISTED_SESSION=s1; Path=/", "Location": "/"}
            return httpx.Response(302 if right else 401, headers=headers if right else {})
        known = "s1" in request.headers.get("Cookie", "")
        if known or (self.readable and request.method == "GET"):
            reply = {"result": {"leaseid": 1}} if request.method == "POST" else ROWS
            return httpx.Response(200, json=reply)
        return httpx.Response(403, json={"error": {"message": "you need to have role 'x'"}})

    def test_reading_needs_no_log_in_if_all_may_read(self) -> None:
        client(self.answer, user="ana", password="a").rows("drydock_leases")
        self.assertNotIn("/auth/login", self.paths)

    def test_it_logs_in_once_before_acting(self) -> None:
        ana = client(self.answer, user="ana", password="a")
        ana.act("drydock_leases/1", "release")
        ana.start_afresh()
        ana.act("drydock_leases/1", "release")
        self.assertEqual(self.paths, ["/auth/login", *["/api/v2/drydock_leases/1"] * 2], self.paths)

    def test_it_logs_in_to_read_if_that_is_refused(self) -> None:
        self.readable = False
        client(self.answer, user="ana", password="a").rows("drydock_leases")
        self.assertEqual(self.paths.count("/auth/login"), 1)

    def test_it_logs_in_again_after_a_session_has_ended(self) -> None:
        now = [NOW]
        ana = Client(
            Settings(user="ana", password="a"),
            now=lambda: now[0],
            transport=httpx.MockTransport(self.answer),
        )
        ana.act("drydock_leases/1", "release")
        ana._http.cookies.clear()
        with self.assertRaises(exits.NotAllowed):
            ana.act("drydock_leases/1", "release")
        now[0] += 700
        ana.act("drydock_leases/1", "release")
        self.assertEqual(self.paths.count("/auth/login"), 2)

    def test_the_password_is_asked_for_when_it_is_needed(self) -> None:
        asked = []

        def ask() -> str:
            asked.append(1)
            return "a"

        ana = client(self.answer, user="ana", ask_password=ask)
        ana.rows("drydock_leases")
        self.assertEqual(asked, [])
        ana.act("drydock_leases/1", "release")
        ana.act("drydock_leases/1", "release")
        self.assertEqual(asked, [1])

    def test_without_a_password_or_with_a_wrong_one_nothing_is_done(self) -> None:
        for settings in ({}, {"password": "b"}):
            ana = client(self.answer, user="ana", **settings)
            with self.assertRaises(exits.NotLoggedIn):
                ana.act("drydock_leases/1", "release")
        self.assertNotIn("/api/v2/drydock_leases/1", self.paths)

    def test_who_is_logged_in_and_may_not_is_told_so(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                return httpx.Response(403, json={"error": {"message": "you need a role"}})
            return self.answer(request)

        with self.assertRaises(exits.NotAllowed) as caught:
            client(answer, user="ana", password="a").act("drydock_leases/1", "release")
        self.assertEqual(caught.exception.message, "you need a role")


class ClockTests(SynchronousTestCase):
    def difference(self, ahead: float) -> float | None:
        answer = always(200, json=ROWS, headers={"Date": formatdate(NOW + ahead, usegmt=True)})
        asked = client(answer)
        asked.rows("drydock_leases")
        return asked.clock_difference

    def test_the_masters_clock_is_known_to_a_second(self) -> None:
        self.assertEqual(self.difference(0), 0.0)
        for ahead in (60.0, -60.0):
            self.assertLessEqual(abs((self.difference(ahead) or 0) - ahead), 1)
