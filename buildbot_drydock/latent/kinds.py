"""The one table of kinds of blueprint: those of this package, and those of others.

Another package adds a kind by an entry point in the group ``buildbot_drydock.blueprints`` that
names a subclass of ``Definition``. One that can't be used is left out, with a sentence saying why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from buildbot_drydock.latent.definition import Definition

GROUP = "buildbot_drydock.blueprints"

BUILT_IN = (
    "buildbot_drydock.latent.docker.pool:DockerPool",
    "buildbot_drydock.latent.ec2.pool:EC2Pool",
    "buildbot_drydock.latent.hosts:HostPool",
    "buildbot_drydock.latent.kubernetes.pool:KubernetesPods",
    "buildbot_drydock.latent.local:LocalProcesses",
    "buildbot_drydock.latent.named_lock:NamedLock",
    "buildbot_drydock.latent.synthetic:SyntheticPool",
)


@dataclass(frozen=True)
class Kinds:
    """The kinds that can be used, by name, and why others can't."""

    classes: Mapping[str, type[Definition]]
    errors: tuple[str, ...]


def kinds(others: Iterable[EntryPoint] | None = None) -> Kinds:
    """Return all kinds; *others* are the entry points of other packages, by default all there are.

    Imports the packages that the entry points are in.
    """
    classes: dict[str, type[Definition]] = {}
    errors = []
    built_in = [EntryPoint(value.partition(":")[2], value, GROUP) for value in BUILT_IN]
    for entry in [*built_in, *(entry_points(group=GROUP) if others is None else others)]:
        error = _add(classes, entry)
        if error:
            errors.append(error)
    return Kinds(classes, tuple(errors))


def _add(classes: dict[str, type[Definition]], entry: EntryPoint) -> str:
    """Add the kind that an entry point names, or return why it can't be used."""
    label = f"The entry point {entry.name!r} ({entry.value}) of the group {GROUP}"
    try:
        loaded = entry.load()
    except Exception as error:  # noqa: BLE001 another package's import may raise anything
        return (
            f"{label} can't be imported: {type(error).__name__}: {error}. "
            "Remedy: repair or uninstall the package that it is in."
        )
    if not (isinstance(loaded, type) and issubclass(loaded, Definition)):
        return (
            f"{label} is {loaded!r}, which is not a subclass of "
            "buildbot_drydock.latent.definition.Definition. "
            "Remedy: let the entry point name such a class."
        )
    kind = getattr(loaded, "kind", None)
    if not isinstance(kind, str) or not kind:
        return f"{label} has no kind. Remedy: give the class a text as its attribute 'kind'."
    if classes.setdefault(kind, loaded) is not loaded:
        taken = classes[kind]
        return (
            f"{label} has the kind {kind!r}, which {taken.__module__}.{taken.__qualname__} has "
            "already. Remedy: give it another kind, or uninstall one of the two."
        )
    return ""
