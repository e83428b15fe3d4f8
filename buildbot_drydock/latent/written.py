"""What is written in master.cfg beside blueprints: values that are judged later, and lists."""

from __future__ import annotations

from typing import Any

from buildbot_drydock.latent.problems import Fields, examine


class Written:
    """Something in master.cfg that takes whatever it is given; its blueprint says what is wrong."""

    unnamed: tuple[str, ...] = ()  # the arguments that may be given without their names

    def __init__(self, *values: Any, **arguments: Any) -> None:
        extra = {f"argument {n}": v for n, v in enumerate(values, 1) if n > len(self.unnamed)}
        self.arguments = {**dict(zip(self.unnamed, values, strict=False)), **extra, **arguments}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.arguments == getattr(other, "arguments", None)

    __hash__ = None  # type: ignore[assignment]  # its arguments may be anything

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"
        )


def sequence(value: object) -> object:
    """Return a list as a tuple, and anything else as it is, for a schema to look at."""
    return tuple(value) if isinstance(value, list) else value


def made(value_class: type[Any], fields_class: type[Fields]) -> Any:
    """Return what makes fields of a value in master.cfg, or says all that is wrong with it."""

    def make(value: object) -> object:
        if not isinstance(value, value_class):
            return value
        fields, problems = examine(
            fields_class, value.arguments, subject=value_class.__name__, name=""
        )
        if problems:
            raise ValueError(
                "; ".join(f"field {p.field!r}: {p.message} ({p.remedy})" for p in problems)
            )
        return fields

    return make
