"""The fields of ``KubernetesPods``. Nothing here talks to a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import pydantic

from buildbot_drydock.latent.environment import Variables, secrets_in
from buildbot_drydock.latent.problems import Conflict, unit
from buildbot_drydock.latent.worker_host import Texts, WorkerHostFields
from buildbot_drydock.latent.written import sequence

OUR_LABELS: Final = "drydock.buildbot.net/"
BUILD_CONTAINER: Final = "build"

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]*)?(m|[kMGTPE]|[KMGTPE]i|e[0-9]+)?")
_FILE: Final = re.compile(r"/|\.(ya?ml|json)$")


def name_of_object(value: object) -> object:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("a name in Kubernetes has small letters, digits, '-' and '.' only")
    return value


def label_value(value: object) -> object:
    if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
        raise ValueError("a label's value has up to 63 letters, digits and any of '_ . -'")
    return value


def label_of_others(value: object) -> object:
    if isinstance(value, str) and value.startswith(OUR_LABELS):
        raise ValueError(f"labels that begin with {OUR_LABELS} are Drydock's own")
    return value


def quantity(value: object) -> object:
    """Return a quantity as Kubernetes writes it: a number, or a text such as '500m' or '2Gi'."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _QUANTITY.fullmatch(text):
        raise ValueError("it is no quantity such as 2, '500m' or '4Gi'")
    return text


def mount_point(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"/[^:\0]*(:ro)?", value):
        raise ValueError("it is a path in the pod that begins with '/', or that with ':ro'")
    return value


def template(value: object) -> object:
    if isinstance(value, str) and not is_file(value):
        return name_of_object(value)
    if isinstance(value, dict) and not {"spec", "metadata"} & value.keys():
        raise ValueError("it has neither 'spec' nor 'metadata', as a pod has")
    return value


def is_file(text: str) -> bool:
    """Tell the path of a file from the name of a PodTemplate."""
    return bool(_FILE.search(text))


Name = Annotated[str, pydantic.BeforeValidator(name_of_object)]
Quantity = Annotated[str, pydantic.BeforeValidator(quantity)]
MountPoint = Annotated[str, pydantic.BeforeValidator(mount_point)]
Objects = Annotated[tuple[dict[str, Any], ...], pydantic.BeforeValidator(sequence)]

_OBJECT_NAME: Final[dict[str, Any]] = {"values": "a name in Kubernetes"}


def _texts(name: str, example: str) -> dict[str, Any]:
    return {
        "values": "a dictionary of texts",
        "remedy": f"give {name} a dictionary of texts, such as {example}",
    }


