"""``Drydock``: what a master.cfg puts into ``c['configurators']``.

It runs wherever a configuration is loaded, in ``buildbot checkconfig`` too: it looks at values, and
opens neither network nor database. All that is wrong is reported at once.

Parts of Buildbot that choose a reactor when imported are imported late: the command line, whose
reactor is none of ours, imports this package, too.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import pydantic
from buildbot.configurators import ConfiguratorBase

from buildbot_drydock.latent.definition import Definition
from buildbot_drydock.latent.problems import Conflict, Declaration, Problem, examine, unit
from buildbot_drydock.policy import misfit
from buildbot_drydock.sharing_fields import SharingFields, split
from buildbot_drydock.workerpool import WorkerPool

STAND_IN = "drydock-stand-in"  # the worker of a configuration that is rejected anyway
_ANY_TIME = 1e9  # labels don't change with the schedule

DeclarationT = TypeVar("DeclarationT", bound=Declaration)


class DrydockFields(SharingFields):
    """The fields of ``Drydock`` itself, beside its blueprints and workers."""

    lease_seconds: float = pydantic.Field(
        default=300.0,
        gt=0,
        description="How long a lease lives without being renewed. A master that was killed has "
        "as long to come back to its leases.",
        json_schema_extra=unit("seconds"),
    )
    renew_interval: float = pydantic.Field(
        default=60.0,
        gt=0,
        description="How often a master renews the leases of its workers.",
        json_schema_extra=unit("seconds"),
    )
    keep_history: float | None = pydantic.Field(
        default=90 * 86_400.0,
        ge=3_600.0,
        description="How long events, and resources and leases that have ended, are kept. None "
        "sets no limit. What was charged is always kept.",
        json_schema_extra=unit("seconds"),
    )
    most_events: int | None = pydantic.Field(
        default=1_000_000,
        ge=1_000,
        description="How many events are kept at most, but for those of what lives and of the "
        "last hour. None sets no limit.",
        json_schema_extra=unit("events"),
    )
    most_ended: int | None = pydantic.Field(
        default=100_000,
        ge=1_000,
        description="How many resources, and how many leases, are kept at most, but for those "
        "that live or ended within the last hour. None sets no limit.",
        json_schema_extra=unit("rows"),
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if self.renew_interval * 2 >= self.lease_seconds:
            yield Conflict(
                ("renew_interval", "lease_seconds"),
                f"renewing every {self.renew_interval:g} s lets leases of {self.lease_seconds:g} s "
                "expire when one renewal comes late",
                f"lower renew_interval below {self.lease_seconds / 2:g}, or raise lease_seconds "
                f"above {self.renew_interval * 2:g}",
            )


class Drydock(ConfiguratorBase):
    """Adds the workers of the pools, the service that finds hosts for them, and its web pages."""

    def __init__(self, blueprints: Any = (), workers: Any = (), **settings: Any) -> None:
        super().__init__()
        self.definitions, wrong_blueprints = _declared(
            blueprints, Definition, "blueprints", "such as [LocalProcesses('linux')]"
        )
        self.pools, wrong_pools = _declared(
            workers, WorkerPool, "workers", "such as [WorkerPool('linux', size=4)]"
        )
        self.settings, wrong_settings = examine(DrydockFields, settings, subject="Drydock", name="")
        self.problems: list[Problem] = []
        self._report(
            [
                *wrong_blueprints,
                *wrong_pools,
                *wrong_settings,
                *(found for each in self.definitions for found in each.problems),
                *(found for each in self.pools for found in each.problems),
                *_same_names(self.definitions),
                *_same_names(self.pools),
                *_same_workers(self.pools),
            ]
        )
        if not wrong_blueprints:
            self._report([p for pool in self.pools for p in _unsuited(pool, self.definitions)])

    def workernames(self, pool: str) -> list[str]:
        """Return the names of a pool's workers, for ``BuilderConfig(workernames=...)``."""
        for each in self.pools:
            if each.name == pool:
                return [STAND_IN] if each.problems else each.workernames()
        names = [each.name for each in self.pools]
        self._report(
            [
                Problem(
                    str(pool),
                    "name",
                    f"workernames({pool!r}) asks for a pool that Drydock does not have",
                    _choose(str(pool), names, "add a WorkerPool of this name to workers"),
                    "pool",
                )
            ]
        )
        return [STAND_IN]

    def configure(self, config_dict: dict[str, Any]) -> None:
        """Add workers and service to the configuration. Called by Buildbot, in a thread."""
        super().configure(config_dict)
        self._report(
            [
                *self._other_drydocks(config_dict),
                *self._workers_apart(config_dict),
                *self._workers_without_hosts(config_dict),
            ]
        )
        if self.problems:
            # Buildbot would go on to complain of builders without workers, which leads astray.
            _extend(config_dict, "workers", [_stand_in()])
        workers = [worker for pool in self.pools for worker in _workers(pool)]
        _extend(config_dict, "workers", workers)
        if not self.problems:
            _extend(config_dict, "services", [self._service()])
            _show_pages(config_dict)

    def _service(self) -> Any:
        from buildbot_drydock.service import DrydockService

        assert self.settings is not None
        sharing, settings = split(self.settings)
        return DrydockService(
            name="drydock", definitions=self.definitions, sharing=sharing, **settings
        )

    def _other_drydocks(self, config_dict: dict[str, Any]) -> Iterator[Problem]:
        ours = [each for each in config_dict.get("configurators", ()) if isinstance(each, Drydock)]
        if len(ours) > 1 and ours[0] is self:
            yield _general(
                "blueprints",
                f"c['configurators'] holds Drydock {len(ours)} times",
                "put all blueprints and workers into one Drydock",
            )

    def _workers_apart(self, config_dict: dict[str, Any]) -> Iterator[Problem]:
        """Look for what only the whole configuration shows of the workers."""
        others = {str(getattr(each, "name", "")) for each in config_dict["workers"] or ()}
        for pool in self.pools:
            taken = sorted(others.intersection(() if pool.problems else pool.workernames()))
            if taken:
                yield pool.problem(
                    "name",
                    f"c['workers'] has a worker {taken[0]!r} of its own",
                    "rename that worker, or give the pool another name or name_prefix",
                )

    def _workers_without_hosts(self, config_dict: dict[str, Any]) -> Iterator[Problem]:
        """Look for workers of the configuration's own on what has no host."""
        from buildbot_drydock import buildbot_hooks as hooks
        from buildbot_drydock.latent.terms import split_terms
        from buildbot_drydock.latent.worker import DrydockWorker

        hostless = {each.name: each for each in self.definitions if not each.has_host}
        workers = [w for w in config_dict["workers"] or () if isinstance(w, DrydockWorker)]
        for worker in workers if hostless else ():
            terms, _ = split_terms(hooks.arguments_of(worker))
            for name in hostless.keys() & set(terms.blueprints):
                message, remedy = _hostless(hostless[name])
                yield Problem(worker.name, "blueprints", message, remedy, "worker")

    def _report(self, problems: Sequence[Problem]) -> None:
        self.problems.extend(problems)
        _report([problem.sentence() for problem in problems])


