"""The pages, as Buildbot's web server finds them: entry point ``drydock`` of ``buildbot.www``.

They are built from ``frontend/`` into ``static/`` when the package is built or installed; the
repository has no ``static/``.
"""

from __future__ import annotations

from typing import Any, Final

from buildbot.plugins.db import get_plugins
from buildbot.www.plugin import Application
from twisted.web import static

NAME: Final = "drydock"  # of the plugin, and so in the addresses of its files


class Revalidated(static.File):
    """Files that a browser asks for again, or an upgrade would show in its old form for a while."""

    def render_GET(self, request: Any) -> Any:
        request.setHeader(b"cache-control", b"no-cache")
        return super().render_GET(request)


class DrydockApplication(Application):
    def __init__(self) -> None:
        super().__init__(__package__, "Resources, leases and blueprints of Drydock")
        self.resource = Revalidated(str(self.static_dir))

    @property
    def is_built(self) -> bool:
        """Whether there is anything to show."""
        built: bool = (self.static_dir / "scripts.js").is_file()
        return built


def is_installed() -> bool:
    """Tell whether Buildbot would find the pages; naming them to it otherwise is an error."""
    return NAME in get_plugins("www", None, load_now=False).names and ep.is_built


ep = DrydockApplication()
