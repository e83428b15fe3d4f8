"""Whether workers can be started in a container: it runs, has our directory, and a Python.

Where an image has a Python with buildbot-worker, all its containers do: it is looked for in the first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from buildbot_drydock.errors import DrydockError, HostError, Misconfigured
from buildbot_drydock.interfaces import Host
from buildbot_drydock.remote.shell.host import ShellHost

FindInterpreter: TypeAlias = Callable[[Host], Awaitable[str]]

_REMEDY = "give the pool another image, or change this one"


@dataclass(slots=True)
class Fitness:
    """What is known of one container."""

    python: str = ""  # once it is fit
    failure: DrydockError | None = None  # why it will never be


class Interpreters:
    """The Pythons that images have, by their ids."""

    def __init__(self, find: FindInterpreter, directory: str) -> None:
        self._find = find
        self._directory = directory
        self._of_images: dict[str, str] = {}

    async def prepared(self, host: ShellHost, image: str) -> str:
        """Make our directory in a container; return the path of its Python.

        Raises ``Misconfigured`` for what no container of this image can have, and ``HostError`` for
        what may be better in the next one.
        """
        try:
            await host.make_directory()
        except HostError as error:
            raise _judged(error) from error
        python = self._of_images.get(image, "") if image else ""
        if python:
            return python
        try:
            python = await self._find(host)
        except HostError as error:
            raise _judged(error) from error
        if image and f"/{self._directory}/" not in python:
            self._of_images[image] = python  # it is of the image, and was not made just now
        return python


def _judged(error: HostError) -> DrydockError:
    """Tell what is wrong with the image from what befell one container."""
    if type(error) is not HostError or str(error).startswith("making the environment"):
        return error
    return Misconfigured(f"{error}. Remedy: {_REMEDY}")
