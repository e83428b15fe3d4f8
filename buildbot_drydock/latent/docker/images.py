"""Whether an engine has the image, and having it pulled: once at a time, whoever needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from buildbot_drydock.latent.docker.failures import CallFailed, Cause, missing, not_pulled

if TYPE_CHECKING:
    from buildbot_drydock.latent.docker.engine import Engine


class Images:
    """The image of a pool, on one engine."""

    def __init__(self, engine: Engine, image: str, pull: str) -> None:
        self._engine = engine
        self._image = image
        self._pull = pull
        self._waiting: list[Deferred[None]] | None = None  # for the pull that is under way

    @property
    def is_pulling(self) -> bool:
        return self._waiting is not None

    async def before_each(self) -> None:
        """Do what is done before each container. Raises ``CallFailed``."""
        if self._pull == "always":
            await self._pulled()

    async def after_missing(self) -> None:
        """Fetch the image that the engine turned out not to have. Raises ``CallFailed``."""
        if self._pull == "never":
            raise missing(self._engine.url, self._image)
        await self._pulled()

    async def _pulled(self) -> None:
        """Pull the image, or wait until the pull that is under way has ended."""
        if self._waiting is not None:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting
            return
        self._waiting = []
        failure: BaseException | None = None
        try:
            await self._engine.in_thread(f"pull {self._image}", self._fetch)
        except BaseException as error:
            failure = error
            raise
        finally:
            waiting_for_it, self._waiting = self._waiting, None
            for each in waiting_for_it:
                if failure is None:
                    each.callback(None)
                else:
                    each.errback(failure)

    def _fetch(self, client: Any) -> None:
        try:
            for line in client.pull(self._image, stream=True, decode=True):
                if line.get("error"):
                    raise not_pulled(self._engine.url, self._image, str(line["error"]))
        except CallFailed:
            raise
        except Exception as error:
            status = getattr(error, "status_code", None)
            if status is None:
                raise
            text = str(getattr(error, "explanation", None) or error)
            raise not_pulled(self._engine.url, self._image, text) from error


def is_missing(failed: CallFailed) -> bool:
    """Tell whether a call failed as the engine does not have the image."""
    return failed.cause is Cause.NO_IMAGE
