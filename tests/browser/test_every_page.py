"""Every page there is comes up with what is really there, and can be used without seeing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.browser.bootstrap import use_bootstrap_5
from tests.browser.conftest import Visit

ANA, BOB, OLGA = "ana@example.org", "bob@example.org", "olga@example.org"

# What each page shows of the site below, beside its heading.
PAGES: Mapping[str, str] = {
    "": "gpu is full",
    "timeline": "build1",
    "resources": "build1",
    "resources/{resource}": "a100",
    "leases": BOB,
    "leases/{active}": ANA,
    "leases/{waiting}": "gpu is full",
    "blueprints": "windows",
    "blueprints/gpu": "$2.48",
    "hosts": "a new disk is on its way",
    "hosts/build1": "lab",
    "events": "asked for a lease",
    "authorizations": "the lab has enough",
    "authorizations/{authorization}": "the release team",
    "ledger": "build1",
}

# What assistive technology needs; each line found is something that it could not name.
_UNNAMED = """() => {
    const found = [];
    const page = document.querySelector("main");
    const named = (each) => each.getAttribute("aria-label") || each.getAttribute("aria-labelledby")
        || each.title || each.innerText.trim();
    const complain = (what, each) => found.push(`${what}: ${each.outerHTML.slice(0, 200)}`);
    for (const each of page.querySelectorAll("button, a[href], [role=button]")) {
        if (!named(each)) complain("no name", each);
    }
    for (const each of page.querySelectorAll("input, select, textarea")) {
        if (!each.labels?.length && !each.getAttribute("aria-label")) complain("no label", each);
    }
    for (const each of page.querySelectorAll("img, svg:not([aria-hidden=true]), [role=img]")) {
        if (!each.getAttribute("alt") && !each.getAttribute("aria-label")) complain("no text", each);
    }
    for (const each of page.querySelectorAll("th")) {
        if (!each.innerText.trim() && !each.getAttribute("aria-label")) complain("empty th", each);
    }
    for (const each of page.querySelectorAll("[aria-describedby], [aria-labelledby]")) {
        for (const name of ["aria-describedby", "aria-labelledby"]) {
            for (const id of (each.getAttribute(name) ?? "").split(" ").filter(Boolean)) {
                if (!document.getElementById(id)) complain(`${name} leads nowhere`, each);
            }
        }
    }
    const ids = [...page.querySelectorAll("[id]")].map((each) => each.id);
    for (const id of ids.filter((each, place) => ids.indexOf(each) !== place)) {
        found.push(`twice: the id ${id}`);
    }
    const headings = document.querySelectorAll("h1").length;
    if (headings !== 1) found.push(`${headings} headings of the first level`);
    return found;
}"""

# Of the text of a page, how much lighter or darker it is than what is behind it: 4.5 is readable.
_UNREADABLE = """() => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const pixel = (colour, below) => {
        canvas.fillStyle = `rgb(${below.join(" ")})`;
        canvas.fillRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const behind = (each) => each === null
        ? [255, 255, 255]
        : pixel(getComputedStyle(each).backgroundColor, behind(each.parentElement));
    const light = (rgb) => {
        const [r, g, b] = rgb.map((each) => each / 255)
            .map((each) => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = new Set();
    for (const each of document.querySelectorAll("main *")) {
        const text = [...each.childNodes].filter((child) => child.nodeType === 3)
            .map((child) => child.textContent.trim()).join("");
        const isThere = each.checkVisibility() && each.getBoundingClientRect().width > 1;
        // Buttons have the colours of Buildbot's own.
        if (!text || !isThere || each.closest(":disabled, .btn")) continue;
        const back = behind(each);
        const shades = [light(pixel(getComputedStyle(each).color, back)), light(back)];
        const contrast = (Math.max(...shades) + 0.05) / (Math.min(...shades) + 0.05);
        if (contrast < 4.5) found.add(`${contrast.toFixed(1)} ${each.className}: ${text.slice(0, 40)}`);
    }
    return [...found];
}"""

# Tables that one has to scroll sideways to see all of.
_SCROLLING_TABLES = """() => [...document.querySelectorAll("main .table-responsive")]
    .filter((each) => each.scrollWidth > each.clientWidth)
    .map((each) => `${each.scrollWidth} in ${each.clientWidth}: ${each.innerText.slice(0, 80)}`)"""

# Only the newer version has its colours as properties.
_BOOTSTRAP = """() =>
    getComputedStyle(document.documentElement).getPropertyValue("--bs-body-bg") ? "5" : "4"
"""

_IS_DARK = """() => {
    const colour = getComputedStyle(document.querySelector("main")).color;
    return colour.match(/\\d+/g).slice(0, 3).every((each) => Number(each) > 127);
}"""


@pytest.fixture(scope="module")
def things(site: Any) -> dict[str, int]:
    """What the pages show: a lease on a resource, and one that waits for it."""
    active = site.active_lease(ANA, blueprints=["gpu"], seconds=3600)
    waiting = site.lease(BOB, blueprints=["gpu"], seconds=3600)
    resource = site.rows(f"drydock_leases/{active}")[0]["resourceid"]
    subject = {"blueprint": "signing", "subject": "project/games"}
    declined = site.act(
        OLGA, "drydock_authorizations", "decline", **subject, reason="the lab has enough of it"
    )
    authorization = declined["authorizationid"]
    return {
        "active": active,
        "waiting": waiting,
        "resource": resource,
        "authorization": authorization,
    }


def is_usable(page: Any, path: str, width: int) -> None:
    """See that a page shows what it should, to everybody, and fits into the window."""
    page.locator("main").get_by_text(PAGES[path]).first.wait_for()
    assert page.get_by_role("alert").count() == 0
    assert page.evaluate(_UNNAMED) == []
    assert page.evaluate(_UNREADABLE) == []
    sideways = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(sideways), f"{path} is wider than a window of {width}"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_what_is_there_wide_and_narrow_light_and_dark(
    visit: Visit, things: dict[str, int], path: str
) -> None:
    for width, scheme in ((1280, "light"), (420, "dark")):
        size = {"width": width, "height": 800}
        visitor = visit(OLGA, viewport=size, color_scheme=scheme)
        page = visitor.open(path.format(**things))
        is_usable(page, path, width)
        if width > 1000:
            assert page.evaluate(_SCROLLING_TABLES) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_as_usable_with_bootstrap_5(
    visit: Visit, things: dict[str, int], path: str
) -> None:
    # What the page is set to goes before what the system prefers.
    for width, theme, scheme in ((1280, "dark", "light"), (420, "light", "dark")):
        size = {"width": width, "height": 800}
        visitor = visit(OLGA, viewport=size, color_scheme=scheme)
        use_bootstrap_5(visitor.page, theme)
        page = visitor.open(path.format(**things))
        is_usable(page, path, width)
        assert page.evaluate(_BOOTSTRAP) == "5"
        assert page.evaluate(_IS_DARK) is (theme == "dark")


def test_all_pages_are_in_the_menu(visit: Visit, things: dict[str, int]) -> None:
    page = visit().open("")
    page.get_by_role("heading", name="Overview", level=1).wait_for()
    menu = page.locator("#root, body").get_by_role("link")
    hrefs = set(menu.evaluate_all("all => all.map(each => each.getAttribute('href'))"))
    lists = {f"#/drydock{'/' if path else ''}{path}" for path in PAGES if "/" not in path}
    assert lists <= hrefs, lists - hrefs
