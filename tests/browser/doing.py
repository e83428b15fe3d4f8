"""What tests do on pages, and look at, in more than one place."""

from __future__ import annotations

from typing import Any


def do(page: Any, action: str, **typed: str) -> None:
    """Choose an action, say what is to be said to it, and confirm."""
    page.get_by_role("button", name=action, exact=True).click()
    dialog = page.get_by_role("dialog")
    for name, text in typed.items():
        dialog.locator(f"[name={name}]").fill(text)
    dialog.get_by_role("button", name=action, exact=True).click()


def status(page: Any, word: str) -> Any:
    """Return the tag beside the heading, as it is when it says this."""
    return page.locator("main header [data-status]").filter(has_text=word)


def told(site: Any, path: str, kind: str) -> dict[str, Any]:
    """Return the latest event of a kind, once there is one."""
    events = f"{path}/drydock_events?kind={kind}&order=-eventid"
    found: list[dict[str, Any]] = site.until(lambda: site.rows(events), f"{kind} of {path}")
    return found[0]
