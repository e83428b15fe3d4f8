"""When and why a host ends; what a resource costs an hour, and since when a lease has its slot."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _text() -> TypeEngine[str]:
    medium = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(medium, "mysql", "mariadb")


def upgrade() -> None:
    _add("drydock_resources", sa.Column("ends_at", sa.Double))
    _add("drydock_resources", sa.Column("end_reason", _text()))
    _add("drydock_resources", sa.Column("hourly_price", sa.Double))
    _add("drydock_resources", sa.Column("priced_at", sa.Double))
    _add("drydock_leases", sa.Column("held_since", sa.Double))


def _add(table: str, column: sa.Column[Any]) -> None:
    """Add a column, unless an upgrade that was cut off has: MySQL cannot roll that back."""
    existing = {each["name"] for each in sa.inspect(op.get_bind()).get_columns(table)}
    if column.name not in existing:
        op.add_column(table, column)
