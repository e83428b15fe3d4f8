"""Every use of a Buildbot attribute that no documentation promises.

Each function names what it relies on. All were checked with Buildbot 4.3.0, and each has a test
that fails when what it relies on has moved.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from buildbot.worker.base import AbstractWorker
from buildbot.worker.latent import States
from twisted.internet.defer import Deferred

from buildbot_drydock.authorization import Subjects, subjects_of_build
from buildbot_drydock.costs import BUILD

if TYPE_CHECKING:
    from buildbot.master import BuildMaster
    from buildbot.worker.latent import AbstractLatentWorker

SECRET_BYTES = 32


# --- the master ------------------------------------------------------------------------------


async def cluster_secret(master: BuildMaster) -> str:
    """Return the secret that all masters on one database share; made on first use.

    ``master.db.state.getObjectId`` and ``atomicCreateState``, as ``buildbot.www.service`` uses
    them for the secret of its sessions.
    """
    state: Any = master.db.state
    number = await state.getObjectId("drydock", "buildbot_drydock.service.DrydockService")
    secret: str = await state.atomicCreateState(
        number, "worker_secret", lambda: secrets.token_hex(SECRET_BYTES)
    )
    return secret


def service_named(master: BuildMaster, name: str) -> Any:
    """Return a service of ``c['services']``, or ``None``.

    ``master.service_manager.namedServices``.
    """
    return master.service_manager.namedServices.get(name)


def is_stopping(master: BuildMaster) -> bool:
    """Tell whether the master is on its way down.

    ``master.botmaster.shuttingDown``: set by ``cleanShutdown``, with which ``BuildMaster.stopService``
    begins, so after SIGTERM, ``buildbot stop`` and ``buildbot stop --clean`` alike.
    """
    return bool(master.botmaster.shuttingDown)


def has_started(master: BuildMaster) -> bool:
    """Tell whether the master has been configured and all of it started.

    ``master._master_initialized``, which the end of ``BuildMaster.startService`` sets.
    """
    return bool(master._master_initialized)


def wake_builders_of(master: BuildMaster, worker_name: str) -> None:
    """Let the builders of a worker look for one again.

    ``master.botmaster.maybeStartBuildsForWorker``, which ``AbstractWorker.canStartBuild`` asks for.
    """
    master.botmaster.maybeStartBuildsForWorker(worker_name)


def produce(master: BuildMaster, key: tuple[str, ...], message: Mapping[str, Any]) -> None:
    """Send a message to all masters.

    ``master.mq.produce``. It never waits for the router, which may not be connected yet.
    """
    master.mq.produce(key, dict(message))


def consume(
    master: BuildMaster,
    key: tuple[str | None, ...],
    receive: Callable[[tuple[str, ...]], None],
) -> Deferred[Any]:
    """Call *receive* with the key of each message that matches.

    ``master.mq.startConsuming``; what its Deferred holds has ``stopConsuming``.
    """
    consuming: Deferred[Any] = master.mq.startConsuming(lambda key, _message: receive(key), key)
    return consuming


# --- the data API ----------------------------------------------------------------------------


def register_types(master: BuildMaster, types: Sequence[type[Any]]) -> bool:
    """Add resource types to the data API; tell whether they were new to it.

    ``master.data._scanModule``, as for each of Buildbot's own modules, ``rtypes``, which has those
    that are known, and ``allEndpoints``, whose answer is remembered.
    """
    data: Any = master.data
    if all(hasattr(data.rtypes, each.name) for each in types):
        return False
    data._scanModule(SimpleNamespace(**{each.__name__: each for each in types}))
    type(data).allEndpoints.cache_clear()
    return True


def check_queries(
    master: BuildMaster, check: Callable[[Mapping[bytes | str, Sequence[bytes | str]], Any], None]
) -> None:
    """Call *check* with the arguments of each URL before Buildbot makes sense of them.

    ``master.data.resultspec_from_jsonapi`` fails on an empty ``order``, and on what is not UTF-8,
    and does not heed operators that it does not know.
    """
    data: Any = master.data
    decode = data.resultspec_from_jsonapi

    def checked(arguments: Any, entity: Any, is_collection: bool) -> Any:
        check(arguments, entity)
        return decode(arguments, entity, is_collection)

    data.resultspec_from_jsonapi = checked


def event_paths(master: BuildMaster, name: str) -> list[str]:
    """Return the paths of a resource type's messages, such as ``drydock_leases/{leaseid}``.

    ``master.data.rtypes`` and ``eventPaths``, from which ``ResourceType.produceEvent`` makes keys.
    """
    paths: list[str] = getattr(master.data.rtypes, name).eventPaths
    return paths


def shares_its_queue(master: BuildMaster) -> bool:
    """Tell whether messages reach all masters: ``master.config.mq``."""
    return bool(master.config.mq.get("type", "simple") != "simple")


# --- the web server -------------------------------------------------------------------------


def serve(master: BuildMaster, name: bytes, page: Any) -> None:
    """Serve a page, and what is below it, at ``/NAME``; nothing if this master has no web pages.

    ``master.www.apps`` and ``base_plugin_name``: the resource of that application is the root of
    the site, which ``WWWService.setupSite`` and each reconfiguration add to, and never empty. It
    is one for the whole process, so a page of the same name is replaced.
    """
    www: Any = master.www
    if www.base_plugin_name in www.apps:
        www.apps.get(www.base_plugin_name).resource.putChild(name, page)


def arguments_of(service: Any) -> Mapping[str, Any]:
    """Return the arguments that a service was made with, and is yet to be configured by.

    ``BuildbotService._config_kwargs``.
    """
    arguments: Mapping[str, Any] = service._config_kwargs
    return arguments


# --- the state of a latent worker ------------------------------------------------------------


def expect_connection(worker: AbstractLatentWorker) -> None:
    """Let a process that was started before log in, although no build asked for it just now.

    ``AbstractLatentWorker.attached`` accepts a connection only in
    ``States.SUBSTANTIATING_STARTING``; ``_clearBuildWaitTimer`` ends what is left of the idle time.
    """
    worker.state = States.SUBSTANTIATING_STARTING
    worker._clearBuildWaitTimer()


def watch_process(worker: AbstractLatentWorker) -> None:
    """Call ``check_instance`` again and again until it logs in: ``_start_check_instance_timer``.

    Buildbot does so after ``start_instance``.
    """
    worker._start_check_instance_timer()


def is_attached(worker: AbstractLatentWorker) -> bool:
    """Tell whether the worker is substantiated and connected: ``substantiated``."""
    return bool(worker.substantiated)


def lost_its_connection(worker: AbstractLatentWorker) -> bool:
    """Tell whether the worker should be connected, and is not: ``state`` and ``conn``."""
    return worker.state is States.SUBSTANTIATED and worker.conn is None


def is_at_rest(worker: AbstractLatentWorker) -> bool:
    """Tell whether the worker neither has nor is getting an instance: ``state``."""
    return worker.state in (States.NOT_SUBSTANTIATED, States.SHUT_DOWN)


def is_being_stopped(worker: AbstractLatentWorker) -> bool:
    """Tell whether ``stop_instance`` is under way: ``state``."""
    return worker.state in (States.INSUBSTANTIATING, States.INSUBSTANTIATING_SUBSTANTIATING)


def is_idle(worker: AbstractLatentWorker) -> bool:
    """Tell whether the worker could be started: ``state``."""
    return worker.state is States.NOT_SUBSTANTIATED


def awaits_connection(worker: AbstractLatentWorker) -> bool:
    """Tell whether the process was started, and has yet to log in: ``state`` and ``conn``."""
    return worker.state is States.SUBSTANTIATING_STARTING and worker.conn is None


def start_missing_timer(worker: AbstractLatentWorker, seconds: float) -> None:
    """Call ``_missing_timer_fired`` unless the worker is attached before.

    ``missing_timer`` and ``stopMissingTimer``. Buildbot's ``startMissingTimer`` begins to count
    before ``start_instance``, and does nothing while ``missing_timeout`` is ``None``.
    """
    worker.stopMissingTimer()
    worker.missing_timer = worker.master.reactor.callLater(seconds, worker._missing_timer_fired)


def build_finished(worker: AbstractLatentWorker, wfb: Any) -> None:
    """Let the next build begin: ``AbstractWorker.buildFinished``.

    Not that of ``AbstractLatentWorker``, which sets timers as well.
    """
    AbstractWorker.buildFinished(worker, wfb)


def start_idle_timer(worker: AbstractLatentWorker) -> None:
    """Begin to count ``build_wait_timeout``: ``_setBuildWaitTimer``.

    Buildbot does so only when a build ends.
    """
    worker._setBuildWaitTimer()


def stop_when_idle(worker: AbstractLatentWorker) -> Deferred[Any]:
    """Disconnect the worker and stop its instance: ``_soft_disconnect``."""
    stopping: Deferred[Any] = worker._soft_disconnect()
    return stopping


def forget_graceful_stop(worker: AbstractLatentWorker) -> None:
    """Let a worker that was stopped gracefully be used again.

    ``_graceful`` forbids ``substantiate``, and Buildbot resets it only in ``attached``, which then
    never comes. ``_update_graceful`` tells the database.
    """
    if worker._graceful:
        worker._graceful = False
        worker._update_graceful()


def stop_gracefully(worker: AbstractLatentWorker) -> None:
    """Take no further build: ``_graceful`` and ``_update_graceful``."""
    worker._graceful = True
    worker._update_graceful()


def wants_graceful_stop(worker: AbstractLatentWorker) -> bool:
    return bool(worker._graceful)


def in_background(worker: AbstractLatentWorker, work: Deferred[Any]) -> None:
    """Let the worker's ``stopService`` wait for *work*: ``_deferwaiter``."""
    worker._deferwaiter.add(work)


