"""The fields of blueprints whose idle resources can be parked instead of released."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Final, Literal

import pydantic

from buildbot_drydock.latent.definition import PricedFields
from buildbot_drydock.latent.problems import Conflict, unit
from buildbot_drydock.model import Blueprint

_WEEK_SECONDS: Final = 7 * 86400.0


class ParkingFields(PricedFields):
    """What a kind whose provider parks has besides."""

    park: Literal["stop"] | None = pydantic.Field(
        default=None,
        description="What becomes of a resource that was idle for idle_timeout: 'stop' parks it, so "
        "that it keeps its disks, costs next to nothing and is woken for a later lease. None "
        "releases it.",
    )
    park_for: float | None = pydantic.Field(
        default=_WEEK_SECONDS,
        gt=0,
        description="How long a resource stays parked until it is released. None is for ever.",
        json_schema_extra=unit("seconds"),
    )
    max_parked: int | None = pydantic.Field(
        default=None,
        ge=1,
        description="How many resources are parked at once; those idle too long beyond that are "
        "released. Parked ones count towards limit. None is as many as there may be.",
        json_schema_extra=unit("resources"),
    )
    _of_parking: ClassVar = ("park_for", "max_parked")

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if self.park is None:
            for name in self._of_parking:
                if name in self.model_fields_set:
                    yield Conflict(
                        (name, "park"),
                        "nothing is parked, so it is not used",
                        f"let park be 'stop', or remove {name}",
                    )
        elif self.idle_timeout is None:
            yield Conflict(
                ("park", "idle_timeout"),
                "nothing is parked, as nothing is ever idle for too long",
                "give idle_timeout seconds, such as 600",
            )


def with_parking(blueprint: Blueprint, fields: ParkingFields) -> Blueprint:
    """Return the blueprint with what its fields say of parking."""
    return replace(
        blueprint,
        parks=fields.park is not None,
        park_for=fields.park_for,
        max_parked=fields.max_parked,
    )
