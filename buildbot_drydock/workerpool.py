"""A pool of workers, as written in master.cfg.

A pool is expanded to that many latent workers with recycled names. Each of them takes a lease, and
works on whatever host it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import pydantic
from buildbot.interfaces import IRenderable

from buildbot_drydock.latent.definition import label_key, label_text
from buildbot_drydock.latent.problems import Conflict, Declaration, Fields, unit

LONGEST_WORKER_NAME = 50  # what Buildbot's table of workers holds
_PREFIX = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)?")


def is_renderable(value: object) -> bool:
    return bool(IRenderable.providedBy(value))


def _requirements(value: Any) -> Any:
    if is_renderable(value):
        return value
    if not isinstance(value, dict):
        raise ValueError("it is neither a dictionary nor something that Buildbot can render")
    wrong = [text for label, wanted in value.items() if (text := _misstated(label, wanted))]
    if wrong:
        raise ValueError("; ".join(wrong))
    return {k: v if is_renderable(v) else label_text(v) for k, v in value.items()}


def _misstated(label: object, wanted: object) -> str:
    try:
        label_key(label)
        if not is_renderable(wanted):
            label_text(wanted)
    except ValueError as error:
        return f"{label!r}: {wanted!r}: {error}"
    return ""


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise ValueError("worker names would not be identifiers")
    return value


def _names(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _waiting(value: float) -> float:
    if value < 0 and value != -1:
        raise ValueError("it is a time, or -1")
    return value


class PoolFields(Fields):
    """The fields of a pool of workers."""

    size: int = pydantic.Field(
        default=40,
        ge=1,
        le=10_000,
        description="How many workers there are. No more of its builds run at once.",
        json_schema_extra=unit("workers"),
    )
    requires: Annotated[
        Any,
        pydantic.BeforeValidator(_requirements),
        pydantic.WithJsonSchema({"type": "object"}),
    ] = pydantic.Field(
        default_factory=dict,
        description="The labels that a host must have: texts, whole numbers, True or False. All of "
        "it, or any value, may be renderable, so that a build asks by its properties.",
        json_schema_extra={
            "values": "a dictionary of labels, or a renderable",
            "remedy": "give requires a dictionary such as {'os': 'debian'}, or a renderable",
        },
    )
    blueprints: Annotated[tuple[str, ...], pydantic.BeforeValidator(_names)] = pydantic.Field(
        default=(),
        description="The names of the only blueprints that it may use; all if there are none.",
        json_schema_extra={
            "values": "a list of names",
            "remedy": "give blueprints a list of names, such as ['linux']",
        },
    )
    priority: int = pydantic.Field(
        default=0,
        description="Its leases are served before those of a lower priority.",
    )
    name_prefix: Annotated[str, pydantic.AfterValidator(_prefix)] = pydantic.Field(
        default="",
        description="Begins the names of its workers. Masters that share a database must not "
        "share the names of workers: give each its own prefix, such as 'eu-'.",
        json_schema_extra={
            "remedy": "give name_prefix letters, digits, '_' and '-', beginning with a letter or "
            "'_', such as 'eu-'"
        },
    )
    build_wait_timeout: Annotated[float, pydantic.AfterValidator(_waiting)] = pydantic.Field(
        default=600.0,
        description="How long a worker without a build keeps its lease. 0 gives it back after "
        "each build, -1 never.",
        json_schema_extra=unit("seconds")
        | {"remedy": "give build_wait_timeout a number of seconds, 0, or -1 for ever"},
    )
    missing_timeout: float = pydantic.Field(
        default=3600.0,
        gt=0,
        description="How long a build waits for a lease of its worker, before it looks again.",
        json_schema_extra=unit("seconds"),
    )
    login_timeout: float = pydantic.Field(
        default=120.0,
        gt=0,
        description="How long a worker may take, from an active lease, until it is connected.",
        json_schema_extra=unit("seconds"),
    )
    reconnect_timeout: float = pydantic.Field(
        default=90.0,
        gt=0,
        description="How long a worker may take to come back, after its connection was lost or "
        "the master restarted.",
        json_schema_extra=unit("seconds"),
    )
    stop_timeout: float = pydantic.Field(
        default=30.0,
        gt=0,
        description="How long each step of giving a lease back may take.",
        json_schema_extra=unit("seconds"),
    )
    max_start_attempts: int = pydantic.Field(
        default=5,
        ge=1,
        description="How often a build is tried again because its worker could not be started. "
        "Then it fails, naming the reasons.",
        json_schema_extra=unit("attempts"),
    )
    max_builds: int | None = pydantic.Field(
        default=1,
        ge=1,
        description="How many builds, of different builders, a worker runs at once. None is no "
        "limit.",
        json_schema_extra=unit("builds"),
    )
    keep_on_shutdown: bool = pydantic.Field(
        default=True,
        description="Whether its leases and hosts outlive a stop of the master, to be taken up by "
        "the next start.",
    )
    directory: str = pydantic.Field(
        default="worker",
        min_length=1,
        description="The directory on the host that workers work in. Each slot has its own below "
        "it, which is kept from lease to lease, unless the blueprint says otherwise. A relative "
        "one is in the host's own directory; an absolute one is never removed.",
    )
    python: str = pydantic.Field(
        default="",
        description="The Python on the host that runs the worker. If empty, that is what the "
        "blueprint found or made there, the master's own on the master's machine, or python3.",
    )
    masterFQDN: str = pydantic.Field(
        default="",
        description="The name by which the host reaches the master, unless its blueprint makes a "
        "tunnel. If empty, that is localhost on the master's machine, and its full name elsewhere.",
    )
    properties: dict[str, Any] = pydantic.Field(
        default_factory=dict,
        description="Properties of all builds on its workers.",
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        seen = set()
        for name in self.blueprints:
            if name in seen:
                yield Conflict(
                    ("blueprints",),
                    f"blueprint {name!r} is named twice",
                    "name it once",
                )
            seen.add(name)

    def fixed_requirements(self) -> dict[str, str]:
        """Return what is required whatever the build; the rest is known when it is rendered."""
        if not isinstance(self.requires, dict):
            return {}
        return {k: v for k, v in self.requires.items() if not is_renderable(v)}


class WorkerPool(Declaration):
    """A pool of workers: ``WorkerPool('linux', size=40, requires={'os': 'debian'})``."""

    subject = "pool"
    longest_name = LONGEST_WORKER_NAME - len("-10000")
    fields_class = PoolFields

    def __init__(self, name: object = "", *unnamed: object, **arguments: Any) -> None:
        super().__init__(name, *unnamed, **arguments)
        if not self.problems and len(self.workernames()[-1]) > LONGEST_WORKER_NAME:
            self.problems = (
                self.problem(
                    "name_prefix",
                    f"the name {self.workernames()[-1]!r} of a worker would have more than "
                    f"{LONGEST_WORKER_NAME} characters",
                    "shorten name_prefix or the name of the pool",
                ),
            )

    @property
    def fields(self) -> PoolFields:
        """The validated fields; there are none if there are problems."""
        fields = super().fields
        assert isinstance(fields, PoolFields)
        return fields

    def workernames(self) -> list[str]:
        """Return the names of its workers, which are used again and again: ``linux-001``, ..."""
        fields = self.fields
        stem = f"{fields.name_prefix}{self.name}"
        return [f"{stem}-{number:03d}" for number in range(1, fields.size + 1)]
