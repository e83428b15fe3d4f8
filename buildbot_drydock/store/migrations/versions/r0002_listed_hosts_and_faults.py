"""Listed hosts: which one a resource is, and which are out of service; faults of resources."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}


def _name() -> TypeEngine[str]:
    binary = mysql.VARCHAR(190, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(190).with_variant(binary, "mysql", "mariadb")


def _text() -> TypeEngine[str]:
    medium = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(medium, "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "drydock_hosts",
        sa.Column("name", _name(), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("at_once", sa.SmallInteger, nullable=False),
        sa.Column("mode_reason", _text(), nullable=False),
        sa.Column("mode_author", _text(), nullable=False),
        sa.Column("mode_until", sa.Double),
        if_not_exists=True,
        **_OPTIONS,
    )
    _add("drydock_resources", sa.Column("host", _name(), nullable=False, server_default=""))
    _add("drydock_resources", sa.Column("faults", sa.Integer, nullable=False, server_default="0"))
    _add("drydock_resources", sa.Column("fault_at", sa.Double))
    _add("drydock_resources", sa.Column("fault", _text()))


def _add(table: str, column: sa.Column[Any]) -> None:
    """Add a column, unless an upgrade that was cut off has: MySQL cannot roll that back."""
    existing = {each["name"] for each in sa.inspect(op.get_bind()).get_columns(table)}
    if column.name not in existing:
        op.add_column(table, column)
