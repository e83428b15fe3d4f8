#!/usr/bin/env python
"""Take pictures of all pages, of a real master with some hours of builds behind it.

``screenshots.py [PAGE...]``, below ``scripts/with_browser.sh``. Writes
``docs/screenshots/PAGE-WIDTH-SCHEME.png``, wide and narrow, light and dark. Exits with 1 if a page
has not come up, or an error was in its console.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.busy import busy_site, live_through  # noqa: E402 - it is not installed
from tests.browser.site import OLGA, Site  # noqa: E402
from tests.browser.visiting import Visitor, browser  # noqa: E402

DIRECTORY = ROOT / "docs" / "screenshots"
WIDTHS = {1280: 800, 420: 800}  # and how high the window is
SCHEMES = ("light", "dark")
HIGHEST = 1600  # of a picture; what is below looks like what is above
COLOURS = 192  # enough for flat pages, and less than half the size


# What is pressed before the picture is taken.
PRESSED = {"blueprint-edit": "Edit", "authorization-decline": "Decline"}


def pages(site: Site) -> dict[str, str]:
    """Return what each picture is called, and the page that it shows."""
    waiting = site.rows("drydock_leases?status=pending&order=leaseid")[0]["leaseid"]
    cloud = site.rows("drydock_resources?blueprint=cloud&order=resourceid")[0]["resourceid"]
    parked = site.rows("drydock_resources?blueprint=nightly&power=parked")[0]["resourceid"]
    requested = site.rows("drydock_authorizations?status=requested")[0]["authorizationid"]
    declined = next(
        row["leaseid"]
        for row in site.rows("drydock_leases?status=pending")
        if any(reason["kind"] == "declined" for reason in row["reasons"])
    )
    return {
        "overview": "",
        "timeline": "timeline?hours=6",
        "resources": "resources",
        "resource": f"resources/{cloud}",
        "resource-parked": f"resources/{parked}",
        "leases": "leases",
        "lease": f"leases/{waiting}",
        "lease-declined": f"leases/{declined}",
        "blueprints": "blueprints",
        "blueprint": "blueprints/cloud",
        "blueprint-edit": "blueprints/cloud",
        "hosts": "hosts",
        "host": "hosts/build1",
        "events": "events",
        "authorizations": "authorizations",
        "authorization": f"authorizations/{requested}",
        "authorization-decline": f"authorizations/{requested}",
        "ledger": "ledger",
    }


def picture(visitor: Visitor, path: Path) -> None:
    """Write a picture with few colours, which page after page makes a difference."""
    # A dialog covers the window, and not what is below.
    has_dialog = visitor.page.get_by_role("dialog").count() > 0
    raw = visitor.page.screenshot(full_page=not has_dialog)
    image = Image.open(io.BytesIO(raw)).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, HIGHEST)))
    few = image.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def settled(visitor: Visitor) -> None:
    """Wait until the page shows what there is, and nothing is asked for any more."""
    page = visitor.page
    page.locator("main h1").wait_for()
    page.locator("[aria-busy=true]").wait_for(state="detached")
    last = ""
    for _ in range(100):
        page.wait_for_timeout(300)
        text = page.locator("main").inner_text()
        if len(text) == len(last) and page.evaluate("document.fonts.status") == "loaded":
            return
        last = text


def take(site: Site, launched: Any, wanted: list[str]) -> Iterator[str]:
    """Take the pictures; yield what is wrong."""
    for name, path in pages(site).items():
        if wanted and name not in wanted:
            continue
        for width, height in WIDTHS.items():
            for scheme in SCHEMES:
                visitor = Visitor(
                    launched,
                    site,
                    user=OLGA,
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    locale="en-GB",
                )
                try:
                    visitor.open(path)
                    settled(visitor)
                    if name in PRESSED:
                        visitor.page.get_by_role("button", name=PRESSED[name], exact=True).click()
                        visitor.page.get_by_role("dialog").wait_for()
                    picture(visitor, DIRECTORY / f"{name}-{width}-{scheme}.png")
                    visitor.close()
                except Exception as error:  # noqa: BLE001 - the other pages can still be taken
                    yield f"{name}, {width} wide, {scheme}: {error}"


def main(wanted: list[str]) -> int:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        site = busy_site(Path(directory) / "site")
        try:
            site.start()
            live_through(site)
            with browser(os.environ["DRYDOCK_TEST_CHROMIUM"]) as launched:
                wrong = list(take(site, launched, wanted))
        finally:
            site.end()
    for each in wrong:
        print(each, file=sys.stderr)
    size = sum(each.stat().st_size for each in DIRECTORY.glob("*.png"))
    print(f"{DIRECTORY}: {size / 1e6:.1f} MB")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
