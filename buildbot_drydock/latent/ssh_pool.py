"""What pools of machines that are reached over SSH have in common: how a machine is treated."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

import pydantic

from buildbot_drydock.latent.definition import CommonFields
from buildbot_drydock.latent.hosts_fields import SSHFields
from buildbot_drydock.latent.interpreter import Interpreter, MakeVenv
from buildbot_drydock.latent.keeper import Rules
from buildbot_drydock.latent.problems import unit
from buildbot_drydock.latent.written import sequence

_MEGABYTE: Final = 1_000_000


class SSHPoolFields(CommonFields):
    """The fields of all pools of machines that are reached over SSH."""

    directory: str = pydantic.Field(
        default="drydock",
        min_length=1,
        pattern=r"^[^\s~'\"$\\-][^\s'\"$\\]*$",
        description="Where Drydock keeps everything on a host, relative to the login's home.",
        json_schema_extra={
            "values": "a path",
            "remedy": "give directory a path without blanks or quotes, such as 'drydock'",
        },
    )
    python: str = pydantic.Field(
        default="python3",
        min_length=1,
        description="The Python of the hosts: it has buildbot-worker, or makes an environment "
        "that has it.",
    )
    make_venv: MakeVenv = pydantic.Field(
        default="if-needed",
        description="Whether to make an environment with buildbot-worker on a host: 'if-needed' "
        "uses an installed one of the master's major version, 'always' never does.",
    )
    worker_version: str | None = pydantic.Field(
        default=None,
        description="Which version of buildbot-worker to install there; the master's if not given.",
    )
    pip_arguments: Annotated[tuple[str, ...], pydantic.BeforeValidator(sequence)] = pydantic.Field(
        default=(),
        description="More arguments for pip, such as ['--index-url', 'https://pypi.example.org'].",
        json_schema_extra={
            "values": "a list of texts",
            "remedy": "give pip_arguments a list of texts",
        },
    )
    keep_build_directories: bool = pydantic.Field(
        default=True,
        description="Whether the next lease of a slot finds the build directories of the last.",
    )
    stop_grace: float = pydantic.Field(
        default=5.0,
        ge=0,
        description="How long processes may take to end when asked, before they are killed.",
        json_schema_extra=unit("seconds"),
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


def wanted_interpreter(fields: SSHPoolFields) -> Interpreter:
    """Return which Python the workers of a pool run with."""
    wanted = Interpreter(
        python=fields.python,
        make_venv=fields.make_venv,
        pip_arguments=fields.pip_arguments,
        make_timeout=min(Interpreter.make_timeout, fields.boot_timeout),
    )
    if fields.worker_version is None:
        return wanted
    return replace(wanted, worker_version=fields.worker_version)


def address_and_port(text: str | None) -> tuple[str, int] | None:
    """Return where a tunnel leads, as ``tunnel_to`` of ``SSH`` says it."""
    if text is None:
        return None
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)