# --- logging in ------------------------------------------------------------------------------


async def set_password(worker: AbstractLatentWorker, password: str) -> None:
    """Accept logins of this worker with *password* only.

    ``worker.registration.update`` with ``master.config`` registers ``worker.password`` anew.
    """
    worker.password = password
    if worker.registration is not None:
        await worker.registration.update(worker, worker.master.config)


def login_port(worker: AbstractLatentWorker) -> int:
    """Return the TCP port on which the worker may log in.

    ``worker.registration.getPBPort``. Raises ``LookupError`` if the configuration has none.
    """
    registration = worker.registration
    if registration is None or registration.pbReg is None:
        raise LookupError("workers cannot log in: set c['protocols'] = {'pb': {'port': 9989}}")
    port: int = registration.getPBPort()
    return port


async def forget_stale_connection(worker: AbstractLatentWorker) -> None:
    """Take back that the worker is connected to this master, as a crash may have left it.

    ``data.updates.findWorkerId``, ``connected_to`` of ``/workers/ID`` and
    ``data.updates.workerDisconnected``. To be called before the worker can log in.
    """
    data: Any = worker.master.data
    number = await data.updates.findWorkerId(worker.name)
    row = await data.get(("workers", number))
    masters = [each["masterid"] for each in row["connected_to"]] if row else []
    if worker.master.masterid in masters:
        await data.updates.workerDisconnected(workerid=number, masterid=worker.master.masterid)


