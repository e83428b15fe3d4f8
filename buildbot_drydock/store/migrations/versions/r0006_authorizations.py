"""Who may use a blueprint that needs approval, and in whose name a lease asks."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLE: Final = "drydock_authorizations"
_OPTIONS: Final[dict[str, Any]] = {
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
    """Do what an upgrade that was cut off has not done: MySQL cannot roll that back."""
    found = sa.inspect(op.get_bind())
    if "subjects" not in {each["name"] for each in found.get_columns("drydock_leases")}:
        op.add_column("drydock_leases", sa.Column("subjects", _text()))
    if not found.has_table(_TABLE):
        op.create_table(
            _TABLE,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("blueprint", _name(), nullable=False),
            sa.Column("subject", _name(), nullable=False),
            sa.Column("status", sa.String(16), nullable=False),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("requested_at", sa.Double, nullable=False),
            sa.Column("lease", sa.Integer),
            sa.Column("author", _text(), nullable=False),
            sa.Column("decided_at", sa.Double),
            sa.Column("reason", _text(), nullable=False),
            **_OPTIONS,
        )
    existing = {str(each["name"]) for each in sa.inspect(op.get_bind()).get_indexes(_TABLE)}
    for name, columns, unique in (
        (f"{_TABLE}_subject", ["blueprint", "subject"], True),
        (f"{_TABLE}_status_id", ["status", "id"], False),
        (f"{_TABLE}_blueprint_id", ["blueprint", "id"], False),
    ):
        if name not in existing:
            op.create_index(name, _TABLE, columns, unique=unique)
