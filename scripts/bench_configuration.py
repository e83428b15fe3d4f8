"""The configuration of a whole master that a benchmark starts."""

from __future__ import annotations

from typing import Any

from buildbot.config.master import MasterConfig


class ConfigurationInMemory:
    """Loads what is given, as ``FileLoader`` does a file."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def loadConfig(self) -> MasterConfig:
        return MasterConfig.loadFromDict(self._content, "the benchmark's")
