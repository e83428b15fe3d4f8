"""What people edit of a blueprint at run time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, unless an upgrade that was cut off has: MySQL cannot roll that back."""
    medium = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    text = sa.Text().with_variant(medium, "mysql", "mariadb")
    existing = {c["name"] for c in sa.inspect(op.get_bind()).get_columns("drydock_blueprints")}
    if "overrides" not in existing:
        op.add_column("drydock_blueprints", sa.Column("overrides", text))