# --- builders and builds ---------------------------------------------------------------------


def builders_of(worker: AbstractLatentWorker) -> frozenset[str]:
    """Return the names of the builders that a worker serves: ``workerforbuilders``."""
    return frozenset(worker.workerforbuilders)


def projects_of_builders(worker: AbstractLatentWorker) -> dict[str, str | None]:
    """Return the builders that a worker serves with their projects: ``builder.config.project``."""
    return {
        name: wfb.builder.config.project
        for name, wfb in worker.workerforbuilders.items()
        if wfb.builder is not None and wfb.builder.config is not None
    }


def forget_lost_builders(worker: AbstractLatentWorker) -> bool:
    """Drop what a worker keeps of builders that were removed, or that dropped it; tell if any.

    Without this a worker never comes back to a builder that was removed and added again (Buildbot
    issue 9135). ``workerforbuilders`` of the worker, ``workers`` of the builder, and
    ``_old_builder_list``, which would keep the new one from being announced to a connected worker.
    """
    lost = [wfb for wfb in worker.workerforbuilders.values() if _is_lost(worker, wfb)]
    for wfb in lost:
        worker.removeWorkerForBuilder(wfb)
    if lost:
        worker._old_builder_list = None
    return bool(lost)


def _is_lost(worker: AbstractLatentWorker, wfb: Any) -> bool:
    builder = worker.botmaster.builders.get(wfb.builder_name)
    attached = builder is not None and wfb.builder is builder and wfb in builder.workers
    return not attached and not wfb.isBusy()


def request_numbers(build: Any) -> tuple[int, ...]:
    """Return the ids of the build requests that a build serves: ``build.requests``."""
    return () if build is None else tuple(request.id for request in build.requests)


