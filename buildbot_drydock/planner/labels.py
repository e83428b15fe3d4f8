"""Labels as keys of dictionaries."""

from __future__ import annotations

from typing import TypeAlias

from buildbot_drydock.model import Labels

LabelKey: TypeAlias = tuple[tuple[str, str], ...]


def label_key(labels: Labels) -> LabelKey:
    return tuple(sorted(labels.items()))
