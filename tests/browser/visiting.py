"""Somebody who looks at a page with a real browser, and notices every error in its console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

from tests.browser.site import Site

# A container has no sandbox for it, and the rest would look for servers of others.
_FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Less than the minute after which pages read again what nobody told them of.
MILLISECONDS: Final = 40_000


@contextmanager
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright, TemporaryDirectory() as home:
        launched = playwright.chromium.launch(
            executable_path=chromium,
            args=_FLAGS,
            # Where Chromium of Debian keeps things whatever its profile.
            env={"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home},
        )
        yield launched
        launched.close()


class Visitor:
    """One window, of nobody in particular unless *user* is logged in."""

    def __init__(self, browser: Browser, site: Site, *, user: str = "", **options: Any) -> None:
        self.site = site
        self.errors: list[str] = []
        self.forgiven: list[str] = []  # parts of errors that are part of what is tested
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(MILLISECONDS)
        self._context.route("**/*", self._stay_here)
        if user:
            name, _, value = site.cookie(user).partition("=")
            self._context.add_cookies([{"name": name, "value": value, "url": site.url}])
        self.page: Page = self._context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))

    def open(self, path: str) -> Page:
        """Load one of the pages of Drydock, such as ``leases/3``, as from a bookmark."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.site.url}#/drydock{'/' if path else ''}{path}")
        # It is told from one that is loaded again by a mark that would be gone.
        self.page.evaluate("window.isStillTheSamePage = true")
        return self.page

    def saw_no_reload(self) -> bool:
        return bool(self.page.evaluate("window.isStillTheSamePage === true"))

    def picture(self, path: Path) -> None:
        self.page.screenshot(path=path, full_page=True)

    def close(self) -> None:
        self._context.close()
        wrong = [each for each in self.errors if not any(part in each for part in self.forgiven)]
        assert not wrong, "\n".join(wrong)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def _stay_here(self, route: Route) -> None:
        """Refuse what another server would be asked for; no page may need one."""
        if route.request.url.startswith((self.site.url, "data:", "blob:")):
            route.continue_()
        else:
            self.errors.append(f"it asks another server: {route.request.url}")
            route.abort()
