"""Whether a resource is parked, since when, and for how long it was in all."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add(sa.Column("power", sa.String(16), nullable=False, server_default="running"))
    _add(sa.Column("power_since", sa.Double))
    _add(sa.Column("parked_seconds", sa.Double, nullable=False, server_default="0"))


def _add(column: sa.Column[Any]) -> None:
    """Add a column, unless an upgrade that was cut off has: MySQL cannot roll that back."""
    existing = {each["name"] for each in sa.inspect(op.get_bind()).get_columns("drydock_resources")}
    if column.name not in existing:
        op.add_column("drydock_resources", column)