def _report(sentences: Sequence[str]) -> None:
    from buildbot.config.errors import ConfigErrors, error

    for sentence in sentences:
        try:
            error(sentence)
        except ConfigErrors:  # no configuration is being loaded, so nothing collects them
            raise ConfigErrors(list(sentences)) from None


def _general(field: str, message: str, remedy: str) -> Problem:
    return Problem("", field, message, remedy, "Drydock")


def _declared(
    given: Any, cls: type[DeclarationT], field: str, example: str
) -> tuple[tuple[DeclarationT, ...], list[Problem]]:
    """Return what is of the class asked for, and problems for the rest."""
    if not isinstance(given, list | tuple):
        return (), [
            _general(field, f"it is {given!r}, not a list", f"give {field} a list {example}")
        ]
    problems = [
        _general(
            field,
            f"{field}[{number}] is {each!r}, not a {cls.__name__}",
            f"give {field} a list {example}",
        )
        for number, each in enumerate(given)
        if not isinstance(each, cls)
    ]
    return tuple(each for each in given if isinstance(each, cls)), problems


def _same_names(declarations: Sequence[Declaration]) -> Iterator[Problem]:
    # Some databases don't tell "Linux" from "linux".
    counts = Counter(each.name.casefold() for each in declarations)
    for each in {each.name.casefold(): each for each in declarations}.values():
        if counts[each.name.casefold()] > 1:
            yield each.problem(
                "name",
                f"{counts[each.name.casefold()]} {each.subject}s have this name",
                "give each its own, different in more than upper and lower case",
            )


