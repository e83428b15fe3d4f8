"""What visitors do on the pages: who may, does; who may not is told so; and nothing goes unasked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.browser.doing import do, status, told

ANA, BOB, OLGA = "ana@example.org", "bob@example.org", "olga@example.org"


# --- leases --------------------------------------------------------------------------------------


def test_somebody_requests_renews_and_releases_a_lease_of_their_own(
    visit: Visit, site: Any
) -> None:
    visitor = visit(ANA)
    page = visitor.open("leases")
    do(page, "Request a lease", blueprints="cloud", seconds="600")
    page.wait_for_url("**/drydock/leases/*")
    number = int(page.url.rpartition("/")[2])
    status(page, "active").wait_for()
    before = site.rows(f"drydock_leases/{number}")[0]
    assert before["person"] == ANA
    do(page, "Renew", seconds="7200")
    renewed = told(site, f"drydock_leases/{number}", "lease-renewed")
    assert renewed["actor"] == ANA
    do(page, "Release", reason="found the cause")
    status(page, "destroyed").wait_for()
    page.get_by_text(f"{ANA} released it: found the cause").first.wait_for()
    assert page.get_by_role("button", name="Release").count() == 0
    assert visitor.saw_no_reload()


def test_an_admin_releases_the_lease_of_somebody_else(visit: Visit, site: Any) -> None:
    number = site.active_lease(ANA, blueprints=["cloud"])
    page = visit(OLGA).open(f"leases/{number}")
    do(page, "Release", reason="the machine is needed")
    status(page, "destroyed").wait_for()
    assert told(site, f"drydock_leases/{number}", "lease-released")["actor"] == OLGA


@pytest.mark.parametrize(
    ("user", "refusal"),
    [("", "Not allowed to anonymous visitors"), (BOB, "Not allowed to you")],
)
def test_others_are_told_that_they_may_not(
    visit: Visit, site: Any, user: str, refusal: str
) -> None:
    number = site.active_lease(ANA, blueprints=["cloud"])
    page = visit(user).open(f"leases/{number}")
    page.get_by_text(refusal).wait_for()
    for action in ("Renew", "Release"):
        button = page.get_by_role("button", name=action)
        assert button.is_disabled()
        # It says so to those who do not see the page, too.
        described = button.evaluate(
            "each => document.getElementById(each.getAttribute('aria-describedby')).innerText"
        )
        assert refusal in described
    site.act(ANA, f"drydock_leases/{number}", "release")


def test_what_the_server_refuses_is_told_where_it_was_asked(visit: Visit, site: Any) -> None:
    number = site.active_lease(ANA, blueprints=["cloud"])
    visitor = visit(ANA)
    page = visitor.open(f"leases/{number}")
    page.get_by_role("button", name="Release").click()
    # The browser itself reports each answer of this kind.
    visitor.forgiven.append("403 (Forbidden)")
    page.context.clear_cookies()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Release").click()
    dialog.get_by_role("alert").filter(has_text="Not allowed").wait_for()
    assert site.rows(f"drydock_leases/{number}")[0]["status"] == "active"
    site.act(ANA, f"drydock_leases/{number}", "release")


def test_nothing_is_done_without_a_confirmation_and_the_keyboard_is_enough(
    visit: Visit, site: Any
) -> None:
    number = site.active_lease(ANA, blueprints=["cloud"])
    page = visit(ANA).open(f"leases/{number}")
    button = page.get_by_role("button", name="Release", exact=True)
    button.and_(page.locator(":enabled")).wait_for()
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Release lease {number}?")
    dialog.wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert site.rows(f"drydock_leases/{number}")[0]["status"] == "active"
    button.click(trial=True)  # a key does not wait until it is known to be allowed
    button.press("Enter")
    dialog.get_by_label("reason").focus()
    page.keyboard.type("by hand")
    page.keyboard.press("Enter")
    status(page, "destroyed").wait_for()
    page.get_by_text("by hand").first.wait_for()


def test_a_dialog_that_is_left_gives_the_focus_back(visit: Visit, site: Any) -> None:
    number = site.active_lease(ANA, blueprints=["cloud"])
    page = visit(ANA).open(f"leases/{number}")
    button = page.get_by_role("button", name="Release", exact=True)
    button.click(trial=True)  # a key does not wait until it is known to be allowed
    button.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert button.evaluate("element => element === document.activeElement")
    site.act(ANA, f"drydock_leases/{number}", "release")


# --- resources -----------------------------------------------------------------------------------


def test_an_admin_reclaims_a_resource_that_is_leased_only_if_its_leases_may_break(
    visit: Visit, site: Any
) -> None:
    number = site.active_lease(ANA, blueprints=["gpu"])
    resource = site.rows(f"drydock_leases/{number}")[0]["resourceid"]
    visitor = visit(OLGA)
    visitor.forgiven.append("400 (Bad Request)")
    page = visitor.open(f"resources/{resource}")
    do(page, "Reclaim", reason="odd results")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("alert").filter(has_text="break_leases").wait_for()
    dialog.get_by_label("break leases").check()
    dialog.get_by_role("button", name="Reclaim", exact=True).click()
    status(page, "destroyed").wait_for()
    assert site.becomes(f"drydock_leases/{number}", status="destroyed")["reason"]
    assert visitor.saw_no_reload()


def test_nobody_in_particular_may_reclaim(visit: Visit, site: Any) -> None:
    number = site.active_lease(ANA, blueprints=["cloud"])
    resource = site.rows(f"drydock_leases/{number}")[0]["resourceid"]
    page = visit().open(f"resources/{resource}")
    page.get_by_text("Not allowed to anonymous visitors: reclaim").wait_for()
    assert page.get_by_role("button", name="Reclaim").is_disabled()
    site.act(ANA, f"drydock_leases/{number}", "release")


# --- blueprints and hosts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "state"), [("Pause", "paused"), ("Drain", "draining"), ("Disable", "disabled")]
)
def test_an_admin_takes_a_blueprint_out_of_service_and_back(
    visit: Visit, site: Any, action: str, state: str
) -> None:
    visitor = visit(OLGA)
    page = visitor.open("blueprints/arm")
    status(page, "ready").wait_for()
    do(page, action, reason="a new kernel")
    status(page, state).wait_for()
    page.get_by_text("a new kernel").first.wait_for()
    (row,) = site.rows("drydock_blueprints/arm")
    assert (row["state"], row["mode_author"]) == (state, OLGA)
    do(page, "Resume")
    status(page, "ready").wait_for()
    assert visitor.saw_no_reload()


def test_an_admin_disables_a_host_and_enables_it_again(visit: Visit, site: Any) -> None:
    page = visit(OLGA).open("hosts/build2")
    do(page, "Disable", reason="disk swap")
    page.get_by_text("disk swap").first.wait_for()
    site.becomes("drydock_hosts/build2", mode="disabled", in_service=False)
    do(page, "Enable")
    site.becomes("drydock_hosts/build2", mode="enabled", in_service=True)
    page.get_by_role("button", name="Disable", exact=True).wait_for()


@pytest.mark.parametrize(
    ("path", "actions"),
    [("blueprints/cloud", ["Pause", "Drain", "Disable"]), ("hosts/build1", ["Disable"])],
)
def test_nobody_in_particular_changes_blueprints_and_hosts(
    visit: Visit, path: str, actions: list[str]
) -> None:
    page = visit().open(path)
    page.get_by_text("Not allowed to anonymous visitors").first.wait_for()
    for action in actions:
        assert page.get_by_role("button", name=action, exact=True).is_disabled()
