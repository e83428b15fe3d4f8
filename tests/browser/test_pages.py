"""Each page shows what is really there, as it changes, without being loaded again."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.conftest import Visit

ANA, BOB, OLGA = "ana@example.org", "bob@example.org", "olga@example.org"


@pytest.fixture(scope="module")
def leases(site: Any) -> dict[str, int]:
    """Leases of the two kinds: an active one, and one that waits behind it."""
    return {
        "active": site.active_lease(ANA, blueprints=["gpu"], seconds=3600),
        "waiting": site.lease(BOB, blueprints=["gpu"], seconds=3600),
    }


def section(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=name)


def link_to_lease(within: Any, number: int) -> Any:
    """Find a link by where it leads: a resource may have the number of a lease."""
    return within.locator(f'a[href="#/drydock/leases/{number}"]')


def test_the_overview_says_what_is_there_who_has_it_what_waits_and_why(
    visit: Visit, leases: dict[str, int]
) -> None:
    page = visit().open("")
    row = page.locator("tr[data-blueprint=gpu]")
    row.get_by_role("img", name="1 leased, of at most 1").wait_for()
    assert "ready" in row.inner_text()
    assert "$2.48/h" in row.inner_text()
    waiting = section(page, "Waiting").get_by_role("row").filter(has_text=BOB)
    waiting.get_by_text("gpu is full: 1 of 1 slots leased, limit 1").wait_for()
    link_to_lease(waiting, leases["waiting"]).wait_for()
    in_use = section(page, "In use").get_by_role("row").filter(has_text=ANA)
    link_to_lease(in_use, leases["active"]).wait_for()


def test_the_overview_begins_with_problems_the_worst_first(visit: Visit, site: Any) -> None:
    site.act(OLGA, "drydock_blueprints/arm", "pause", reason="waits for a new kernel")
    page = visit().open("")
    first = page.get_by_role("heading", level=2).first
    first.wait_for()
    assert first.inner_text() == "Problems"
    problems = section(page, "Problems").get_by_role("listitem")
    problems.filter(has_text=f"is paused by {OLGA}: waits for a new kernel").wait_for()
    problems.filter(has_text="build4 failed while connecting").wait_for()
    texts = problems.all_inner_texts()
    places = [
        next(place for place, text in enumerate(texts) if name in text)
        for name in ("host build4", "blueprint arm", "host build3")
    ]
    assert places == sorted(places), texts


def test_a_blueprint_that_is_paused_and_resumed_changes_on_the_overview(
    visit: Visit, site: Any
) -> None:
    visitor = visit()
    page = visitor.open("")
    state = page.locator("tr[data-blueprint=cloud] [data-status]")
    state.filter(has_text="ready").wait_for()
    site.act(OLGA, "drydock_blueprints/cloud", "pause", reason="a look at it")
    state.filter(has_text="paused").wait_for()
    section(page, "Problems").get_by_text("a look at it").wait_for()
    site.act(OLGA, "drydock_blueprints/cloud", "resume")
    state.filter(has_text="ready").wait_for()
    section(page, "Problems").get_by_text("a look at it").wait_for(state="detached")
    assert visitor.saw_no_reload()


def test_a_lease_appears_changes_and_ends_on_the_overview(visit: Visit, site: Any) -> None:
    visitor = visit()
    page = visitor.open("")
    section(page, "Waiting").wait_for()
    site.act(OLGA, "drydock_blueprints/cloud", "pause", reason="so that it waits")
    number = site.lease(BOB, blueprints=["cloud"], seconds=3600)
    link_to_lease(section(page, "Waiting"), number).wait_for()
    site.act(OLGA, "drydock_blueprints/cloud", "resume")
    link_to_lease(section(page, "In use"), number).wait_for()
    link_to_lease(section(page, "Waiting"), number).wait_for(state="detached")
    site.act(BOB, f"drydock_leases/{number}", "release")
    link_to_lease(section(page, "In use"), number).wait_for(state="detached")
    assert visitor.saw_no_reload()


def test_a_bar_grows_on_the_timeline_and_ends_with_its_lease(visit: Visit, site: Any) -> None:
    visitor = visit()
    page = visitor.open("timeline")
    page.get_by_role("region", name="cloud").wait_for()
    number = site.active_lease(BOB, blueprints=["cloud"], seconds=3600)
    bar = page.locator(f"a[data-lease='{number}']")
    bar.wait_for()
    assert bar.get_attribute("data-open") == "true"
    assert re.match(rf"Lease {number} of {BOB}: from .* until now", bar.get_attribute("aria-label"))
    site.act(BOB, f"drydock_leases/{number}", "release")
    page.locator(f"a[data-lease='{number}'][data-open=false]").wait_for()
    assert visitor.saw_no_reload()


def test_a_build_is_on_the_timeline_as_a_lease_of_its_worker(visit: Visit, site: Any) -> None:
    build = site.finished_build(site.force("tests"))
    assert build["results"] == 0
    (lease,) = site.rows(f"builds/{build['buildid']}/drydock_leases")
    page = visit().open("timeline")
    bar = page.locator(f"a[data-lease='{lease['leaseid']}']")
    bar.wait_for()
    assert "for tests" in bar.get_attribute("aria-label")


def test_the_zoom_is_in_the_address(visit: Visit) -> None:
    page = visit().open("timeline?hours=6")
    zoom = page.get_by_role("navigation", name="How much of the past")
    assert zoom.locator("[aria-current=true]").inner_text() == "6 h"
    zoom.get_by_role("link", name="24 h").click()
    page.wait_for_url("**/drydock/timeline?hours=24")
    zoom.locator("[aria-current=true]", has_text="24 h").wait_for()


def test_bars_are_reached_and_followed_with_the_keyboard(visit: Visit, site: Any) -> None:
    numbers = []
    for _ in range(2):
        numbers.append(site.active_lease(BOB, blueprints=["lab"], requires={"host": "build2"}))
        site.act(BOB, f"drydock_leases/{numbers[-1]}", "release")
        site.becomes(f"drydock_leases/{numbers[-1]}", status="destroyed")
    page = visit().open("timeline")
    earlier, later = (page.locator(f"a[data-lease='{number}']") for number in numbers)
    later.wait_for()
    # Tab reaches one bar of each row; the arrow keys the others.
    assert (earlier.get_attribute("tabindex"), later.get_attribute("tabindex")) == ("-1", "0")
    page.get_by_role("link", name="build2").focus()
    page.keyboard.press("Tab")
    assert is_focused(later)
    page.keyboard.press("ArrowLeft")
    assert is_focused(earlier)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/drydock/leases/{numbers[0]}")


def is_focused(locator: Any) -> bool:
    return bool(locator.evaluate("element => element === document.activeElement"))


def test_pages_need_no_other_server(visit: Visit) -> None:
    # Each request to one is refused, and counted as an error.
    for path in ("", "timeline", "blueprints"):
        visit().open(path).get_by_role("heading", level=1).wait_for()
