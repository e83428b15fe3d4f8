"""``DockerPool``: containers of Docker Engine, or of Podman, as build hosts."""

from __future__ import annotations

import importlib.util
from typing import Any

from buildbot_drydock.interfaces import Host as RemoteHost
from buildbot_drydock.latent.definition import Definition, Surroundings
from buildbot_drydock.latent.docker.engines import Engines
from buildbot_drydock.latent.docker.fields import DockerEngine, DockerPoolFields, labels_of
from buildbot_drydock.latent.docker.launching import Launcher
from buildbot_drydock.latent.docker.provider import DockerProvider, Rules
from buildbot_drydock.latent.fitness import Interpreters
from buildbot_drydock.latent.interpreter import interpreter
from buildbot_drydock.latent.problems import Problem
from buildbot_drydock.latent.worker_host import wanted_interpreter

__all__ = ["DockerEngine", "DockerPool", "DockerPoolFields"]


class DockerPool(Definition):
    """Containers of Docker Engine, or of Podman: one for each lease, or kept for several."""

    kind = "docker"
    fields_class = DockerPoolFields
    provider_class = DockerProvider

    def __init__(self, name: object = "", *unnamed: object, **arguments: Any) -> None:
        super().__init__(name, *unnamed, **arguments)
        self.problems = (*self.problems, *self._problems_of_installation())

    def _problems_of_installation(self) -> list[Problem]:
        if importlib.util.find_spec("docker") is not None:
            return []
        message = "engines are used with the library docker, which is not installed"
        remedy = "run pip install 'buildbot-drydock[docker]' in the master's environment"
        return [self.problem("hosts", message, remedy)]

    @property
    def pool_fields(self) -> DockerPoolFields:
        fields = self.fields
        assert isinstance(fields, DockerPoolFields)
        return fields

    def provider(self, surroundings: Surroundings) -> DockerProvider:
        # The library is there only where containers are used.
        from buildbot_drydock.latent.docker.engine import Engine
        from buildbot_drydock.latent.docker.watching import Watch

        fields, reactor = self.pool_fields, surroundings.reactor
        engines = [
            Engine(each, self.name, reactor, surroundings.uniform) for each in fields.engines
        ]
        wanted = wanted_interpreter(fields)

        async def find_interpreter(host: RemoteHost) -> str:
            return await interpreter(host, wanted)

        watches: list[Watch] = []

        def stop_watches() -> None:
            for each in watches:
                each.stop()

        labels = labels_of(surroundings.installation, self.name)
        provider = DockerProvider(
            Engines(
                engines,
                labels,
                reactor=reactor,
                report=lambda event: surroundings.report(self.name, event),
            ),
            Launcher(engines, fields),
            Interpreters(find_interpreter, fields.directory),
            Rules(
                installation=surroundings.installation,
                blueprint=self.name,
                directory=fields.directory,
                stop_grace=fields.stop_grace,
                memory=fields.memory,
                prestarts=fields.prestart,
                most_uses=1 if fields.idle_timeout == 0 else fields.max_uses,
            ),
            reactor=reactor,
            threads=surroundings.thread_pool,
            wake=surroundings.wake,
            closing=stop_watches,
        )
        for engine in engines:
            watch = Watch(engine, labels, provider.heard, reactor.callFromThread)
            watch.start()
            watches.append(watch)
        return provider
