"""What a cluster is asked for to make a pod. Pure."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from buildbot_drydock.latent.kubernetes.fields import (
    BUILD_CONTAINER,
    KubernetesPodsFields,
    labels_of,
)

# A shell that waits, buries processes that nobody waits for, and ends at once when it is asked to.
_WAITING: Final = (
    "/bin/sh",
    "-c",
    "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which pod is wanted."""

    installation: str
    blueprint: str
    token: str

    @property
    def labels(self) -> Mapping[str, str]:
        return labels_of(self.installation, self.blueprint, self.token)


class BadTemplate(ValueError):
    """What ``pod`` names is not what a pod can be made of."""


def pod(fields: KubernetesPodsFields, template: Mapping[str, Any], order: Order) -> dict[str, Any]:
    """Return the manifest of an order's pod, on top of a template. Raises ``BadTemplate``."""
    given = copy.deepcopy(dict(template))
    metadata, spec = _part(given, "metadata"), _part(given, "spec")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": order.token,
            "labels": {**_part(metadata, "labels"), **fields.pod_labels, **order.labels},
            "annotations": {**_part(metadata, "annotations"), **fields.pod_annotations},
        },
        "spec": _spec(fields, spec),
    }


def _spec(fields: KubernetesPodsFields, spec: dict[str, Any]) -> dict[str, Any]:
    containers = [*_dictionaries(spec, "containers"), *copy.deepcopy(list(fields.sidecars))]
    name = build_container(fields, spec)
    if all(each.get("name") != name for each in containers):
        containers.insert(0, {"name": name})
    for each in containers:
        _secure(fields, each)
        if each.get("name") == name:
            _complete(fields, each)
    for each in _dictionaries(spec, "initContainers"):
        _secure(fields, each)
    spec["containers"] = containers
    spec["restartPolicy"] = "Never"  # what has ended is replaced, not started again
    spec["terminationGracePeriodSeconds"] = grace_seconds(fields.stop_grace)
    spec.setdefault("enableServiceLinks", False)  # builds are not to be told of other services
    if fields.mount_token:
        spec["automountServiceAccountToken"] = True
    spec.setdefault("automountServiceAccountToken", False)
    optional = {
        "serviceAccountName": fields.service_account,
        "priorityClassName": fields.priority_class,
        "runtimeClassName": fields.runtime_class,
        "activeDeadlineSeconds": fields.deadline,
    }
    spec.update({key: value for key, value in optional.items() if value is not None})
    _add(spec, "nodeSelector", fields.node_selector)
    _extend(spec, "tolerations", [dict(each) for each in fields.tolerations])
    _extend(spec, "imagePullSecrets", [{"name": each} for each in fields.image_pull_secrets])
    _extend(spec, "volumes", [{"name": n, **v} for n, _, v in _volumes(fields)])
    return spec


def build_container(fields: KubernetesPodsFields, spec: Mapping[str, Any]) -> str:
    """Return the name of the container that workers run in."""
    if fields.container is not None:
        return fields.container
    containers = _dictionaries(spec, "containers")
    return str(containers[0].get("name") or BUILD_CONTAINER) if containers else BUILD_CONTAINER


def _complete(fields: KubernetesPodsFields, container: dict[str, Any]) -> None:
    """Make a container the one that workers run in."""
    if fields.image is not None:
        container["image"] = fields.image
    if not container.get("image"):
        raise BadTemplate(
            f"container {container.get('name')!r} has no image, and image is not given"
        )
    if fields.image_pull_policy is not None:
        container["imagePullPolicy"] = fields.image_pull_policy
    if not container.get("command") and not container.get("args"):
        container["command"] = list(_WAITING)
    resources = _part(container, "resources")
    _add(resources, "requests", fields.requests)
    _add(resources, "limits", fields.limits)
    _extend(container, "env", [{"name": n, "value": v} for n, v in sorted(fields.env.items())])
    mounts = [
        {"name": name, "mountPath": path.removesuffix(":ro"), "readOnly": path.endswith(":ro")}
        for name, path, _ in _volumes(fields)
    ]
    _extend(container, "volumeMounts", mounts)
    context = _part(container, "securityContext")
    optional = {
        "runAsUser": fields.run_as_user,
        "runAsGroup": fields.run_as_group,
        "runAsNonRoot": fields.run_as_non_root or None,
        "readOnlyRootFilesystem": fields.read_only or None,
    }
    context.update({key: value for key, value in optional.items() if value is not None})
    if fields.cap_drop or fields.cap_add:
        _add(context, "capabilities", {"drop": list(fields.cap_drop), "add": list(fields.cap_add)})
    container.update({"resources": resources, "securityContext": context})


def _secure(fields: KubernetesPodsFields, container: dict[str, Any]) -> None:
    """Let programs give no more rights, unless that is wanted, here or in the template."""
    context = _part(container, "securityContext")
    if fields.allow_privilege_escalation:
        context["allowPrivilegeEscalation"] = True
    elif not context.get("privileged"):  # which escalation is a part of
        context.setdefault("allowPrivilegeEscalation", False)
    container["securityContext"] = context


def _volumes(fields: KubernetesPodsFields) -> list[tuple[str, str, dict[str, Any]]]:
    return [(f"drydock-{n}", path, v) for n, (path, v) in enumerate(sorted(fields.volumes.items()))]


def grace_seconds(stop_grace: float) -> int:
    """Return how long a pod may take to end. At 0 it would be forgotten while it still runs."""
    return max(1, math.ceil(stop_grace))


def deletion(uid: str, stop_grace: float) -> dict[str, Any]:
    """Return the body of a request to delete a pod, if it is still that one."""
    return {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": grace_seconds(stop_grace),
        "preconditions": {"uid": uid},
    }


def is_ours(found: Mapping[str, Any], order: Order) -> bool:
    """Tell whether the labels of a pod are those of an order."""
    labels = (found.get("metadata") or {}).get("labels") or {}
    return all(labels.get(key) == value for key, value in order.labels.items())


# --- parts of manifests -------------------------------------------------------------------------


def _part(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = whole.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadTemplate(f"{name} is no dictionary")
    return found


def _dictionaries(whole: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = whole.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadTemplate(f"{name} is no list of dictionaries")
    return found


def _add(whole: dict[str, Any], name: str, more: Mapping[str, Any]) -> None:
    if more:
        whole[name] = {**_part(whole, name), **more}


def _extend(whole: dict[str, Any], name: str, more: list[dict[str, Any]]) -> None:
    if more:
        whole[name] = [*_dictionaries(whole, name), *more]
