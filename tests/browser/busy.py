"""What a site looks like on an ordinary day: some hours of builds and leases, and much going on."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from random import Random
from typing import Final

from tests.browser.site import ANA, BOB, OLGA, Site

BEHIND: Final = 6 * 3600.0  # seconds of history
SPEED: Final = 240.0


def busy_site(directory: Path) -> Site:
    """Return a site that has not been started."""
    return Site(directory, behind=BEHIND, speed=SPEED)


def live_through(site: Site) -> None:
    """Use a site that has just been started until its clock shows the time, and then some more."""
    random = Random(1)
    pause = threading.Event()
    held: list[tuple[str, int]] = []
    started = time.monotonic()
    site.act(OLGA, "drydock_blueprints/arm", "pause", reason="waits for a new kernel")
    _decide(site)
    # One that is leased all along, so that the other one rests once it is released.
    site.active_lease(BOB, blueprints=["nightly"], seconds=3600 * 12)
    held.append((ANA, site.lease(ANA, blueprints=["nightly"], seconds=3600 * 12)))
    while (time.monotonic() - started) * (SPEED - 1) < BEHIND:
        _something(site, random, held)
        pause.wait(random.uniform(0.2, 1.2))
    for user, number in held:
        site.act(user, f"drydock_leases/{number}", "release", reason="done for today")
    _the_present(site)


def _decide(site: Site) -> None:
    """Let some use what needs approval, and others not."""
    path = "drydock_authorizations"
    tests = {"blueprint": "signing", "subject": "builder/tests"}
    site.act(OLGA, path, "approve", **tests, reason="until the release is out")
    games = {"blueprint": "signing", "subject": "project/games"}
    site.act(OLGA, path, "decline", **games, reason="games are signed by their publisher")
    bob = {"blueprint": "signing", "subject": f"person/{BOB}"}
    site.act(OLGA, path, "decline", **bob, reason="ask the release team to sign it for you")


def _something(site: Site, random: Random, held: list[tuple[str, int]]) -> None:
    """Do one of the things that people do."""
    dice = random.random()
    if dice < 0.6:
        site.force(random.choice(["tests", "docs"]), seconds=random.uniform(0.2, 4))
    elif dice < 0.9 and len(held) < 5:
        user = random.choice([ANA, BOB])
        blueprint = random.choice(["cloud", "cloud", "gpu", "lab"])
        held.append((user, site.lease(user, blueprints=[blueprint], seconds=3600 * 12)))
    elif held:
        user, number = held.pop(random.randrange(len(held)))
        site.act(user, f"drydock_leases/{number}", "release", reason="found the cause")


def _the_present(site: Site) -> None:
    """Leave something of each kind: what runs, what waits and why, what is broken."""
    for builder in ("tests", "docs", "tests"):
        site.force(builder, held=True)
    site.active_lease(ANA, blueprints=["gpu"], seconds=4 * 3600, attributes={"why": "a profile"})
    site.active_lease(BOB, blueprints=["cloud"], seconds=3600)
    site.active_lease(ANA, blueprints=["cloud"], seconds=7200)
    site.active_lease(ANA, blueprints=["lab"], seconds=7200)
    site.active_lease(BOB, blueprints=["mac"], seconds=3600)
    site.lease(BOB, requires={"gpu": "a100"}, seconds=3600, attributes={"why": "an experiment"})
    site.lease(BOB, blueprints=["arm", "signing"], seconds=3600)
    site.lease(ANA, blueprints=["signing"], seconds=3600, attributes={"why": "a hot fix"})
    site.force("training")
    site.force("installer")
    site.until(
        lambda: site.rows("drydock_resources?blueprint=nightly&power=parked"), "a parked resource"
    )
    site.until(
        lambda: site.rows("drydock_blueprints/windows")[0]["waiting"], "windows to be wanted"
    )
