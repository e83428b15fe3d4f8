"""The page of Buildbot's next version, as far as styles go: Bootstrap 5 in place of Bootstrap 4."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

_FRONTEND: Final = Path(__file__).resolve().parents[2] / "buildbot_drydock" / "www" / "frontend"
FIVE: Final = _FRONTEND / "node_modules" / "bootstrap" / "dist" / "css" / "bootstrap.min.css"

# Buildbot's one style sheet has that of Bootstrap in it, from its licence to what is for printers.
_BEGIN: Final = re.compile(r"/\*!\s*\* Bootstrap v4\.")
_END: Final = "@media print{*,*:before"


def with_bootstrap_5(style_sheet: str) -> str:
    """Return Buildbot's style sheet with Bootstrap 5 where it has Bootstrap 4."""
    begin = _BEGIN.search(style_sheet)
    assert begin is not None, "Buildbot's style sheet has no Bootstrap 4 in it"
    end = _after_block(style_sheet, style_sheet.index(_END, begin.start()))
    return style_sheet[: begin.start()] + FIVE.read_text() + style_sheet[end:]


def _after_block(text: str, start: int) -> int:
    """Return where the block ends that begins after *start*."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    raise AssertionError("a block has no end")


def use_bootstrap_5(page: Any, theme: str) -> None:
    """Have a page that is yet to be opened come with it, and with the theme that it is set to."""

    def answer(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=with_bootstrap_5(response.text()))

    page.route("**/assets/index-*.css", answer)
    page.add_init_script(
        "document.addEventListener('DOMContentLoaded', () => {"
        f" document.documentElement.dataset.bsTheme = '{theme}'; }})"
    )
