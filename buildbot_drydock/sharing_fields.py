"""How what there is is shared, as written in master.cfg beside blueprints and workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pydantic

from buildbot_drydock.latent.problems import Conflict, Fields, unit
from buildbot_drydock.latent.written import Written, made
from buildbot_drydock.quota import KINDS
from buildbot_drydock.quota import Quota as QuotaRule
from buildbot_drydock.sharing import AGEING_SECONDS, Sharing


class Quota(Written):
    """``Quota(builder='nightly-*', leases=3)``, in the ``quotas`` of ``Drydock``."""


class QuotaFields(Fields):
    """The fields of a ``Quota``."""

    builder: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="A pattern of builders, such as 'nightly-*', whose builds take the leases.",
    )
    project: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="A pattern of projects, as in `project` of a `BuilderConfig`.",
    )
    owner: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="A pattern of who asks: 'person/ana@example.org', or 'worker/linux-*'.",
    )
    leases: int = pydantic.Field(
        ge=0,
        le=100_000,
        description="How many leases may be held at once.",
        json_schema_extra=unit("leases"),
    )
    each: bool = pydantic.Field(
        default=False,
        description="Whether each that the pattern names may have so many, and not all together.",
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            yield Conflict(
                KINDS,
                f"of builder, project and owner it has {' and '.join(given) or 'none'}",
                "give it one of them",
            )

    def rule(self) -> QuotaRule:
        (kind,) = (kind for kind in KINDS if getattr(self, kind) is not None)
        return QuotaRule(kind=kind, pattern=getattr(self, kind), leases=self.leases, each=self.each)


def _as_quotas(value: object) -> object:
    """Make fields of each ``Quota`` in a list, or say all that is wrong with any of them."""
    if not isinstance(value, list | tuple):
        return value
    made_of, wrong = [], []
    make = made(Quota, QuotaFields)
    for number, each in enumerate(value):
        try:
            made_of.append(make(each))
            if not isinstance(made_of[-1], QuotaFields):
                raise ValueError(f"it is {each!r}, not a Quota")
        except ValueError as error:
            wrong.append(f"quotas[{number}]: {error}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(made_of)


class SharingFields(Fields):
    """What is said once, for all blueprints."""

    quotas: Annotated[tuple[QuotaFields, ...], pydantic.BeforeValidator(_as_quotas)] = (
        pydantic.Field(
            default=(),
            description="How many leases some builders, projects or people may hold at once, "
            "whichever blueprints they are of.",
            json_schema_extra={
                "values": "a list of `Quota`",
                "remedy": "give quotas a list such as [Quota(builder='nightly-*', leases=3)]",
            },
        )
    )
    fair_share: Literal["builder", "project", "owner"] | None = pydantic.Field(
        default="builder",
        description="Of the leases of one priority that wait, those go first whose builder, project "
        "or owner holds the fewest. None is the oldest first, whoever asks.",
    )
    ageing_seconds: float = pydantic.Field(
        default=AGEING_SECONDS,
        gt=0,
        description="A lease that has waited for so long counts as of a priority higher by one, "
        "after twice the time by two, and so on: nothing waits for ever.",
        json_schema_extra=unit("seconds"),
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        names = Counter(fields.rule().name for fields in self.quotas)
        for name, count in names.items():
            if count > 1:
                yield Conflict(
                    ("quotas",),
                    f"there are {count} quotas of {name}",
                    "keep the one that is meant",
                )

    def sharing(self) -> Sharing:
        return Sharing(
            quotas=tuple(fields.rule() for fields in self.quotas),
            fair_share=self.fair_share,
            ageing_seconds=self.ageing_seconds,
        )


def split(fields: SharingFields) -> tuple[Sharing, dict[str, Any]]:
    """Return the rules of sharing, and the other fields."""
    return fields.sharing(), fields.model_dump(exclude=set(SharingFields.model_fields))
