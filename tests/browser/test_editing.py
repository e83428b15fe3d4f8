"""The fields of a blueprint that may be edited while it runs, in a form drawn from its schema."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import Visit
from tests.browser.doing import do, told

OLGA = "olga@example.org"


def edit_form(page: Any) -> Any:
    page.get_by_role("button", name="Edit", exact=True).click()
    return page.get_by_role("dialog", name="Edit cloud?")


def test_an_admin_changes_what_may_be_changed_and_takes_it_back(visit: Visit, site: Any) -> None:
    visitor = visit(OLGA)
    page = visitor.open("blueprints/cloud")
    dialog = edit_form(page)
    limit = dialog.locator("[name=limit]")
    assert limit.input_value() == "4"
    # What only a restart could change is not there.
    assert dialog.locator("[name=labels]").count() == 0
    assert dialog.locator("[name=boot_seconds]").count() == 0
    limit.fill("3")
    dialog.locator("[name=reason]").fill("the budget is spent")
    dialog.get_by_role("button", name="Edit", exact=True).click()
    edited = page.get_by_role("region", name="Edited")
    edited.get_by_text("the budget is spent").wait_for()
    edited.get_by_text(f"by {OLGA}").wait_for()
    (row,) = site.rows("drydock_blueprints/cloud")
    assert (row["limit"], list(row["overrides"])) == (3, ["limit"])
    event = told(site, "drydock_blueprints/cloud", "blueprint-edited")
    assert (event["actor"], event["data"]["after"]) == (OLGA, {"limit": 3})
    do(page, "Reset edits")
    edited.wait_for(state="detached")
    assert site.rows("drydock_blueprints/cloud")[0]["limit"] == 4
    assert visitor.saw_no_reload()


def test_what_cannot_be_is_told_at_its_field_or_by_the_server(visit: Visit, site: Any) -> None:
    visitor = visit(OLGA)
    # The browser itself reports each answer of this kind.
    visitor.forgiven.append("400 (Bad Request)")
    page = visitor.open("blueprints/cloud")
    dialog = edit_form(page)
    limit = dialog.locator("[name=limit]")
    limit.fill("0")
    dialog.get_by_role("button", name="Edit", exact=True).click()
    # Those who don't see the page are told as well.
    page.wait_for_function("document.querySelector('[name=limit]').ariaInvalid === 'true'")
    said = limit.evaluate(
        "each => document.getElementById(each.getAttribute('aria-describedby')).innerText"
    )
    assert "1" in said
    limit.fill("4")
    dialog.locator("[name=min_ready]").fill("9")  # more than there may be
    dialog.get_by_role("button", name="Edit", exact=True).click()
    dialog.get_by_role("alert").filter(has_text="min_ready").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert site.rows("drydock_blueprints/cloud")[0]["overrides"] == {}


def test_nobody_in_particular_edits(visit: Visit) -> None:
    page = visit().open("blueprints/cloud")
    page.get_by_text("Not allowed to anonymous visitors").first.wait_for()
    assert page.get_by_role("button", name="Edit", exact=True).is_disabled()
