"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
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


def _table(name: str, *columns: sa.Column[object]) -> None:
    """Create a table, unless an upgrade that was cut off has: MySQL cannot roll that back."""
    op.create_table(name, *columns, if_not_exists=True, **_OPTIONS)


def _index(name: str, table: str, column: str) -> None:
    """Create an index, unless an upgrade that was cut off has; MySQL has no IF NOT EXISTS here."""
    existing = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
    if name not in existing:
        op.create_index(name, table, [column])


def upgrade() -> None:
    _create_blueprints()
    _create_resources()
    _create_leases()
    _create_slot_locks()
    _create_events()


def _create_blueprints() -> None:
    _table(
        "drydock_blueprints",
        sa.Column("name", _name(), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("mode_reason", _text(), nullable=False),
        sa.Column("mode_author", _text(), nullable=False),
        sa.Column("mode_until", sa.Double),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("retry_at", sa.Double),
        sa.Column("last_error", _text(), nullable=False),
        sa.Column("misconfigured", sa.SmallInteger, nullable=False),
    )


def _create_resources() -> None:
    _table(
        "drydock_resources",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("blueprint", _name(), nullable=False),
        sa.Column("token", _name(), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("labels", _text(), nullable=False),
        sa.Column("built_for", sa.Integer),
        sa.Column("parent_lease", sa.Integer),
        sa.Column("identity", _text(), nullable=False),
        sa.Column("address", _text(), nullable=False),
        sa.Column("data", _text(), nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("last_used_at", sa.Double),
        sa.Column("locks", _text(), nullable=False),
        sa.Column("reason", _text(), nullable=False),
    )
    _index("drydock_resources_status", "drydock_resources", "status")


def _create_leases() -> None:
    _table(
        "drydock_leases",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("owner", _text(), nullable=False),
        sa.Column("nonce", _name(), nullable=False),
        sa.Column("master", sa.Integer),
        sa.Column("type", _text(), nullable=False),
        sa.Column("requires", _text(), nullable=False),
        sa.Column("blueprints", _text(), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("attributes", _text(), nullable=False),
        sa.Column("authorized_by", _text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("requested_at", sa.Double, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("resource", sa.Integer),
        sa.Column("slot", sa.Integer),
        sa.Column("locks", _text(), nullable=False),
        sa.Column("renewed_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("until", sa.Double),
        sa.Column("returns", _text(), nullable=False),
        sa.Column("reason", _text(), nullable=False),
    )
    _index("drydock_leases_status", "drydock_leases", "status")
    _index("drydock_leases_resource", "drydock_leases", "resource")


def _create_slot_locks() -> None:
    _table(
        "drydock_slot_locks",
        sa.Column("lock_key", _name(), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
    )


def _create_events() -> None:
    _table(
        "drydock_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("actor", _text(), nullable=False),
        sa.Column("data", _text(), nullable=False),
        sa.Column("blueprint", _name()),
        sa.Column("resource", sa.Integer),
        sa.Column("lease", sa.Integer),
    )
    _index("drydock_events_resource", "drydock_events", "resource")
    _index("drydock_events_lease", "drydock_events", "lease")
