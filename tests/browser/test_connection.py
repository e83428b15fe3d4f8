"""What comes over the connection, and what a visitor sees of a master that goes away."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Visit

ANA, BOB, OLGA = "ana@example.org", "bob@example.org", "olga@example.org"

# What a browser itself says of a server that is not there; there is no way to keep it from that.
_AWAY = ["net::ERR_", "WebSocket connection to", "503 (Service Unavailable)", "502 (Bad Gateway)"]


class Frames:
    """What a page says and hears over its WebSocket."""

    def __init__(self, page: Any) -> None:
        self.said: list[dict[str, Any]] = []
        self.heard: list[str] = []
        page.on("websocket", self._opened)

    def _opened(self, socket: Any) -> None:
        socket.on("framesent", lambda text: self.said.append(json.loads(text)))
        socket.on("framereceived", lambda text: self.heard.append(text))

    def paths(self, command: str) -> list[str]:
        return [each["path"] for each in self.said if each["cmd"] == command]

    @property
    def topics(self) -> list[str]:
        return self.paths("startConsuming")

    def statuses(self, lease: int) -> list[str]:
        """Return which statuses a lease has had, by what was heard of it, and in that order."""
        keys = [f"drydock_leases/{lease}/{event}" for event in ("new", "update")]
        return [message["status"] for key, message in self.messages() if key in keys]

    def messages(self) -> list[tuple[str, dict[str, Any]]]:
        heard = map(json.loads, self.heard)
        return [(each["k"], each["m"]) for each in heard if "k" in each]


def wait_for(page: Any, condition: Callable[[], Any]) -> Any:
    """Look until a condition holds, while the page's events go on; return what it answers."""
    for _ in range(600):
        if found := condition():
            return found
        page.wait_for_timeout(100)
    raise AssertionError("it did not happen")


def test_the_page_hears_of_each_lease_and_of_no_secret(visit: Visit, site: Any) -> None:
    visitor = visit()
    frames = Frames(visitor.page)
    page = visitor.open("")
    page.get_by_role("region", name="In use").wait_for()
    wait_for(page, lambda: "drydock_leases/*/*" in frames.topics)
    assert all(topic.startswith("drydock_") for topic in frames.topics), frames.topics
    number = site.active_lease(BOB, blueprints=["cloud"], attributes={"why": "an experiment"})
    site.act(BOB, f"drydock_leases/{number}", "release")
    build = site.finished_build(site.force("tests"))
    (of_build,) = site.rows(f"builds/{build['buildid']}/drydock_leases")
    for each in (number, of_build["leaseid"]):
        # What it was in between may have passed too quickly to be told.
        wait_for(page, lambda each=each: "destroyed" in frames.statuses(each))
    rows = [
        message for key, message in frames.messages() if key.startswith(f"drydock_leases/{number}/")
    ]
    # What somebody writes about a lease is on the page of that lease alone.
    assert (rows[-1]["owner"], rows[-1]["attributes"]) == (f"person/{BOB}", {})
    assert "an experiment" not in "".join(frames.heard)
    secrets = [nonce for (nonce,) in site.master.query("SELECT nonce FROM drydock_leases")]
    assert len(secrets) >= 2
    everything = "".join(frames.heard)
    assert not [each for each in secrets if each in everything or each[:12] in everything]
    # Where the key of the lab is may be known; what is in it may not.
    key = Path(site.settings["ssh"]["keys"][0]).read_text().splitlines()
    assert not [line for line in key if line in everything]


def test_only_what_is_on_the_screen_is_asked_for(visit: Visit) -> None:
    visitor = visit()
    frames = Frames(visitor.page)
    page = visitor.open("timeline")
    page.get_by_role("region", name="cloud").wait_for()
    wait_for(page, lambda: "drydock_resources/*/*" in frames.topics)
    assert not [topic for topic in frames.topics if topic.startswith("drydock_hosts")]
    page.goto(page.url.partition("#")[0] + "#/drydock/blueprints")
    page.get_by_role("heading", name="Blueprints", level=1).wait_for()

    left = {"drydock_resources/*/*", "drydock_leases/*/*"}
    wait_for(page, lambda: left <= set(frames.paths("stopConsuming")))


@pytest.mark.parametrize(("how", "path"), [("kill", ""), ("stop", "timeline")])
def test_a_master_that_goes_away_is_noticed_and_found_again(
    visit: Visit, site: Any, how: str, path: str
) -> None:
    visitor = visit()
    visitor.forgiven += _AWAY
    page = visitor.open(path)
    place = page.get_by_role("region", name="In use" if path == "" else "cloud")
    place.wait_for()
    before = page.locator("main").inner_text()
    getattr(site, how)()
    banner = page.get_by_role("status").filter(has_text="Connection lost.")
    banner.wait_for()
    # What was there is shown as before, for whoever comes to look.
    assert place.is_visible(), before
    site.resume()
    banner.wait_for(state="detached")
    number = site.active_lease(BOB, blueprints=["cloud"])
    page.get_by_role("link", name=f"Lease {number} of" if path else str(number)).first.wait_for()
    site.act(BOB, f"drydock_leases/{number}", "release")
    assert visitor.saw_no_reload()
