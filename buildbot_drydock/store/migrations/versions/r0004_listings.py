"""Indices in the order of listings, so that a page of one is read without looking through others."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NEW: Final = {
    "drydock_resources": ("status", "blueprint", "host", "since"),
    "drydock_leases": ("status", "resource", "since"),
    "drydock_events": ("lease", "resource", "kind", "blueprint"),
}
# Each has one of the new ones that serves as well.
_OLD: Final = {
    "drydock_resources": ("drydock_resources_status",),
    "drydock_leases": ("drydock_leases_status", "drydock_leases_resource"),
    "drydock_events": ("drydock_events_lease", "drydock_events_resource"),
}


def upgrade() -> None:
    """Create, then drop, unless an upgrade that was cut off has: MySQL cannot roll that back."""
    for table, columns in _NEW.items():
        existing = _indices(table)
        for column in columns:
            if (name := f"{table}_{column}_id") not in existing:
                op.create_index(name, table, [column, "id"])
        for name in existing.intersection(_OLD[table]):
            op.drop_index(name, table)


def _indices(table: str) -> set[str]:
    found = sa.inspect(op.get_bind()).get_indexes(table)
    return {str(index["name"]) for index in found}
