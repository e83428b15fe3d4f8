"""Bugs in how pods are asked for, judged and deleted; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import Bug, planter

PARTS = ("tests/unit/test_kubernetes_parts.py",)
CONNECTION = ("tests/unit/test_kubernetes_connection.py",)
PROVIDER = ("tests/unit/test_kubernetes_provider.py",)

BUGS: list[Bug] = []
_bug = planter(BUGS)


# --- manifests -----------------------------------------------------------------------------------

_bug(
    "latent/kubernetes/requests.py",
    PARTS,
    "a pod is deleted by force, and forgotten while it still runs",
    "return max(1, math.ceil(stop_grace))",
    "return math.ceil(stop_grace)",
)
_bug(
    "latent/kubernetes/requests.py",
    PARTS,
    "another pod that has the name by now is deleted",
    '        "preconditions": {"uid": uid},\n',
    "",
)
_bug(
    "latent/kubernetes/requests.py",
    PARTS,
    "builds find the token of a service account",
    'spec.setdefault("automountServiceAccountToken", False)',
    'spec.setdefault("automountServiceAccountToken", True)',
)
_bug(
    "latent/kubernetes/requests.py",
    PARTS,
    "sidecars may gain rights",
    "    for each in containers:\n        _secure(fields, each)\n",
    "    for each in containers[:1]:\n        _secure(fields, each)\n",
)
_bug(
    "latent/kubernetes/requests.py",
    PARTS,
    "a pod of another blueprint is taken for ours",
    "return all(labels.get(key) == value for",
    "return any(labels.get(key) == value for",
)
_bug(
    "latent/kubernetes/requests.py",
    PARTS,
    "what the template has is changed in the configuration",
    "given = copy.deepcopy(dict(template))",
    "given = dict(template)",
)

# --- judgements ----------------------------------------------------------------------------------

_bug(
    "latent/kubernetes/judging.py",
    PARTS,
    "a pod without a node to run on stops the blueprint",
    "return Judgement(health=Health.FAILING, reason=said, error=NoCapacity(said))",
    "return Judgement(health=Health.FAILING, reason=said, error=Misconfigured(said))",
)
_bug(
    "latent/kubernetes/judging.py",
    PARTS,
    "an autoscaler gets no time",
    "now - since < patience",
    "now - since < 0.0",
)
_bug(
    "latent/kubernetes/judging.py",
    PARTS,
    "a registry that does not answer stops the blueprint",
    'container.reason == "RegistryUnavailable" or _UNWELL_REGISTRY.search(cause)',
    'container.reason == "RegistryUnavailable"',
)
_bug(
    "latent/kubernetes/judging.py",
    PARTS,
    "a pod on a lost node looks well",
    "        and not ready.status\n",
    "        and ready.status\n",
)
_bug(
    "latent/kubernetes/judging.py",
    PARTS,
    "a pod that does not end is never reported",
    "return pod.ends_at is not None and now > pod.ends_at + OVERDUE_SECONDS",
    "return pod.ends_at is not None and now > pod.ends_at + 3600.0",
)
_bug(
    "latent/kubernetes/judging.py",
    PARTS,
    "a pod that ran out of memory is said to have been killed from outside",
    'if container.reason == "OOMKilled":',
    'if container.reason == "OutOfMemory":',
)
_bug(
    "latent/kubernetes/nodes.py",
    PARTS,
    "a lost node is reported again and again",
    "            if node not in self._lost:\n",
    "            if node:\n",
)

# --- what a cluster answers ------------------------------------------------------------------------

_bug(
    "latent/kubernetes/failures.py",
    PARTS,
    "a quota that is exceeded stops the blueprint",
    'return CallFailed(Cause.FULL, NoCapacity(f"{said}. Remedy: {_FULL[0][1]}"))',
    'return CallFailed(Cause.FULL, Misconfigured(f"{said}. Remedy: {_FULL[0][1]}"))',
)
_bug(
    "remote/kubernetes/failures.py",
    PARTS,
    "nobody learns which right is missing",
    "    if missing is not None:\n",
    "    if missing is not None and status == UNAUTHORIZED:\n",
)
_bug(
    "remote/kubernetes/channels.py",
    PARTS,
    "a command whose end is not known counts as one that succeeded",
    "return int(codes[0]) if codes and str(codes[0]).isdigit() else None",
    "return int(codes[0]) if codes and str(codes[0]).isdigit() else 0",
)
_bug(
    "remote/kubernetes/channels.py",
    PARTS,
    "the two outputs of a command are mixed up",
    "_STDERR: self.stderr",
    "_STDERR: self.stdout",
)

# --- the provider --------------------------------------------------------------------------------

_bug(
    "latent/kubernetes/provider.py",
    PROVIDER,
    "a pod whose node does not answer is asked again and again",
    "            if isinstance(error, HostUnreachable | RetryLater):\n                return self._paused()\n",
    "            if isinstance(error, HostUnreachable | RetryLater):\n                return None\n",
)
_bug(
    "latent/kubernetes/provider.py",
    PROVIDER,
    "a pause goes on once the provider is closed",
    "            pause.cancel()\n",
    "            pass\n",
)
_bug(
    "latent/kubernetes/connection.py",
    CONNECTION,
    "a server that has just started stops the blueprint",
    "            if not self._is_ready():\n",
    "            if False:\n",
)
