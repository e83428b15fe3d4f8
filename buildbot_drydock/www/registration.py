"""Making Buildbot's data API know our resource types, and sending messages about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.www.asking import check_arguments
from buildbot_drydock.www.authorizations import DrydockAuthorization
from buildbot_drydock.www.endpoints import (
    DrydockBlueprint,
    DrydockEvent,
    DrydockHost,
    DrydockLease,
    DrydockLedger,
    DrydockResource,
)
from buildbot_drydock.www.spending import SPENDING_TYPES

RESOURCE_TYPES: Final = (
    DrydockBlueprint,
    DrydockResource,
    DrydockLease,
    DrydockEvent,
    DrydockHost,
    DrydockLedger,
    DrydockAuthorization,
    *SPENDING_TYPES,
)


def register(master: Any) -> None:
    """Register all types; nothing if they are. They stay until the master ends."""
    if hooks.register_types(master, RESOURCE_TYPES):
        hooks.check_queries(master, check_arguments)


def produce(master: Any, name: str, row: Mapping[str, Any], event: str) -> None:
    """Send a message about a row, under each path that leads to it."""
    for path in hooks.event_paths(master, name):
        parts = path.split("/")
        filled = [_filled(part, row) for part in parts]
        if None not in filled:
            key = tuple(str(each) for each in filled)
            hooks.produce(master, (*key, event), row)


def _filled(part: str, row: Mapping[str, Any]) -> Any:
    """Return a part of a path as it is for this row; ``None`` if no such path leads to it."""
    return row.get(part[1:-1]) if part.startswith("{") else part
