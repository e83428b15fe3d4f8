"""Who may use what needs approval: asked for, decided and told on the pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.browser.doing import do, status, told

ANA, BOB, OLGA = "ana@example.org", "bob@example.org", "olga@example.org"


def request_of(site: Any, user: str) -> dict[str, Any]:
    """Return the authorization that somebody's waiting lease has asked for."""
    path = f"drydock_authorizations?subject=person/{user}"
    return site.until(lambda: site.rows(path), f"a request of {user}")[0]  # type: ignore[no-any-return]


@pytest.fixture
def lease(site: Any) -> Iterator[int]:
    """A lease of Ana that waits for approval, whatever was decided about her before."""
    for row in site.rows(f"drydock_authorizations?subject=person/{ANA}&status=declined"):
        site.act(OLGA, f"drydock_authorizations/{row['authorizationid']}", "approve")
    number = site.lease(ANA, blueprints=["signing"], seconds=3600)
    yield number
    if site.rows(f"drydock_leases/{number}")[0]["status"] in ("pending", "active"):
        site.act(OLGA, f"drydock_leases/{number}", "release")


def test_an_admin_approves_from_the_list_and_the_lease_gets_what_it_waits_for(
    visit: Visit, site: Any, lease: int
) -> None:
    number = request_of(site, ANA)["authorizationid"]
    # Whoever waits is led to what he waits for.
    waiting = visit(ANA).open(f"leases/{lease}")
    waiting.get_by_text("needs approval for person/ana@example.org, by the release team").wait_for()
    waiting.get_by_role("link", name=f"authorization {number}").click()
    waiting.get_by_text("Not allowed to you: approve, decline").wait_for()
    visitor = visit(OLGA)
    page = visitor.open("authorizations?status=requested")
    row = page.get_by_role("row").filter(has_text=ANA)
    row.get_by_role("link", name=f"lease {lease}").wait_for()
    row.get_by_role("link", name=f"authorization {number}").click()
    status(page, "requested").wait_for()
    page.get_by_text("the release team (release@example.org)").wait_for()
    do(page, "Approve", reason="until the release")
    status(page, "approved").wait_for()
    # Who only looks on is shown it, too.
    status(waiting, "approved").wait_for()
    assert visitor.saw_no_reload()
    site.becomes(f"drydock_leases/{lease}", status="active")
    event = told(site, "drydock_blueprints/signing", "authorization-decided")
    assert (event["actor"], event["data"]["status"]) == (OLGA, "approved")


def test_an_admin_declines_and_the_lease_breaks_with_the_reason(visit: Visit, site: Any) -> None:
    number = site.lease(BOB, blueprints=["signing"], seconds=3600)
    authorization = request_of(site, BOB)["authorizationid"]
    page = visit(OLGA).open(f"authorizations/{authorization}")
    status(page, "requested").wait_for()
    do(page, "Decline", reason="let the release team sign it")
    status(page, "declined").wait_for()
    page.get_by_text(OLGA).first.wait_for()
    # It can be thought over: what is offered now is the other answer.
    page.get_by_role("button", name="Approve", exact=True).wait_for()
    assert page.get_by_role("button", name="Decline", exact=True).count() == 0
    page = visit(BOB).open(f"leases/{number}")
    status(page, "destroyed").wait_for()
    page.get_by_text("let the release team sign it").first.wait_for()


def test_what_was_declined_is_no_ordinary_wait(visit: Visit, site: Any) -> None:
    subject = {"blueprint": "signing", "subject": f"person/{BOB}"}
    site.act(OLGA, "drydock_authorizations", "decline", **subject, reason="too dear")
    site.act(OLGA, "drydock_blueprints/arm", "pause", reason="a new kernel")
    number = site.lease(BOB, blueprints=["arm", "signing"], seconds=3600)
    page = visit().open(f"leases/{number}")
    reasons = page.get_by_role("region", name="Why it waits").get_by_role("listitem")
    declined = reasons.filter(has_text="too dear")
    declined.get_by_text("declined", exact=True).wait_for()
    assert declined.get_attribute("data-never") == "true"
    assert reasons.first.get_attribute("data-reason") == "out-of-service"
    page = visit().open("")
    row = page.get_by_role("region", name="Waiting").get_by_role("row").filter(has_text=BOB)
    row.get_by_text("arm is paused").wait_for()
    assert "too dear" not in row.inner_text()
    site.act(BOB, f"drydock_leases/{number}", "release")
    site.act(OLGA, "drydock_blueprints/arm", "resume")


def test_nobody_in_particular_decides(visit: Visit, site: Any) -> None:
    subject = {"blueprint": "signing", "subject": "project/games"}
    row = site.act(OLGA, "drydock_authorizations", "decline", **subject)
    page = visit().open(f"authorizations/{row['authorizationid']}")
    status(page, "declined").wait_for()
    page.get_by_text("Not allowed to anonymous visitors: approve").wait_for()
    assert page.get_by_role("button", name="Approve").is_disabled()


def test_the_list_is_filtered_by_its_address_and_with_the_keyboard(visit: Visit, site: Any) -> None:
    subject = {"blueprint": "signing", "subject": "builder/tests"}
    site.act(OLGA, "drydock_authorizations", "approve", **subject, reason="until the release")
    page = visit().open("authorizations?subject__contains=builder/tests")
    row = page.locator("tr[data-key]")
    row.get_by_text("builder/tests").wait_for()
    assert row.count() == 1
    choice = page.get_by_role("button", name="declined", exact=True)
    choice.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Nothing fits these filters.").wait_for()
    assert choice.get_attribute("aria-pressed") == "true"
    assert "status=declined" in page.url
