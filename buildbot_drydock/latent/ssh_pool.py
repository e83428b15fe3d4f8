"""What pools of machines that are reached over SSH have in common: how a machine is treated."""

from __future__ import annotations

from typing import Final

import pydantic

from buildbot_drydock.latent.hosts_fields import SSHFields
from buildbot_drydock.latent.keeper import Rules
from buildbot_drydock.latent.problems import unit
from buildbot_drydock.latent.worker_host import WorkerHostFields

_MEGABYTE: Final = 1_000_000


class SSHPoolFields(WorkerHostFields):
    """The fields of all pools of machines that are reached over SSH."""

    keep_build_directories: bool = pydantic.Field(
        default=True,
        description="Whether the next lease of a slot finds the build directories of the last.",
    )
    lost_after: float = pydantic.Field(
        default=60.0,
        gt=0,
        description="How long a host may be silent, until what was leased on it is lost.",
        json_schema_extra=unit("seconds"),
    )
    probe_interval: float = pydantic.Field(
        default=60.0,
        gt=0,
        description="How often a host is looked at while all is well. A connection that is lost "
        "is noticed sooner: see keepalive_interval of SSH.",
        json_schema_extra=unit("seconds"),
    )
    min_free_disk: float = pydantic.Field(
        default=500.0,
        ge=0,
        description="A host with less free space in its directory takes no new leases.",
        json_schema_extra=unit("MB"),
    )


def keeper_rules(fields: SSHPoolFields, ssh: SSHFields, installation: str) -> Rules:
    """Return what the keepers of a pool go by."""
    return Rules(
        installation=installation,
        directory=fields.directory,
        keep_build_directories=fields.keep_build_directories,
        tunnels=ssh.tunnel_to is not None,
        boot_timeout=fields.boot_timeout,
        lost_after=fields.lost_after,
        probe_interval=fields.probe_interval,
        min_free_bytes=int(fields.min_free_disk * _MEGABYTE),
    )


def address_and_port(text: str | None) -> tuple[str, int] | None:
    """Return where a tunnel leads, as ``tunnel_to`` of ``SSH`` says it."""
    if text is None:
        return None
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)
