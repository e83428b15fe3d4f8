"""What is at ``/drydock/`` on Buildbot's own port, beside the data API."""

from __future__ import annotations

from typing import Any, Final

from buildbot.www.resource import Resource

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.www import metrics_page, permissions_page

FOLDER: Final = b"drydock"


def publish(master: Any) -> None:
    """Serve it from now on, in place of what was served earlier."""
    folder = Resource(master)
    folder.putChild(metrics_page.NAME, metrics_page.MetricsPage(master))
    folder.putChild(permissions_page.NAME, permissions_page.PermissionsPage(master))
    hooks.serve(master, FOLDER, folder)
