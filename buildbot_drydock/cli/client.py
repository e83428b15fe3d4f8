"""Asking a master: rows by GET, actions by POST, and a log-in before either if it takes one."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

from buildbot_drydock.cli.exits import (
    CommandError,
    MasterFailed,
    NotAllowed,
    NotFound,
    NotLoggedIn,
    NotReady,
    Refused,
    Unreachable,
    WrongSettings,
)
from buildbot_drydock.cli.settings import Settings

API: Final = "api/v2/"
LOGIN: Final = "auth/login"
CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0
MOST_ROWS: Final = 1_000  # of one page
_FRESH_SECONDS: Final = 600.0  # since a log-in
NO_DRYDOCK: Final = "Drydock does not run on this master"

Row = dict[str, Any]
Values = str | int | float | Iterable[str | int | float]


class Client:
    """*now* is this machine's clock; ``master_now`` is the master's, as far as it has told.

    Each call may raise one of ``exits``: ``Unreachable`` if no answer came, ``NotLoggedIn``,
    ``NotAllowed``, ``NotFound`` or ``Refused`` with the master's own sentence, or ``MasterFailed``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], float],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._now = now
        self._transport = transport
        self._logged_in = False
        self._logged_in_at = 0.0
        self._http = self._connected()
        self.clock_difference: float | None = None  # seconds that the master is ahead

    def _connected(self) -> httpx.Client:
        headers = {"User-Agent": "drydock", "Accept": "application/json"}
        if self._settings.token is not None:
            headers["Authorization"] = f"Bearer {self._settings.token}"
        try:
            return httpx.Client(
                base_url=self._settings.master,
                headers=headers,
                timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
                verify=self._trusted(),
                transport=self._transport,
            )
        except (ssl.SSLError, OSError) as problem:
            raise WrongSettings(f"ca_file: {problem}") from None

    def _trusted(self) -> ssl.SSLContext | bool:
        if not self._settings.ca_file:
            return True
        return ssl.create_default_context(cafile=self._settings.ca_file)

    @property
    def master(self) -> str:
        return self._settings.master

    def master_now(self) -> float:
        return self._now() + (self.clock_difference or 0.0)

    def close(self) -> None:
        self._http.close()

    def start_afresh(self) -> None:
        """Drop the connections, one of which may have been left in the middle of an answer."""
        cookies = self._http.cookies
        with suppress(Exception):
            self._http.close()
        self._http = self._connected()
        self._http.cookies = cookies

    # --- reading -----------------------------------------------------------------------------

    def rows(self, path: str, **filters: Values) -> list[Row]:
        """Return the rows below a path of the data API, as they are: one page of them."""
        answer = self._read(path, filters)
        found = [value for key, value in answer.items() if key != "meta"]
        if len(found) != 1 or not isinstance(found[0], list):
            raise self._strange(path)
        rows: list[Row] = found[0]
        return rows

    def row(self, path: str, what: str) -> Row:
        """Return the one row at a path; *what* names it in the complaint if there is none."""
        try:
            rows = self.rows(path)
        except NotFound as problem:
            if NO_DRYDOCK in problem.message:
                raise
            raise NotFound(f"there is no {what}") from None
        if len(rows) != 1:
            raise NotFound(f"there is no {what}")
        return rows[0]

    def _read(self, path: str, filters: Mapping[str, Values]) -> Mapping[str, Any]:
        query = {
            name: value if isinstance(value, str | int | float) else list(value)
            for name, value in filters.items()
        }
        response = self._authorized(
            lambda: self._send("GET", API + path, params=query),
        )
        answer = self._parsed(response)
        if not isinstance(answer, dict):
            raise self._strange(path)
        return answer

    # --- acting ------------------------------------------------------------------------------

    def act(self, path: str, method: str, params: Mapping[str, Any] | None = None) -> Row:
        """Do something; return the row as it is then. If it is ``Unreachable``, it may be done."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": given}
        if self._settings.user and not self._logged_in:
            self.log_in()
        response = self._authorized(lambda: self._send("POST", API + path, json=call))
        answer = self._parsed(response)
        result = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(result, dict):
            raise self._strange(path)
        return result

    # --- logging in --------------------------------------------------------------------------

    def log_in(self) -> None:
        """Log in. Raises ``NotLoggedIn`` if the master does not accept it."""
        user = self._settings.user
        if not user:
            raise NotLoggedIn("nobody is logged in", "give --user, and the password by a file")
        response = self._send("GET", LOGIN, auth=(user, self._password()), follow_redirects=False)
        if response.status_code in (401, 403):
            raise NotLoggedIn(
                f"{self.master} does not accept the password of {user}",
                "see that user and password are those of the master's web page",
            )
        if response.status_code >= 400:
            raise NotLoggedIn(
                f"{self.master} has no log-in by password ({response.status_code})",
                "if a proxy logs people in, give token_file",
            )
        self._logged_in = True
        self._logged_in_at = self._now()

    def _password(self) -> str:
        if self._settings.password is not None:
            return self._settings.password
        if self._settings.ask_password is None:
            raise NotLoggedIn(
                f"there is no password for {self._settings.user}",
                "give --password-file, or DRYDOCK_PASSWORD",
            )
        return self._settings.ask_password()

    def _authorized(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send; if it takes somebody who is logged in, log in and send once more."""
        response = send()
        if response.status_code != 403:
            return response
        # A session ends after a while; a refusal soon after the log-in is meant.
        stale = self._now() - self._logged_in_at > _FRESH_SECONDS
        if self._settings.user and (not self._logged_in or stale):
            self.log_in()
            return send()
        return response

    # --- answers -----------------------------------------------------------------------------

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.HTTPError as problem:
            _heed_a_signal(problem)
            raise self._failed(problem) from None
        self._compare_clocks(response)
        return response

    def _failed(self, problem: httpx.HTTPError) -> CommandError:
        """Return what a request that got no answer amounts to."""
        if isinstance(problem, httpx.TimeoutException):
            return Unreachable(
                f"{self.master} does not answer",
                "the master hangs or the network is cut: look at its twistd.log",
                may_be_done=not isinstance(problem, httpx.ConnectTimeout),
            )
        if isinstance(problem, httpx.TransportError):
            return Unreachable(
                f"{self.master} can't be reached: {problem}",
                "see that the master runs, and that --master is its address",
                may_be_done=not isinstance(problem, httpx.ConnectError),
            )
        return MasterFailed(f"{self.master} answers oddly: {problem}")

    def _compare_clocks(self, response: httpx.Response) -> None:
        with suppress(KeyError, ValueError, TypeError):
            date = parsedate_to_datetime(response.headers["Date"]).timestamp()
            # The header has whole seconds: it is half of one late on the average.
            difference = date + 0.5 - self._now()
            self.clock_difference = 0.0 if abs(difference) < 1.5 else difference

    def _parsed(self, response: httpx.Response) -> Any:
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = None
        if response.status_code < 300 and answer is not None:
            return answer
        raise self._complaint(response, _sentence(answer))

    def _complaint(self, response: httpx.Response, sentence: str) -> CommandError:
        code = response.status_code
        match code:
            case 400 | 501 if sentence:
                return Refused(sentence)
            case 401 | 403:
                return self._forbidden(sentence)
            case 404 if NO_DRYDOCK in sentence:
                return NotReady(
                    sentence, "put it into the configuration of the master, or ask another"
                )
            case 404 if sentence.startswith("Invalid path"):
                return NotReady(sentence, "see that Drydock runs on this master")
            case 404 if sentence:
                return NotFound(sentence)
            case 502 | 503 | 504:
                return Unreachable(f"{self.master} is not there: its proxy answers {code}")
            case 300 | 301 | 302 | 303 | 307 | 308:
                target = response.headers.get("Location", "elsewhere")
                return MasterFailed(f"{self.master} sends us to {target}", "give that as --master")
        return MasterFailed(
            f"{self.master} answers {code}" + (f": {sentence}" if sentence else ""),
            "" if sentence else "see that --master is the address of a Buildbot's web page",
        )

    def _forbidden(self, sentence: str) -> CommandError:
        sentence = sentence or "it is not allowed"
        if self._logged_in or self._settings.token is not None:
            return NotAllowed(sentence, "ask who writes the rules, c['www']['authz']")
        return NotLoggedIn(
            f"{sentence}, and nobody is logged in", "give --user, and the password by a file"
        )

    def _strange(self, path: str) -> MasterFailed:
        return MasterFailed(
            f"{self.master}{API}{path} answers as no Buildbot does",
            "see that --master is the address of a Buildbot's web page",
        )


def _sentence(answer: Any) -> str:
    """Return what an error says of itself, as text."""
    if not isinstance(answer, dict):
        return ""
    error = answer.get("error", "")
    message = error.get("message", "") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


def _heed_a_signal(problem: BaseException) -> None:
    """Raise what ended a request from outside, if its clean-up failed and so took its place."""
    cause: BaseException | None = problem
    while cause is not None:
        if not isinstance(cause, Exception):
            raise cause
        cause = cause.__cause__ or cause.__context__


def part(name: str | int) -> str:
    """Return a name as a part of a path."""
    return quote(str(name), safe="")
