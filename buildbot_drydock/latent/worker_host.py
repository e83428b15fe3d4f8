"""How workers run on hosts of whatever kind: where, with which Python, and how they are ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import pydantic

from buildbot_drydock.latent.definition import CommonFields
from buildbot_drydock.latent.interpreter import Interpreter, MakeVenv
from buildbot_drydock.latent.problems import unit
from buildbot_drydock.latent.written import sequence

Texts = Annotated[tuple[str, ...], pydantic.BeforeValidator(sequence)]


class WorkerHostFields(CommonFields):
    """The fields of all pools on whose hosts workers are started by commands."""

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
        description="Which version of buildbot-worker serves; the master's if not given, and any if "
        "it is empty.",
    )
    pip_arguments: Texts = pydantic.Field(
        default=(),
        description="More arguments for pip, such as ['--index-url', 'https://pypi.example.org'].",
        json_schema_extra={
            "values": "a list of texts",
            "remedy": "give pip_arguments a list of texts",
        },
    )
    stop_grace: float = pydantic.Field(
        default=5.0,
        ge=0,
        description="How long processes may take to end when asked, before they are killed.",
        json_schema_extra=unit("seconds"),
    )


def wanted_interpreter(fields: WorkerHostFields) -> Interpreter:
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
