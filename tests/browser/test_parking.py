"""A resource that is parked says so wherever it is shown, and that it runs again once it does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.browser.doing import status

ANA = "ana@example.org"


@pytest.fixture
def parked(site: Any) -> int:
    """A resource that was leased, and is stopped now."""
    number = site.active_lease(ANA, blueprints=["nightly"], seconds=3600)
    resource: int = site.rows(f"drydock_leases/{number}")[0]["resourceid"]
    site.act(ANA, f"drydock_leases/{number}", "release")
    site.becomes(f"drydock_resources/{resource}", power="parked", status="active")
    return resource


def test_it_is_shown_as_parked_in_lists_and_can_be_asked_for(visit: Visit, parked: int) -> None:
    page = visit().open("resources")
    row = page.locator(f"tr[data-key='{parked}']")
    row.get_by_text("parked", exact=True).wait_for()
    page.get_by_role("button", name="parked", exact=True).click()
    page.wait_for_url("**/drydock/resources?power=parked")
    row.wait_for()
    page = visit().open("blueprints")
    page.get_by_role("row").filter(has_text="nightly").get_by_text("1 parked").wait_for()


def test_the_overview_counts_it_apart_from_what_is_leased_and_warm(
    visit: Visit, parked: int
) -> None:
    page = visit().open("")
    row = page.locator("tr[data-blueprint=nightly]")
    row.get_by_role("img", name="1 parked, of at most 2").wait_for()
    page.locator("dl").get_by_text("1 parked").wait_for()


def test_it_wakes_for_a_lease_before_the_eyes_of_a_visitor_and_rests_again(
    visit: Visit, site: Any, parked: int
) -> None:
    visitor = visit(ANA)
    page = visitor.open(f"resources/{parked}")
    status(page, "parked").wait_for()
    page.get_by_text("its status is active").wait_for()
    timeline = visit().open("timeline")
    rest = timeline.locator(f"[data-resource='{parked}']").get_by_role("img")
    rest.wait_for()
    assert rest.get_attribute("aria-label").startswith("parked since")
    number = site.active_lease(ANA, blueprints=["nightly"], seconds=3600)
    assert site.rows(f"drydock_leases/{number}")[0]["resourceid"] == parked
    status(page, "active").wait_for()
    rest.wait_for(state="detached")
    site.act(ANA, f"drydock_leases/{number}", "release")
    status(page, "parked").wait_for()
    rest.wait_for()
    assert visitor.saw_no_reload()