def _same_workers(pools: Sequence[WorkerPool]) -> Iterator[Problem]:
    owners: dict[str, WorkerPool] = {}
    for pool in pools:
        names = [] if pool.problems else pool.workernames()
        shared = [name for name in names if name.casefold() in owners]
        if shared and owners[shared[0].casefold()].name != pool.name:
            yield pool.problem(
                "name_prefix",
                f"pool {owners[shared[0].casefold()].name!r} has a worker {shared[0]!r}, too",
                "give one of the two another name or name_prefix",
            )
        owners.update((name.casefold(), pool) for name in names)


def _unsuited(pool: WorkerPool, definitions: Sequence[Definition]) -> Iterator[Problem]:
    """Find out whether any blueprint could ever give this pool a host."""
    if pool.problems:
        return
    known = [each.name for each in definitions]
    unknown = [name for name in pool.fields.blueprints if name not in known]
    for name in unknown:
        yield pool.problem(
            "blueprints",
            f"there is no blueprint {name!r}",
            _choose(name, known, f"add a blueprint {name!r}"),
        )
    for each in definitions:
        if each.name in pool.fields.blueprints and not each.has_host:
            unknown.append(each.name)
            yield pool.problem("blueprints", *_hostless(each))
    if unknown or any(each.problems for each in definitions):
        return
    allowed = pool.fields.blueprints or known
    candidates = [d for d in definitions if d.name in allowed and d.provides == "host"]
    reasons = [_unfit(each, pool) for each in candidates]
    if all(reasons):
        why = "; ".join(reasons) or "there is no blueprint of hosts"
        yield pool.problem(
            "requires",
            f"no blueprint could ever give it a host: {why}",
            "change requires, or add a blueprint with these labels or choices",
        )


def _hostless(definition: Definition) -> tuple[str, str]:
    kind = type(definition).__name__
    return (
        f"blueprint {definition.name!r} is a {kind}, which has no host that a worker could run on",
        "name a blueprint of hosts instead, and let builds take the lock by the step "
        f"LeaseResource(blueprint={definition.name!r})",
    )


def _unfit(definition: Definition, pool: WorkerPool) -> str:
    reason = misfit(definition.blueprint(_ANY_TIME), pool.fields.fixed_requirements())
    return "" if reason is None else reason.sentence(_ANY_TIME)


def _choose(name: str, known: Iterable[str], otherwise: str) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"write {close[0]!r} if that is meant, or {otherwise}"
    return f"use one of {', '.join(map(repr, names))}, or {otherwise}" if names else otherwise


def _stand_in() -> Any:
    from buildbot.worker import Worker

    return Worker(STAND_IN, "unused")


def _workers(pool: WorkerPool) -> list[Any]:
    if pool.problems:
        return []
    from buildbot_drydock.latent.worker import DrydockWorker

    settings = pool.fields.model_dump(exclude={"size", "name_prefix"})
    return [DrydockWorker(name, **settings) for name in pool.workernames()]


def _extend(config_dict: dict[str, Any], key: str, more: list[Any]) -> None:
    present = config_dict.get(key, [])
    if isinstance(present, list | tuple):  # otherwise Buildbot says what is wrong with it
        config_dict[key] = [*present, *more]


def _show_pages(config_dict: dict[str, Any]) -> None:
    """Have Buildbot's web server show our pages, if there is one and nobody has said how."""
    www = config_dict.get("www")
    plugins = www.get("plugins", {}) if isinstance(www, dict) else None
    if not isinstance(www, dict) or not isinstance(plugins, dict):
        return  # otherwise Buildbot says what is wrong with it
    from buildbot_drydock.www import application

    if www.get("port") and application.NAME not in plugins and application.is_installed():
        config_dict["www"] = {**www, "plugins": {**plugins, application.NAME: {}}}