class KubernetesPodsFields(WorkerHostFields):
    """The fields of ``KubernetesPods``."""

    # --- which cluster
    namespace: Name = pydantic.Field(
        default="default",
        description="The namespace that the pods are made in.",
        json_schema_extra={**_OBJECT_NAME, "remedy": "give namespace one such as 'builds'"},
    )
    kubeconfig: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="The file that says how the cluster is reached. None is `$KUBECONFIG`, or "
        "`~/.kube/config`.",
    )
    context: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="The context in that file. None is its current one.",
    )
    in_cluster: bool = pydantic.Field(
        default=False,
        description="Whether the master is itself a pod of the cluster, and uses its service account.",
    )
    # --- what the pods are like
    image: str | None = pydantic.Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:@-]*$",
        description="The image of the container that workers run in. Needed, unless `pod` has it.",
        json_schema_extra={"remedy": "give image the name of one, such as 'debian:12'"},
    )
    pod: Annotated[dict[str, Any] | str | None, pydantic.BeforeValidator(template)] = (
        pydantic.Field(
            default=None,
            description="What all other fields are put on top of: a dictionary as a pod's manifest "
            "has it, the path of a YAML file with one, or the name of a PodTemplate in the namespace.",
            json_schema_extra={
                "values": "a dictionary, the path of a YAML file, or the name of a PodTemplate",
                "remedy": "give pod a manifest such as {'spec': {'hostNetwork': True}}, the path of "
                "a YAML file such as '/etc/buildbot/pod.yaml', or the name of a PodTemplate",
            },
        )
    )
    container: Name | None = pydantic.Field(
        default=None,
        description="In which container of `pod` workers run. None is its first, or one called "
        "`build` if it has none.",
        json_schema_extra=_OBJECT_NAME,
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = pydantic.Field(
        default=None,
        description="When a node pulls the image. None is what Kubernetes does for that tag.",
    )
    image_pull_secrets: Annotated[tuple[Name, ...], pydantic.BeforeValidator(sequence)] = (
        pydantic.Field(
            default=(),
            description="The secrets in the namespace that images are pulled with.",
            json_schema_extra={
                "values": "a list of names",
                "remedy": "give image_pull_secrets a list of names, such as ['registry']",
            },
        )
    )
    prestart: bool = pydantic.Field(
        default=True,
        description="Whether a Python waits in each pod, with all imported that a worker needs, to "
        "become the worker of the next lease. It uses about 50 MB of memory.",
    )
    env: Variables = pydantic.Field(
        default_factory=dict,
        description="Environment variables. Whoever may look at the pods reads them: no secrets.",
        json_schema_extra=_texts("env", "{'LANG': 'C.UTF-8'}"),
    )
    requests: dict[str, Quantity] = pydantic.Field(
        default_factory=dict,
        description="What is set aside for a pod on its node, such as `{'cpu': 2, 'memory': '4Gi'}`.",
        json_schema_extra={
            "values": "a dictionary of quantities",
            "remedy": "give requests a dictionary such as {'cpu': '500m', 'memory': '4Gi'}",
        },
    )
    limits: dict[str, Quantity] = pydantic.Field(
        default_factory=dict,
        description="What a pod may use at most.",
        json_schema_extra={
            "values": "a dictionary of quantities",
            "remedy": "give limits a dictionary such as {'cpu': 2, 'memory': '4Gi'}",
        },
    )
    node_selector: dict[str, Annotated[str, pydantic.BeforeValidator(label_value)]] = (
        pydantic.Field(
            default_factory=dict,
            description="The labels that a pod's node has.",
            json_schema_extra=_texts("node_selector", "{'kubernetes.io/arch': 'amd64'}"),
        )
    )
    tolerations: Objects = pydantic.Field(
        default=(),
        description="The taints of nodes that a pod puts up with, as in a manifest.",
        json_schema_extra={
            "values": "a list of dictionaries",
            "remedy": "give tolerations a list such as [{'key': 'builds', 'operator': 'Exists'}]",
        },
    )
    volumes: dict[MountPoint, dict[str, Any]] = pydantic.Field(
        default_factory=dict,
        description="What is mounted: for each path, or path with `:ro`, a volume as in a manifest, "
        "but without a name.",
        json_schema_extra={
            "values": "a dictionary of dictionaries",
            "remedy": "give volumes a dictionary such as {'/work': {'emptyDir': {}}, '/mirror:ro': "
            "{'persistentVolumeClaim': {'claimName': 'mirror'}}}",
        },
    )
    sidecars: Objects = pydantic.Field(
        default=(),
        description="More containers of each pod, as in a manifest.",
        json_schema_extra={
            "values": "a list of dictionaries",
            "remedy": "give sidecars a list such as [{'name': 'db', 'image': 'postgres:15'}]",
        },
    )
    pod_labels: dict[
        Annotated[str, pydantic.BeforeValidator(label_of_others)],
        Annotated[str, pydantic.BeforeValidator(label_value)],
    ] = pydantic.Field(
        default_factory=dict,
        description="Labels that the pods get in the cluster, beside Drydock's own.",
        json_schema_extra=_texts("pod_labels", "{'team': 'qa'}"),
    )
    pod_annotations: dict[str, str] = pydantic.Field(
        default_factory=dict,
        description="Annotations that the pods get.",
        json_schema_extra=_texts("pod_annotations", "{'example.org/owner': 'qa'}"),
    )
    priority_class: Name | None = pydantic.Field(
        default=None,
        description="The priority class of the pods, if not the cluster's default.",
        json_schema_extra=_OBJECT_NAME,
    )
    runtime_class: Name | None = pydantic.Field(
        default=None,
        description="The runtime class of the pods, such as `gvisor`, if not the nodes' default.",
        json_schema_extra=_OBJECT_NAME,
    )
    # --- rights
    service_account: Name | None = pydantic.Field(
        default=None,
        description="The service account of the pods, if not the namespace's default.",
        json_schema_extra=_OBJECT_NAME,
    )
    mount_token: bool = pydantic.Field(
        default=False,
        description="Whether builds find the token of that service account, and can use the cluster's "
        "API with its rights.",
    )
    allow_privilege_escalation: bool = pydantic.Field(
        default=False,
        description="Whether programs such as sudo may give more rights.",
    )
    run_as_non_root: bool = pydantic.Field(
        default=False,
        description="Whether a pod is refused whose image would run as root.",
    )
    run_as_user: int | None = pydantic.Field(
        default=None,
        ge=0,
        description="The number of the user that everything runs as. None is the image's.",
    )
    run_as_group: int | None = pydantic.Field(
        default=None,
        ge=0,
        description="The number of its group. None is the image's.",
    )
    read_only: bool = pydantic.Field(
        default=False,
        description="Whether the container's own files can't be changed, but for what is mounted.",
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
    # --- times
    deadline: int | None = pydantic.Field(
        default=None,
        ge=1,
        description="After how long the cluster ends a pod, whatever runs in it. None is never.",
        json_schema_extra=unit("seconds"),
    )
    unschedulable_timeout: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long to wait for a node with room, as where nodes are added on demand, before "
        "that counts as no capacity.",
        json_schema_extra=unit("seconds"),
    )
    # --- as for all blueprints, with other defaults
    max_uses: int | None = pydantic.Field(
        default=1,
        ge=1,
        description="How many leases a pod serves in its life. None is no limit.",
        json_schema_extra=unit("leases"),
    )
    poll_interval: float = pydantic.Field(
        default=15.0,
        gt=0,
        description="How often the pods are listed while something is expected to change. The cluster "
        "tells of changes by itself.",
        json_schema_extra=unit("seconds"),
    )
    sweep_interval: float = pydantic.Field(
        default=60.0,
        gt=0,
        description="How often the pods are listed otherwise.",
        json_schema_extra=unit("seconds"),
    )

    @property
    def where(self) -> str:
        """Which namespace of which cluster, for messages."""
        cluster = self.context or self.kubeconfig or ("its own" if self.in_cluster else "")
        return f"namespace {self.namespace}" + (f" of cluster {cluster}" if cluster else "")

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if self.in_cluster and (self.kubeconfig is not None or self.context is not None):
            yield Conflict(
                ("in_cluster", "kubeconfig", "context"),
                "a master in the cluster needs no file that says how it is reached",
                "remove kubeconfig and context, or in_cluster",
            )
        if self.image is None and not self._may_have_image():
            yield Conflict(
                ("image", "pod"),
                "neither image nor pod says which image the containers are of",
                "give image the name of one, such as 'debian:12'",
            )
        yield from self._mount_conflicts()
        yield from secrets_in(self.env, "whoever may look at the pods")
        if self.run_as_non_root and self.run_as_user == 0:
            yield Conflict(
                ("run_as_user", "run_as_non_root"),
                "user 0 is root",
                "give run_as_user another number, such as 1000, or remove run_as_non_root",
            )
        for name in sorted(self.requests.keys() & self.limits.keys()):
            if _amount(self.requests[name]) > _amount(self.limits[name]):
                yield Conflict(
                    ("requests", "limits"),
                    f"more {name} is requested ({self.requests[name]}) than a pod may use "
                    f"({self.limits[name]})",
                    f"lower requests[{name!r}], or raise limits[{name!r}]",
                )

    def _may_have_image(self) -> bool:
        """Tell whether the template has an image, or can't be looked at here."""
        if not isinstance(self.pod, dict):
            return self.pod is not None
        containers = (self.pod.get("spec") or {}).get("containers") or ()
        return any(isinstance(each, dict) and each.get("image") for each in containers)

    def _mount_conflicts(self) -> Iterator[Conflict]:
        places = [each.removesuffix(":ro") for each in self.volumes]
        for place in sorted({each for each in places if places.count(each) > 1}):
            yield Conflict(("volumes",), f"two things are mounted at {place}", "keep one of them")
        for place, volume in self.volumes.items():
            if len(volume.keys() - {"name"}) != 1 or "name" in volume:
                yield Conflict(
                    ("volumes",),
                    f"the volume at {place} is not of one kind, such as {{'emptyDir': {{}}}}",
                    "give it one key, with what a manifest has there, and no name",
                )
        if self.read_only and not self.volumes and self.pod is None:
            yield Conflict(
                ("read_only", "volumes"),
                "nothing could be written in the container, not even what a worker keeps",
                "give volumes the user's home and '/tmp', such as {'/root': {'emptyDir': {}}, "
                "'/tmp': {'emptyDir': {}}}",
            )


_UNITS: Final = {
    **{"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18},
    **{f"{letter}i": 1024.0**n for n, letter in enumerate("KMGTPE", 1)},
}


def _amount(text: str) -> float:
    """Return a quantity as a number. ``1e3`` has no unit."""
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)([A-Za-z]*)", text)
    return float(found[1]) * _UNITS.get(found[2], 1.0) if found else 0.0


def labels_of(installation: str, blueprint: str = "", token: str = "") -> Mapping[str, str]:
    """Return the labels that a pod is known by."""
    parts = {"installation": installation, "blueprint": blueprint, "token": token}
    return {f"{OUR_LABELS}{name}": value for name, value in parts.items() if value}


def as_selector(labels: Mapping[str, str]) -> str:
    """Return labels as a cluster takes them to choose pods by."""
    return ",".join(f"{name}={value}" for name, value in labels.items())
