"""Which builds use leases, and what resources cost, by lease and build."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
_INDICES: Final = {
    "drydock_costs_build_id": ["build", "id"],
    "drydock_costs_lease_id": ["lease", "id"],
    "drydock_costs_resource_id": ["resource", "id"],
    "drydock_costs_builder_id": ["builder", "id"],
    "drydock_costs_builder_at_id": ["builder", "at", "id"],
    "drydock_costs_at_id": ["at", "id"],
}


def _name() -> TypeEngine[str]:
    binary = mysql.VARCHAR(190, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(190).with_variant(binary, "mysql", "mariadb")


def upgrade() -> None:
    """Create what is missing: MySQL cannot roll back an upgrade that was cut off."""
    existing = sa.inspect(op.get_bind()).get_table_names()
    if "drydock_uses" not in existing:
        op.create_table(
            "drydock_uses",
            sa.Column("lease", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("build", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("builder", _name(), nullable=False),
            sa.Column("began_at", sa.Double, nullable=False),
            sa.Column("ended_at", sa.Double),
            **_OPTIONS,
        )
    if "drydock_costs" not in existing:
        op.create_table(
            "drydock_costs",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("at", sa.Double, nullable=False),
            sa.Column("blueprint", _name(), nullable=False),
            sa.Column("resource", sa.Integer, nullable=False),
            sa.Column("lease", sa.Integer),
            sa.Column("build", sa.Integer),
            sa.Column("builder", _name()),
            sa.Column("seconds", sa.Double),
            sa.Column("cost", sa.Double),
            **_OPTIONS,
        )
    known = {each["name"] for each in sa.inspect(op.get_bind()).get_indexes("drydock_costs")}
    for name, columns in _INDICES.items():
        if name not in known:
            op.create_index(name, "drydock_costs", columns)
