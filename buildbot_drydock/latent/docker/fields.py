"""The fields of ``DockerPool`` and of ``DockerEngine``. Nothing here talks to an engine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

import pydantic

from buildbot_drydock.latent.environment import Variables, secrets_in
from buildbot_drydock.latent.problems import Conflict, Fields, unit
from buildbot_drydock.latent.worker_host import Texts, WorkerHostFields
from buildbot_drydock.latent.written import Written, sequence

LOCAL_ENGINE: Final = "unix:///var/run/docker.sock"
OUR_LABELS: Final = "org.buildbot.drydock."

_URL: Final = r"^(unix://(/[^/\s]+)+|tcp://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5})$"
_SIZE: Final = re.compile(r"([0-9]+)([bkmg]?)", re.IGNORECASE)
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_VOLUME: Final = re.compile(r"(/[^:\0]*|[A-Za-z0-9][A-Za-z0-9_.-]*):(/[^:\0]*)(:[A-Za-z,]+)?")


class DockerEngine(Written):
    """An engine: ``DockerEngine('tcp://build1:2376', ca='ca.pem', cert='cert.pem', key='key.pem')``."""

    unnamed = ("url",)


def size(value: object) -> object:
    """Return a number of bytes; a text may have a unit, as in ``'512m'``."""
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError("a size is a whole number of bytes, or a text such as '512m' or '2g'")
    return int(found[1]) * _UNITS[found[2].lower()]


def volume(value: object) -> object:
    if not isinstance(value, str) or not _VOLUME.fullmatch(value):
        raise ValueError(
            "a volume is 'WHAT:WHERE' or 'WHAT:WHERE:ro', with WHERE beginning with '/'"
        )
    return value


def absolute(value: object) -> object:
    if not isinstance(value, str) or not value.startswith("/") or ":" in value:
        raise ValueError("it is a path in the container that begins with '/' and has no ':'")
    return value


def label_of_others(value: object) -> object:
    if isinstance(value, str) and value.startswith(OUR_LABELS):
        raise ValueError(f"labels that begin with {OUR_LABELS} are Drydock's own")
    return value


def engine_arguments(value: object) -> object:
    if isinstance(value, DockerEngine):
        return value.arguments
    return {"url": value} if isinstance(value, str) else value


def engines_arguments(value: object) -> object:
    return tuple(map(engine_arguments, value)) if isinstance(value, list | tuple) else value


Bytes = Annotated[int, pydantic.BeforeValidator(size)]
Path = Annotated[str, pydantic.BeforeValidator(absolute)]


class DockerEngineFields(Fields):
    """The fields of a ``DockerEngine``."""

    url: str = pydantic.Field(
        pattern=_URL,
        description="Where it listens: `unix:///PATH`, or `tcp://HOST:PORT`.",
        json_schema_extra={
            "remedy": "give it 'unix:///var/run/docker.sock' or 'tcp://build1:2376'"
        },
    )
    limit: int | None = pydantic.Field(
        default=None,
        ge=1,
        description="How many containers of this blueprint it may have at once. None is no limit.",
        json_schema_extra=unit("containers"),
    )
    ca: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="The file with the authority that its certificate is verified by, for TLS.",
    )
    cert: str | None = pydantic.Field(
        default=None, min_length=1, description="The file with the master's own certificate."
    )
    key: str | None = pydantic.Field(
        default=None, min_length=1, description="The file with the key of that certificate."
    )
    insecure: bool = pydantic.Field(
        default=False,
        description="Whether an engine over TCP is used without TLS: whoever reaches its port is "
        "root on its machine.",
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if (self.cert is None) != (self.key is None):
            yield Conflict(
                ("cert", "key"),
                f"engine {self.url} has a certificate or a key, but not both",
                "give it both cert and key",
            )
        has_tls = self.ca is not None or self.cert is not None
        if self.url.startswith("tcp://") and not has_tls and not self.insecure:
            yield Conflict(
                ("url", "ca", "insecure"),
                f"engine {self.url} would be used without TLS, so anybody who reaches that port "
                "would be root on its machine",
                "give it ca, cert and key, or insecure=True if only the master reaches it",
            )
        if self.url.startswith("unix://") and has_tls:
            yield Conflict(
                ("url", "ca"),
                f"engine {self.url} is a socket, which has no TLS",
                "remove ca, cert and key",
            )


_HOSTS_REMEDY: Final = (
    "give hosts a list such as ['unix:///var/run/docker.sock', DockerEngine('tcp://build1:2376', "
    "ca='ca.pem', cert='cert.pem', key='key.pem')]"
)


class DockerPoolFields(WorkerHostFields):
    """The fields of ``DockerPool``."""

    hosts: Annotated[
        tuple[DockerEngineFields, ...], pydantic.BeforeValidator(engines_arguments)
    ] = pydantic.Field(
        default=(),
        description="The engines, Docker's or Podman's, that the containers are spread over: a list "
        f"of `DockerEngine`, or of their URLs. `{LOCAL_ENGINE}` if not given.",
        json_schema_extra={"values": "a list of DockerEngine", "remedy": _HOSTS_REMEDY},
    )
    image: str = pydantic.Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:@-]*$",
        description="The image of the containers, such as `registry.example.org/ci/debian:12`.",
        json_schema_extra={"remedy": "give image the name of one, such as 'debian:12'"},
    )
    pull: Literal["missing", "always", "never"] = pydantic.Field(
        default="missing",
        description="When the image is pulled: if an engine does not have it, before each container, "
        "or never.",
    )
    # --- what the containers are like
    command: Texts = pydantic.Field(
        default=(),
        description="What keeps the container running, given to the image's entry point. By default "
        "the entry point is not used, and a shell waits.",
        json_schema_extra={"values": "a list of texts", "remedy": "give command a list of texts"},
    )
    init: bool = pydantic.Field(
        default=True,
        description="Whether a tiny init is the first process, which buries processes that nobody "
        "waits for.",
    )
    prestart: bool = pydantic.Field(
        default=True,
        description="Whether a Python waits in each container, with all imported that a worker "
        "needs, to become the worker of the next lease. It uses about 50 MB of memory.",
    )
    user: str | None = pydantic.Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)?$",
        description="As whom everything runs in the container: `USER` or `USER:GROUP`, by name or "
        "number. None is the image's.",
    )
    env: Variables = pydantic.Field(
        default_factory=dict,
        description="Environment variables. Whoever may ask the engine reads them: no secrets.",
        json_schema_extra={
            "values": "a dictionary of texts",
            "remedy": "give env a dictionary of texts, such as {'LANG': 'C.UTF-8'}",
        },
    )
    volumes: Annotated[
        tuple[Annotated[str, pydantic.BeforeValidator(volume)], ...],
        pydantic.BeforeValidator(sequence),
    ] = pydantic.Field(
        default=(),
        description="What is mounted: `NAME:WHERE`, `/DIRECTORY:WHERE`, either with `:ro`.",
        json_schema_extra={
            "values": "a list of texts",
            "remedy": "give volumes a list such as ['/srv/mirror:/mirror:ro']",
        },
    )
    caches: dict[Path, Literal["place", "blueprint"]] = pydantic.Field(
        default_factory=dict,
        description="Directories that outlive the containers, each in a volume of its engine: of "
        "the blueprint, used by all its containers at once, or of each place in the blueprint's "
        "limit, used by one container after another.",
        json_schema_extra={
            "values": "a dictionary",
            "remedy": "give caches a dictionary such as {'/root/.ccache': 'place'}",
        },
    )
    tmpfs: dict[Path, str] = pydantic.Field(
        default_factory=dict,
        description="Directories in memory, with their options.",
        json_schema_extra={
            "values": "a dictionary of texts",
            "remedy": "give tmpfs a dictionary such as {'/tmp': 'size=1g,exec'}",
        },
    )
    networks: Texts = pydantic.Field(
        default=(),
        description="The networks that a container is in; the engine's default if none is given. The "
        "first one may be `host`, `none` or `bridge`.",
        json_schema_extra={"values": "a list of texts", "remedy": "give networks a list of names"},
    )
    extra_hosts: dict[str, str] = pydantic.Field(
        default_factory=dict,
        description="Names and their addresses; `host-gateway` is the engine's machine.",
        json_schema_extra={
            "values": "a dictionary of texts",
            "remedy": "give extra_hosts a dictionary such as {'master': 'host-gateway'}",
        },
    )
    container_labels: dict[Annotated[str, pydantic.BeforeValidator(label_of_others)], str] = (
        pydantic.Field(
            default_factory=dict,
            description="Labels that the containers get at their engine, beside Drydock's own.",
            json_schema_extra={
                "values": "a dictionary of texts",
                "remedy": "give container_labels a dictionary of texts, such as {'team': 'qa'}",
            },
        )
    )
    # --- limits and rights
    memory: Bytes | None = pydantic.Field(
        default=None,
        ge=6 << 20,
        description="How much memory a container may use, in bytes or as in '2g'. None is no limit.",
        json_schema_extra={
            "values": "a whole number of bytes, or a text such as '2g', at least 6 MiB",
            "remedy": "give memory a size such as '2g', at least '6m'",
            **unit("bytes"),
        },
    )
    cpus: float | None = pydantic.Field(
        default=None,
        gt=0,
        description="How many processors' time a container may use. None is no limit.",
        json_schema_extra=unit("processors"),
    )
    pids: int | None = pydantic.Field(
        default=None,
        ge=8,
        description="How many processes and threads a container may have. None is the engine's limit.",
        json_schema_extra=unit("processes"),
    )
    shm: Bytes | None = pydantic.Field(
        default=None,
        ge=1,
        description="The size of `/dev/shm`, in bytes or as in '1g'. None is the engine's default.",
        json_schema_extra={
            "values": "a whole number of bytes, or a text such as '1g'",
            "remedy": "give shm a size such as '1g'",
            **unit("bytes"),
        },
    )
    read_only: bool = pydantic.Field(
        default=False,
        description="Whether the container's own files can't be changed, but for what is mounted.",
    )
    no_new_privileges: bool = pydantic.Field(
        default=True,
        description="Whether programs such as sudo are kept from giving more rights.",
    )
    cap_drop: Texts = pydantic.Field(
        default=(),
        description="Capabilities that are taken away, such as `ALL`.",
        json_schema_extra={"values": "a list of texts", "remedy": "give cap_drop a list of texts"},
    )
    cap_add: Texts = pydantic.Field(
        default=(),
        description="Capabilities that are given, such as `SYS_PTRACE`.",
        json_schema_extra={"values": "a list of texts", "remedy": "give cap_add a list of texts"},
    )
    runtime: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="The engine's runtime, such as `runsc`. None is its default.",
    )
    # --- as for all blueprints, with other defaults
    max_uses: int | None = pydantic.Field(
        default=1,
        ge=1,
        description="How many leases a container serves in its life. None is no limit.",
        json_schema_extra=unit("leases"),
    )
    poll_interval: float = pydantic.Field(
        default=2.0,
        gt=0,
        description="How often the engines are asked while something is expected to change.",
        json_schema_extra=unit("seconds"),
    )
    sweep_interval: float = pydantic.Field(
        default=15.0,
        gt=0,
        description="How often the engines are asked otherwise. They tell of the end of a container "
        "by themselves.",
        json_schema_extra=unit("seconds"),
    )

    @property
    def engines(self) -> tuple[DockerEngineFields, ...]:
        """The engines, or the one that is meant if none is named."""
        return self.hosts or (DockerEngineFields(url=LOCAL_ENGINE),)

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if "hosts" in self.model_fields_set and not self.hosts:
            yield Conflict(("hosts",), "there are no engines", _HOSTS_REMEDY)
        yield from self._engine_conflicts()
        mounted = {*self.tmpfs, *self.caches, *(each.split(":")[1] for each in self.volumes)}
        if self.read_only and not mounted:
            yield Conflict(
                ("read_only", "tmpfs", "volumes", "caches"),
                "nothing could be written in the container, not even what a worker keeps",
                "give tmpfs the user's home and '/tmp', such as {'/root': 'exec', '/tmp': 'exec'}",
            )
        places = [each.split(":")[1] for each in self.volumes] + [*self.caches, *self.tmpfs]
        for place in sorted({each for each in places if places.count(each) > 1}):
            yield Conflict(
                ("volumes", "caches", "tmpfs"),
                f"two things are mounted at {place}",
                "keep one of them",
            )
        yield from secrets_in(self.env, "whoever may ask the engine")
        if len(self.networks) > 1 and self.networks[0] in ("host", "none"):
            yield Conflict(
                ("networks",),
                f"a container in the network {self.networks[0]!r} is in no other",
                "remove it, or the others",
            )

    def _engine_conflicts(self) -> Iterator[Conflict]:
        urls = [each.url for each in self.hosts]
        for url in sorted({each for each in urls if urls.count(each) > 1}):
            yield Conflict(("hosts",), f"engine {url} is listed twice", "remove one of the two")
        for each in self.hosts:
            for found in each.conflicts():
                yield Conflict(("hosts",), found.message, found.remedy)


def labels_of(installation: str, blueprint: str, token: str = "") -> Mapping[str, str]:
    """Return the labels that a container is known by."""
    labels = {f"{OUR_LABELS}installation": installation, f"{OUR_LABELS}blueprint": blueprint}
    return {**labels, f"{OUR_LABELS}token": token} if token else labels


def as_filter(labels: Mapping[str, str]) -> list[str]:
    """Return labels as an engine takes them to choose containers by."""
    return [f"{name}={value}" for name, value in labels.items()]