def priority_of(build: Any) -> int:
    """Return the highest priority of the requests that a build serves: ``build.requests``."""
    requests = () if build is None else build.requests
    return max((int(request.priority or 0) for request in requests), default=0)


async def tell_builds(worker: AbstractLatentWorker, name: str, value: str) -> None:
    """Give the builds that a worker has a property, and show it at once.

    ``building`` of a builder, ``workerforbuilder`` of a build, and ``data.updates.setBuildProperties``,
    which Buildbot calls only when a build begins and when it ends.
    """
    data: Any = worker.master.data
    for wfb in list(worker.workerforbuilders.values()):
        for build in list(wfb.builder.building):
            if build.workerforbuilder is wfb:
                build.setProperty(name, value, "Drydock")
                await data.updates.setBuildProperties(build.buildid, build)


def identify_build(build: Any) -> tuple[int, str]:
    """Return the id of a build that has begun, and the name of its builder: ``buildid``, ``builder``."""
    return int(build.buildid), str(build.builder.name)


async def link_build(build: Any, links: Mapping[str, str]) -> None:
    """Show links, by their captions, at the step of a build that waited for its worker.

    ``_preparation_step`` of a build, which is no step of its factory.
    """
    step: Any = getattr(build, "_preparation_step", None)
    if step is not None:
        for caption, url in links.items():
            await step.addURL(caption, url)


def tell_access(conn: Any, url: str) -> None:
    """Show where a worker's host is looked at, unless the worker itself tells.

    ``access_uri`` in ``info`` of a connection, which ``Worker.attached`` hands to the data API.
    """
    if not conn.info.get("access_uri"):
        conn.info["access_uri"] = url


def describe_build(build: Any) -> dict[str, str]:
    """Return what people want to know of a build.

    ``builder.name``, ``number``, ``buildid``, and the ids of its ``requests``.
    """
    if build is None:
        return {}
    return {
        "builder": str(build.builder.name),
        "build": str(build.number),
        "buildid": str(build.buildid),
        "buildrequests": ",".join(map(str, request_numbers(build))),
    }


def owner_of_build(build: Any) -> str:
    """Return who the leases that a build takes by itself belong to: ``buildid``."""
    return f"{BUILD}{build.buildid}"


def has_ended(master: BuildMaster, owner: str) -> bool:
    """Tell whether the owner of a lease is a build that does not run on this master.

    ``master.botmaster.builders`` and ``building`` of each. No build survives its master.
    """
    if not owner.startswith(BUILD):
        return False
    builders: Any = master.botmaster.builders.values()
    return all(owner_of_build(each) != owner for builder in builders for each in builder.building)


def subjects_of(build: Any) -> Subjects:
    """Return in whose name a build asks for a lease: ``builder.name`` and ``builder.config``."""
    config = build.builder.config
    return subjects_of_build(str(build.builder.name), config and config.project)


def when_finished(
    build: Any, finished: Callable[[], Deferred[None]], verdict: Callable[[int], int]
) -> None:
    """Call *finished* when a build ends, however it does; *verdict* has the last word on its result.

    ``Build.buildFinished``, which all ways to end a build lead through, and which never fails. The
    message of a finished build would not do: it is sent only once the database has been told. The
    result that ``stopBuild`` is given does not count if the step that it interrupts ends at once.
    """
    finish = build.buildFinished

    def wrapped(text: Any, results: Any) -> Any:
        ended = finished()
        if verdict(results) != results:
            results = build.results = verdict(results)
        finishing: Deferred[Any] = finish(text, results)
        return finishing.addCallback(lambda result: ended.addCallback(lambda _: result))

    build.buildFinished = wrapped


def is_stopped(build: Any) -> bool:
    """Tell whether a build was interrupted already: ``stopped``."""
    return bool(build.stopped)


async def stop_build(build: Any, reason: str, results: int) -> None:
    """Interrupt a build: ``Build.stopBuild``, as a person's click does."""
    await build.stopBuild(reason, results)


async def tell_build(build: Any, properties: Mapping[str, Any]) -> None:
    """Give a build properties, and show them at once: ``data.updates.setBuildProperties``.

    Buildbot does so only between two steps.
    """
    for name, value in properties.items():
        build.setProperty(name, value, "Drydock")
    await build.master.data.updates.setBuildProperties(build.buildid, build)
