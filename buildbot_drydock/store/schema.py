"""The tables, and nothing else.

They live in whatever database Buildbot uses, beside its own tables and without foreign keys to
them, because Buildbot's migrations rebuild tables and its janitors delete rows. ``migrations``
creates them; a test holds the two to each other.

On MySQL and MariaDB the engine is named, since Buildbot asks for MyISAM, which cannot roll back;
and so is the collation, since a lock key must equal nothing but itself.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

# InnoDB's oldest row formats index 767 bytes, which is 191 characters of utf8mb4.
MOST_INDEXED = 190


def _name(length: int) -> TypeEngine[str]:
    """Return the type of a text short enough to be indexed, compared byte by byte."""
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def _text() -> TypeEngine[str]:
    """Return the type of a text of any length; TEXT of MySQL ends at 65,535 bytes."""
    medium = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(medium, "mysql", "mariadb")


metadata = sa.MetaData()

_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

# What is written as JSON is so noted; all times are seconds since the epoch.

blueprints = sa.Table(
    "drydock_blueprints",
    metadata,
    sa.Column("name", _name(MOST_INDEXED), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("mode_reason", _text(), nullable=False),
    sa.Column("mode_author", _text(), nullable=False),
    sa.Column("mode_until", sa.Double),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("retry_at", sa.Double),
    sa.Column("last_error", _text(), nullable=False),
    sa.Column("misconfigured", sa.SmallInteger, nullable=False),
    sa.Column("overrides", _text()),  # JSON object, by field; null in older rows
    **_OPTIONS,
)

hosts = sa.Table(
    "drydock_hosts",
    metadata,
    sa.Column("name", _name(MOST_INDEXED), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("at_once", sa.SmallInteger, nullable=False),
    sa.Column("mode_reason", _text(), nullable=False),
    sa.Column("mode_author", _text(), nullable=False),
    sa.Column("mode_until", sa.Double),
    **_OPTIONS,
)

resources = sa.Table(
    "drydock_resources",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("blueprint", _name(MOST_INDEXED), nullable=False),
    sa.Column("token", _name(MOST_INDEXED), nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("labels", _text(), nullable=False),  # JSON object of texts
    sa.Column("built_for", sa.Integer),
    sa.Column("parent_lease", sa.Integer),
    sa.Column("identity", _text(), nullable=False),
    sa.Column("address", _text(), nullable=False),
    sa.Column("data", _text(), nullable=False),  # JSON object of texts
    sa.Column("uses", sa.Integer, nullable=False),
    sa.Column("last_used_at", sa.Double),
    sa.Column("locks", _text(), nullable=False),  # JSON list of texts
    sa.Column("reason", _text(), nullable=False),
    # Last, as that is where the upgrade of an older database adds it.
    sa.Column("host", _name(MOST_INDEXED), nullable=False, server_default=""),
    sa.Column("faults", sa.Integer, nullable=False, server_default="0"),
    sa.Column("fault_at", sa.Double),
    sa.Column("fault", _text()),
    sa.Column("ends_at", sa.Double),
    sa.Column("end_reason", _text()),
    sa.Column("hourly_price", sa.Double),
    sa.Column("priced_at", sa.Double),
    sa.Column("power", sa.String(16), nullable=False, server_default="running"),
    sa.Column("power_since", sa.Double),
    sa.Column("parked_seconds", sa.Double, nullable=False, server_default="0"),
    # With the id at the end, so that pages of a listing can be read in its order.
    sa.Index("drydock_resources_status_id", "status", "id"),
    sa.Index("drydock_resources_blueprint_id", "blueprint", "id"),
    sa.Index("drydock_resources_host_id", "host", "id"),
    sa.Index("drydock_resources_since_id", "since", "id"),
    **_OPTIONS,
)

leases = sa.Table(
    "drydock_leases",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("owner", _text(), nullable=False),
    sa.Column("nonce", _name(MOST_INDEXED), nullable=False),
    sa.Column("master", sa.Integer),
    sa.Column("type", _text(), nullable=False),
    sa.Column("requires", _text(), nullable=False),  # JSON object of texts
    sa.Column("blueprints", _text(), nullable=False),  # JSON list of texts
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("attributes", _text(), nullable=False),  # JSON object of texts
    sa.Column("authorized_by", _text(), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("requested_at", sa.Double, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("resource", sa.Integer),
    sa.Column("slot", sa.Integer),
    sa.Column("locks", _text(), nullable=False),  # JSON list of texts
    sa.Column("renewed_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("until", sa.Double),
    sa.Column("returns", _text(), nullable=False),  # JSON list of texts
    sa.Column("reason", _text(), nullable=False),
    sa.Column("held_since", sa.Double),
    sa.Column("subjects", _text()),  # JSON list of texts
    sa.Index("drydock_leases_status_id", "status", "id"),
    sa.Index("drydock_leases_resource_id", "resource", "id"),
    sa.Index("drydock_leases_since_id", "since", "id"),
    **_OPTIONS,
)

# A build that runs, or ran, on a lease; gone once the lease is closed.
uses = sa.Table(
    "drydock_uses",
    metadata,
    sa.Column("lease", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("build", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("builder", _name(MOST_INDEXED), nullable=False),
    sa.Column("began_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    **_OPTIONS,
)

# What was charged of a resource when a lease on it, or itself, was closed. Rows never change.
costs = sa.Table(
    "drydock_costs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("blueprint", _name(MOST_INDEXED), nullable=False),
    sa.Column("resource", sa.Integer, nullable=False),
    sa.Column("lease", sa.Integer),
    sa.Column("build", sa.Integer),
    sa.Column("builder", _name(MOST_INDEXED)),
    sa.Column("seconds", sa.Double),
    sa.Column("cost", sa.Double),
    sa.Index("drydock_costs_build_id", "build", "id"),
    sa.Index("drydock_costs_lease_id", "lease", "id"),
    sa.Index("drydock_costs_resource_id", "resource", "id"),
    sa.Index("drydock_costs_builder_id", "builder", "id"),
    sa.Index("drydock_costs_builder_at_id", "builder", "at", "id"),
    sa.Index("drydock_costs_at_id", "at", "id"),
    **_OPTIONS,
)

authorizations = sa.Table(
    "drydock_authorizations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("blueprint", _name(MOST_INDEXED), nullable=False),
    sa.Column("subject", _name(MOST_INDEXED), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("requested_at", sa.Double, nullable=False),
    sa.Column("lease", sa.Integer),
    sa.Column("author", _text(), nullable=False),
    sa.Column("decided_at", sa.Double),
    sa.Column("reason", _text(), nullable=False),
    # Of two masters that ask for the same at once, one adds the row.
    sa.Index("drydock_authorizations_subject", "blueprint", "subject", unique=True),
    sa.Index("drydock_authorizations_status_id", "status", "id"),
    sa.Index("drydock_authorizations_blueprint_id", "blueprint", "id"),
    **_OPTIONS,
)

# Whoever inserts a key holds what it names.
slot_locks = sa.Table(
    "drydock_slot_locks",
    metadata,
    sa.Column("lock_key", _name(MOST_INDEXED), primary_key=True),
    sa.Column(
        "owner", sa.String(64), nullable=False
    ),  # "resource/7", "lease/12", or "master/3/1800000000"
    **_OPTIONS,
)

events = sa.Table(
    "drydock_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("actor", _text(), nullable=False),
    sa.Column("data", _text(), nullable=False),  # JSON object
    sa.Column("blueprint", _name(MOST_INDEXED)),
    sa.Column("resource", sa.Integer),
    sa.Column("lease", sa.Integer),
    sa.Index("drydock_events_lease_id", "lease", "id"),
    sa.Index("drydock_events_resource_id", "resource", "id"),
    sa.Index("drydock_events_kind_id", "kind", "id"),
    sa.Index("drydock_events_blueprint_id", "blueprint", "id"),
    **_OPTIONS,
)
