"""The ledger: a host that nobody accounts for is seen, and an admin gets rid of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Visit

BOB, OLGA = "bob@example.org", "olga@example.org"


@pytest.fixture(scope="module")
def resource(site: Any) -> int:
    """A resource whose provider made two hosts for it, and refuses to destroy the second."""
    number = site.active_lease(BOB, blueprints=["mac"], seconds=3600)
    found: int = site.rows(f"drydock_leases/{number}")[0]["resourceid"]
    return found


def test_hosts_are_beside_the_resources_that_account_for_them(
    visit: Visit, site: Any, resource: int
) -> None:
    site.active_lease(BOB, blueprints=["gpu"], seconds=3600)
    page = visit().open("ledger")
    row = page.get_by_role("row").filter(has_text="gpu").filter(has_text="matched")
    row.get_by_role("link", name="resource").wait_for()
    page.get_by_role("row").filter(has_text="build1").filter(has_text="matched").wait_for()
    twin = page.locator("tr[data-verdict=twin]")
    twin.get_by_role("link", name=f"resource {resource}").wait_for()
    # Worst first.
    verdicts = page.locator("tr[data-verdict]").evaluate_all(
        "all => all.map(each => each.dataset.verdict)"
    )
    assert verdicts[0] == "twin"
    assert verdicts[-1] == "matched"


def test_nobody_in_particular_can_destroy_a_host(visit: Visit, resource: int) -> None:
    page = visit().open("ledger")
    twin = page.locator("tr[data-verdict=twin]")
    twin.get_by_text("Not allowed to anonymous visitors").wait_for()
    assert twin.get_by_role("button", name="Destroy").is_disabled()


def test_only_one_verdict_is_shown_if_asked_for(visit: Visit, resource: int) -> None:
    page = visit().open("ledger?verdict=twin")
    page.locator("tr[data-verdict=twin]").wait_for()
    assert page.locator("tr[data-verdict]:not([data-verdict=twin])").count() == 0
    page.get_by_role("navigation", name="Verdicts").get_by_role("link", name="all").click()
    page.locator("tr[data-verdict=matched]").first.wait_for()


def test_an_admin_has_a_twin_destroyed(visit: Visit, site: Any, resource: int) -> None:
    visitor = visit(OLGA)
    page = visitor.open("ledger")
    twin = page.locator("tr[data-verdict=twin]")
    twin.get_by_role("button", name="Destroy").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("reason").fill("it costs too much")
    dialog.get_by_role("button", name="Destroy").click()
    twin.get_by_role("status").filter(has_text="done").wait_for()
    dialog.wait_for(state="detached")
    told = f"destroyed by {OLGA}: it costs too much"
    events = "drydock_blueprints/mac/drydock_events?kind=stray-destroyed&order=-eventid"
    site.until(lambda: any(told in each["sentence"] for each in site.rows(events)), told)
    assert visitor.saw_no_reload()
    site.becomes(f"drydock_resources/{resource}", status="active")
