"""A real master process for browsers, with machines, users, and what they have done so far.

Everything here blocks: the master is a process of its own, asked over HTTP, and killed.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import Any, Final, TypeVar

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts"))

from demo_master import Master  # noqa: E402 - it lies among the scripts, which are no package

from tests.browser.machines import Machines  # noqa: E402 - it needs the same

T = TypeVar("T")

OLGA, ANA, BOB = "olga@example.org", "ana@example.org", "bob@example.org"
USERS: Final = {OLGA: "o", ANA: "a", BOB: "b"}
ADMINS: Final = [OLGA]
# Far more than anything takes: what takes longer does not come any more.
PATIENCE: Final = 180.0
_CONFIG: Final = Path(__file__).with_name("master.cfg")
_HURRY: Final = """
import sys
sys.path.append({ROOT!r})
from twisted.internet import reactor
from tests.browser.history import hurry
hurry(reactor, {site.behind}, {site.speed})
""".replace("{ROOT!r}", repr(str(ROOT)))


class Site:
    """A master in *directory*; it runs between ``start`` and ``end``.

    Its clock begins *behind* seconds ago, and goes *speed* times as fast until it shows the time.
    """

    def __init__(self, directory: Path, *, behind: float = 0.0, speed: float = 1.0) -> None:
        self.directory = directory
        self.behind = behind
        self.speed = speed
        self.worker_port, self.web_port, ssh_port = _free_ports(3)
        self.url = f"http://127.0.0.1:{self.web_port}/"
        self.machines = Machines(directory / "machines", ssh_port, ["127.0.83.1", "127.0.83.2"])
        self.master = _Master(directory / "master", _CONFIG, self.url)
        self.settings = {
            "worker_port": self.worker_port,
            "web_port": self.web_port,
            "url": self.url,
            "users": USERS,
            "admins": ADMINS,
            "python": sys.executable,
            # What takes a second seems to take as many as the clock goes faster.
            "slowness": speed,
            "hosts": [
                {"name": "build1", "address": "127.0.83.1", "slots": 2},
                {"name": "build2", "address": "127.0.83.2"},
                {"name": "build3", "address": "127.0.83.3", "disabled": "a new disk is on its way"},
                # Nobody listens there.
                {"name": "build4", "address": "127.0.83.4", "port": self.web_port},
            ],
        }
        self._cookies: dict[str, str] = {}
        self._builders: dict[str, int] = {}
        self._held = 0

    # --- the master --------------------------------------------------------------------------

    def start(self) -> None:
        assert (ROOT / "buildbot_drydock" / "www" / "static" / "scripts.js").exists(), (
            "the pages have not been built: python build_backend/drydock_bundle.py"
        )
        self.directory.mkdir(parents=True, exist_ok=True)
        self.machines.__enter__()
        self.settings["ssh"] = self.machines.ssh
        self.master.create()
        if self.behind:
            tactics = self.master.directory / "buildbot.tac"
            tactics.write_text(_HURRY.format(site=self) + tactics.read_text())
        (self.master.directory / "settings.json").write_text(json.dumps(self.settings))
        self.resume()

    def resume(self) -> None:
        """Start the master, for the first time or once more, and wait until it answers."""
        self.master.start()
        self.master.wait_until_up()
        self.until(lambda: len(self.rows("drydock_blueprints")) >= 9, "the blueprints")

    def kill(self) -> None:
        self.master.kill()

    def stop(self) -> None:
        self.master.stop()

    def end(self) -> None:
        self.let_go()
        if self.master.process is not None:
            with suppress(ProcessLookupError):  # it has ended by itself
                self.master.kill()
        self.machines.__exit__()
        shutil.rmtree(self.directory, ignore_errors=True)

    def until(self, condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """Return what *condition* returns once that is true."""
        return self.master.wait_for(condition, seconds, what)

    # --- who asks --------------------------------------------------------------------------------

    def cookie(self, user: str) -> str:
        """Log in, once, and return the cookie of the session."""
        if user not in self._cookies:
            login = base64.b64encode(f"{user}:{USERS[user]}".encode()).decode()
            request = urllib.request.Request(
                f"{self.url}auth/login", headers={"Authorization": f"Basic {login}"}
            )
            # The first is that of the session that began before the login.
            self._cookies[user] = _cookies(request)[-1].partition(";")[0]
        return self._cookies[user]

    def forget_sessions(self) -> None:
        self._cookies.clear()

    def rows(self, path: str) -> list[dict[str, Any]]:
        return self.master.rows(path)

    def act(self, user: str, path: str, method: str, **params: Any) -> Any:
        """POST an action; return its result."""
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"Content-Type": "application/json", "Cookie": self.cookie(user)}
        request = urllib.request.Request(
            f"{self.url}api/v2/{path}", json.dumps(call).encode(), headers
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} of {path}: {error.read()!r}") from None

    # --- what they do ----------------------------------------------------------------------------

    def lease(self, user: str, **params: Any) -> int:
        """Have a user request a lease; return its number."""
        number: int = self.act(user, "drydock_leases", "request", **params)["leaseid"]
        return number

    def active_lease(self, user: str, **params: Any) -> int:
        number = self.lease(user, **params)
        self.becomes(f"drydock_leases/{number}", status="active")
        return number

    def becomes(self, path: str, **wanted: Any) -> dict[str, Any]:
        """Wait until the one row at a path has these values."""

        def has() -> dict[str, Any] | None:
            rows = self.rows(path)
            return rows[0] if rows and wanted.items() <= rows[0].items() else None

        return self.until(has, f"{path} to have {wanted}")  # type: ignore[return-value]

    def force(self, builder: str, *, held: bool = False, seconds: float = 0.0) -> int:
        """Ask for a build; return the number of its build request. A held one goes on and on."""
        if not self._builders:
            self._builders = {each["name"]: each["builderid"] for each in self.rows("builders")}
        until = self.directory / f"go-{self._held}" if held else ""
        _, requests = self.act(
            OLGA,
            "forceschedulers/force",
            "force",
            builderid=str(self._builders[builder]),
            until=str(until),
            seconds=f"{seconds:.1f}",
        )
        number: int = next(iter(requests.values()))
        return number

    def finished_build(self, request: int) -> dict[str, Any]:
        """Return the last build of a request, once that is complete."""
        self.becomes(f"buildrequests/{request}", complete=True)
        return self.rows(f"builds?buildrequestid={request}&order=-buildid")[0]

    def running_build(self, request: int) -> dict[str, Any]:
        """Return the build of a request, once its command runs."""

        def runs() -> dict[str, Any] | None:
            for build in self.rows(f"builds?buildrequestid={request}"):
                if any(
                    step["name"] == "work" for step in self.rows(f"builds/{build['buildid']}/steps")
                ):
                    return build
            return None

        return self.until(runs, f"build request {request} to run")  # type: ignore[return-value]

    def let_go(self) -> None:
        """Let all builds that are held come to their end."""
        if self.directory.exists():
            (self.directory / f"go-{self._held}").touch()
        self._held += 1


class _Master(Master):
    def wait_for(self, condition: Callable[[], T], seconds: float, what: str) -> T:
        try:
            return super().wait_for(condition, seconds, what)
        except SystemExit as error:
            log = self.directory / "twistd.log"
            text = (log if log.exists() else self.log).read_text(errors="replace")
            tail = text.splitlines()[-80:]
            raise AssertionError("\n".join([str(error), *tail])) from None


class _KeepCookies(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


def _cookies(request: urllib.request.Request) -> list[str]:
    """Return the cookies that an answer sets, which may be a redirection."""
    try:
        with urllib.request.build_opener(_KeepCookies).open(request, timeout=60) as response:
            headers: Message = response.headers
    except urllib.error.HTTPError as answer:
        headers = answer.headers
    return headers.get_all("Set-Cookie") or []


def _free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago; a master that is restarted keeps its own."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
