"""The pure parts of pods as hosts: manifests, listings, judgements, failures, channels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import events
from buildbot_drydock.errors import DrydockError, Misconfigured, NoCapacity, RetryLater
from buildbot_drydock.latent.kubernetes.explaining import last_telling
from buildbot_drydock.latent.kubernetes.failures import Cause, refused, silent
from buildbot_drydock.latent.kubernetes.fields import (
    OUR_LABELS,
    KubernetesPodsFields,
    as_selector,
    labels_of,
)
from buildbot_drydock.latent.kubernetes.judging import Judgement, Told, judged
from buildbot_drydock.latent.kubernetes.listing import Pod, pod_of, pods_in
from buildbot_drydock.latent.kubernetes.nodes import Nodes
from buildbot_drydock.latent.kubernetes.requests import (
    BadTemplate,
    Order,
    deletion,
    is_ours,
    pod,
)
from buildbot_drydock.model import Health
from buildbot_drydock.remote.kubernetes.channels import Channels, messages

ORDER = Order(installation="0123456789abcdef", blueprint="linux", token="drydock-1")
NOW = 1_600_000_000.0
_THEN = "2020-09-13T12:26:30Z"  # 10 seconds before


def fields(**values: Any) -> KubernetesPodsFields:
    return KubernetesPodsFields(**{"image": "debian:12", **values})


def build_container(manifest: Mapping[str, Any], name: str = "build") -> dict[str, Any]:
    (found,) = [each for each in manifest["spec"]["containers"] if each["name"] == name]
    return dict(found)


class TestFields(SynchronousTestCase):
    def conflict(self, **values: Any) -> str:
        (found,) = fields(**values).conflicts()
        return found.message

    def test_what_is_right_is_let_through(self) -> None:
        self.assertEqual(list(fields().conflicts()), [])
        self.assertEqual(list(KubernetesPodsFields(pod="builds").conflicts()), [])
        template = {"spec": {"containers": [{"name": "x", "image": "debian"}]}}
        self.assertEqual(list(KubernetesPodsFields(pod=template).conflicts()), [])

    def test_an_image_is_needed_from_somewhere(self) -> None:
        for template in (None, {"spec": {}}, {"spec": {"containers": [{"name": "x"}]}}):
            (found,) = KubernetesPodsFields(pod=template).conflicts()
            self.assertIn("which image", found.message)

    def test_quantities_are_compared_by_what_they_mean(self) -> None:
        self.assertIn(
            "more cpu is requested", self.conflict(requests={"cpu": 2}, limits={"cpu": "1999m"})
        )
        self.assertIn(
            "more memory", self.conflict(requests={"memory": "1Gi"}, limits={"memory": "1G"})
        )
        for less, more in (("500m", 1), ("1e3", "1k"), ("1024Ki", "1Mi"), ("1.5", 2)):
            right = fields(requests={"cpu": less}, limits={"cpu": more})
            self.assertEqual(list(right.conflicts()), [])

    def test_two_mounts_in_one_place_are_a_mistake(self) -> None:
        volumes = {"/work": {"emptyDir": {}}, "/work:ro": {"emptyDir": {}}}
        self.assertIn("two things are mounted at /work", self.conflict(volumes=volumes))

    def test_labels_of_a_pod_choose_it(self) -> None:
        selector = as_selector(labels_of("i", "b"))
        self.assertEqual(selector, f"{OUR_LABELS}installation=i,{OUR_LABELS}blueprint=b")


class TestManifests(SynchronousTestCase):
    def test_a_pod_is_named_by_its_token_and_labelled(self) -> None:
        body = pod(fields(pod_labels={"team": "qa"}), {}, ORDER)
        self.assertEqual(body["metadata"]["name"], "drydock-1")
        self.assertEqual(body["metadata"]["labels"], {"team": "qa", **ORDER.labels})
        self.assertTrue(is_ours(body, ORDER))
        for name in ORDER.labels:
            labels = {**body["metadata"]["labels"], name: "another"}
            self.assertFalse(is_ours({"metadata": {"labels": labels}}, ORDER))
        self.assertFalse(is_ours({}, ORDER))

    def test_by_default_a_shell_waits_without_rights_and_token(self) -> None:
        body = pod(fields(), {}, ORDER)
        container = build_container(body)
        self.assertEqual(container["image"], "debian:12")
        self.assertEqual(container["command"][:2], ["/bin/sh", "-c"])
        self.assertEqual(container["securityContext"], {"allowPrivilegeEscalation": False})
        self.assertIs(body["spec"]["automountServiceAccountToken"], False)
        self.assertIs(body["spec"]["enableServiceLinks"], False)
        self.assertEqual(body["spec"]["restartPolicy"], "Never")
        self.assertEqual(body["spec"]["terminationGracePeriodSeconds"], 5)
        self.assertNotIn("serviceAccountName", body["spec"])

    def test_fields_are_put_on_top_of_a_template_and_leave_it_as_it_was(self) -> None:
        template = {
            "metadata": {"labels": {"team": "qa"}, "annotations": {"a": "1"}},
            "spec": {
                "containers": [
                    {"name": "main", "image": "old", "env": [{"name": "A", "value": "1"}]},
                    {"name": "other", "image": "other", "securityContext": {"privileged": True}},
                ],
                "nodeSelector": {"disk": "ssd"},
                "hostNetwork": True,
                "automountServiceAccountToken": True,
                "restartPolicy": "Always",
            },
        }
        before = json.dumps(template)
        body = pod(
            fields(
                env={"B": "2"},
                node_selector={"arch": "arm64"},
                sidecars=[{"name": "db", "image": "postgres"}],
                requests={"cpu": 2},
                limits={"memory": "2Gi"},
                volumes={"/mirror:ro": {"hostPath": {"path": "/srv"}}},
                tolerations=[{"key": "builds"}],
                image_pull_secrets=["registry"],
                cap_drop=["ALL"],
                run_as_user=1000,
            ),
            template,
            ORDER,
        )
        self.assertEqual(json.dumps(template), before)
        spec, main = body["spec"], build_container(body, "main")
        self.assertEqual([each["name"] for each in spec["containers"]], ["main", "other", "db"])
        self.assertEqual(main["image"], "debian:12")
        self.assertEqual([each["name"] for each in main["env"]], ["A", "B"])
        self.assertEqual(main["resources"], {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}})
        self.assertEqual(main["securityContext"]["runAsUser"], 1000)
        self.assertEqual(main["securityContext"]["capabilities"], {"drop": ["ALL"], "add": []})
        (mount,) = main["volumeMounts"]
        self.assertEqual((mount["mountPath"], mount["readOnly"]), ("/mirror", True))
        (volume,) = spec["volumes"]
        self.assertEqual((volume["name"], volume["hostPath"]), (mount["name"], {"path": "/srv"}))
        self.assertEqual(spec["nodeSelector"], {"disk": "ssd", "arch": "arm64"})
        self.assertEqual(spec["imagePullSecrets"], [{"name": "registry"}])
        self.assertEqual(spec["tolerations"], [{"key": "builds"}])
        self.assertTrue(spec["hostNetwork"] and spec["automountServiceAccountToken"])
        self.assertEqual(spec["restartPolicy"], "Never")
        self.assertEqual(body["metadata"]["annotations"], {"a": "1"})
        sidecar = build_container(body, "db")
        self.assertIs(sidecar["securityContext"]["allowPrivilegeEscalation"], False)
        other = build_container(body, "other")
        self.assertEqual(other["securityContext"], {"privileged": True})

    def test_a_command_of_the_template_is_kept(self) -> None:
        for given_ in ({"command": ["sleep", "1"]}, {"args": ["sleep", "1"]}):
            template = {"spec": {"containers": [{"name": "build", **given_}]}}
            container = build_container(pod(fields(), template, ORDER))
            self.assertEqual({k: container[k] for k in given_}, given_)
            self.assertEqual("command" in container, "command" in given_)

    def test_what_is_no_pod_is_refused(self) -> None:
        for template in (
            {"spec": []},
            {"metadata": "x"},
            {"spec": {"containers": {}}},
            {"spec": {"containers": ["x"]}},
        ):
            self.assertRaises(BadTemplate, pod, fields(), template, ORDER)
        without = KubernetesPodsFields(pod="builds")
        self.assertRaises(BadTemplate, pod, without, {}, ORDER)

    @given(st.floats(min_value=0, max_value=1e4))
    def test_a_pod_is_never_deleted_by_force(self, grace: float) -> None:
        body = deletion("uid", grace)
        self.assertGreaterEqual(body["gracePeriodSeconds"], max(1, grace))
        self.assertEqual(body["preconditions"], {"uid": "uid"})


def a_pod(
    state: Mapping[str, Any] | None = None,
    *,
    phase: str = "Pending",
    conditions: Mapping[str, Mapping[str, str]] | None = None,
    leaving: bool = False,
    **status: Any,
) -> Pod:
    metadata: dict[str, Any] = {
        "name": "drydock-1",
        "uid": "uid-1",
        "labels": dict(ORDER.labels),
        "creationTimestamp": _THEN,
    }
    if leaving:
        metadata["deletionTimestamp"] = _THEN
    states = [] if state is None else [{"name": "build", "imageID": "sha256:1", "state": state}]
    placed = {} if conditions and "PodScheduled" in conditions else {"nodeName": "node1"}
    return pod_of(
        {
            "metadata": metadata,
            "spec": placed,
            "status": {
                "phase": phase,
                "containerStatuses": states,
                "conditions": [
                    {"type": name, "lastTransitionTime": _THEN, **each}
                    for name, each in (conditions or {}).items()
                ],
                **status,
            },
        }
    )


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(reason: str, code: int, message: str = "") -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": code, "message": message}}


_RUNS = {"running": {}}
_UNSCHEDULABLE = {
    "PodScheduled": {"status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
}
_NODE_LOST = {"Ready": {"status": "False"}, "ContainersReady": {"status": "True"}}


class TestJudgements(SynchronousTestCase):
    def judged(self, pod: Pod, now: float = NOW, **more: Any) -> Judgement:
        return judged(pod, "build", now, **more)

    def fails(self, error: type[DrydockError], words: str, pod: Pod, **more: Any) -> Judgement:
        found = self.judged(pod, **more)
        self.assertIs(found.health, Health.FAILING)
        self.assertIs(type(found.error), error)
        self.assertIn(words, str(found.error))
        return found

    def test_a_pod_that_runs_is_ready(self) -> None:
        found = self.judged(a_pod(_RUNS, phase="Running"))
        self.assertEqual((found.health, found.error, found.reason), (Health.READY, None, ""))

    def test_a_pod_that_is_coming_says_what_it_waits_for(self) -> None:
        found = self.judged(a_pod(waiting("ContainerCreating")))
        self.assertIs(found.health, Health.STARTING)
        self.assertIn("ContainerCreating", found.reason)
        told = self.judged(a_pod(waiting("ContainerCreating")), told=Told(events="FailedMount: x"))
        self.assertIn("FailedMount: x", told.reason)

    def test_no_room_is_no_capacity_after_the_patience(self) -> None:
        pod = a_pod(conditions=_UNSCHEDULABLE)
        self.fails(NoCapacity, "unschedulable: 0/1 nodes", pod)
        found = self.judged(pod, unschedulable_timeout=11.0)
        self.assertEqual((found.health, found.error), (Health.STARTING, None))
        self.assertIn("0/1 nodes", found.reason)
        self.fails(NoCapacity, "0/1 nodes", pod, unschedulable_timeout=10.0)

    def test_images(self) -> None:
        cases: tuple[tuple[str, str, type[DrydockError]], ...] = (
            ("ErrImagePull", "manifest unknown", Misconfigured),
            ("ErrImagePull", "dial tcp: connection refused", RetryLater),
            ("ErrImagePull", "toomanyrequests: slow down", RetryLater),
            ("ImagePullBackOff", "Back-off pulling image", Misconfigured),
            ("ErrImageNeverPull", "not present with pull policy of Never", Misconfigured),
            ("InvalidImageName", "couldn't parse", Misconfigured),
            ("RegistryUnavailable", "", RetryLater),
        )
        for reason, message, error in cases:
            with self.subTest(reason=reason, message=message):
                self.fails(error, reason, a_pod(waiting(reason, message)))

    def test_the_cause_of_a_pull_that_is_put_off_is_in_the_events(self) -> None:
        pod = a_pod(waiting("ImagePullBackOff", "Back-off pulling image"))
        self.assertTrue(self.judged(pod).wants_events)
        told = Told(events="Failed: dial tcp: i/o timeout")
        self.fails(RetryLater, "i/o timeout", pod, told=told)

    def test_containers(self) -> None:
        for reason in ("CreateContainerError", "CreateContainerConfigError", "RunContainerError"):
            self.fails(Misconfigured, reason, a_pod(waiting(reason, "no such thing")))
        config = waiting("CreateContainerConfigError", "image will run as root")
        self.fails(Misconfigured, "Remedy: give run_as_user", a_pod(config))
        started = ended("StartError", 128, "exec: executable file not found in $PATH")
        self.fails(Misconfigured, "a command that the image has", a_pod(started, phase="Failed"))

    def test_ends(self) -> None:
        killed = self.fails(RetryLater, "OOMKilled", a_pod(ended("OOMKilled", 137), phase="Failed"))
        self.assertIn("raise limits['memory']", killed.reason)
        self.fails(RetryLater, "from outside", a_pod(ended("Error", 137), phase="Failed"))
        by_itself = a_pod(ended("Error", 3), phase="Failed")
        found = self.fails(Misconfigured, "exit code 3", by_itself, told=Told(log="last words"))
        self.assertIn("last words", found.reason)
        self.assertNotIn("Remedy", found.reason)  # of a pod that served well, it is no fault
        beside = a_pod(ended("Completed", 0), phase="Running")
        self.fails(Misconfigured, "exit code 0", beside)

    def test_what_nodes_do(self) -> None:
        for reason, words, error in (
            ("Evicted", "was evicted by its node: low on memory", NoCapacity),
            ("Preempting", "was preempted", NoCapacity),
            ("NodeLost", "does not answer", NoCapacity),
            ("OutOfcpu", "was not let in: OutOfcpu: low on memory", NoCapacity),
            ("DeadlineExceeded", "longer than its deadline", RetryLater),
        ):
            with self.subTest(reason=reason):
                pod = a_pod(phase="Failed", reason=reason, message="low on memory")
                self.fails(error, words, pod)
        disrupted = {
            "DisruptionTarget": {
                "status": "True",
                "reason": "PreemptionByScheduler",
                "message": "preempting to accommodate a higher priority pod",
            }
        }
        self.fails(NoCapacity, "PreemptionByScheduler", a_pod(phase="Failed", conditions=disrupted))

    def test_a_lost_node(self) -> None:
        found = self.judged(a_pod(_RUNS, phase="Running", conditions=_NODE_LOST))
        self.assertTrue(found.runs and found.is_losing_its_node)
        self.assertIn("node node1 does not answer", found.reason)
        coming = a_pod(waiting("ContainerCreating"), conditions=_NODE_LOST)
        self.fails(RetryLater, "node1", coming)
        gates = {**_NODE_LOST, "Ready": {"status": "False", "reason": "ReadinessGatesNotReady"}}
        found = self.judged(a_pod(_RUNS, phase="Running", conditions=gates))
        self.assertFalse(found.is_losing_its_node)

    def test_a_pod_that_is_being_deleted(self) -> None:
        pod = a_pod(_RUNS, phase="Running", leaving=True)
        self.fails(
            RetryLater, "being deleted: Preempted: by x", pod, told=Told(events="Preempted: by x")
        )
        overdue = self.judged(pod, now=NOW + 21.0)
        self.assertIn("should have ended 31 s ago", overdue.reason)
        self.assertIn("node node1", overdue.reason)
        self.assertIn("delete the node", overdue.reason)

    def test_a_first_container_that_fails(self) -> None:
        states = [{"name": "fetch", "state": ended("Error", 2)}]
        self.fails(
            Misconfigured, "fetch ended with exit code 2", a_pod(initContainerStatuses=states)
        )

    def test_what_has_no_token_is_not_ours(self) -> None:
        self.assertEqual(pods_in([{"metadata": {"name": "x", "uid": "1"}}, {}]), [])

    def test_the_last_telling_event_counts(self) -> None:
        def event(reason: str, message: str, kind: str = "Warning") -> dict[str, str]:
            return {"reason": reason, "message": message, "type": kind}

        self.assertEqual(last_telling([event("Pulled", "x", "Normal")]), "")
        pulled = [event("Failed", "rpc error: code = NotFound: no"), event("BackOff", "Back-off")]
        self.assertEqual(last_telling(pulled), "Failed: rpc error: code = NotFound: no")
        told = [event("FailedMount", "no volume"), event("Preempted", "by x", "Normal")]
        self.assertEqual(last_telling(told), "Preempted: by x")


class TestNodes(SynchronousTestCase):
    def test_each_lost_node_is_reported_once_and_when_it_is_back(self) -> None:
        told: list[events.Event] = []
        nodes, pod = Nodes(told.append), a_pod(_RUNS, phase="Running", leaving=True)
        nodes.note([pod], NOW)
        self.assertEqual(told, [])
        for later in (30.0, 40.0):
            nodes.note([pod], NOW + later)
        (lost,) = told
        assert isinstance(lost, events.HostLost)
        self.assertEqual(lost.host, "node1")
        nodes.note([], NOW + 50.0)
        self.assertEqual(told[1:], [events.HostReturned(host="node1", seconds=20.0)])


class TestFailures(SynchronousTestCase):
    def test_what_a_cluster_answers(self) -> None:
        forbidden = (
            'pods is forbidden: User "bb" cannot list resource "pods" in API group "" in the '
            'namespace "builds"'
        )
        cases: tuple[tuple[int, str, Cause, type[DrydockError], str], ...] = (
            (403, forbidden, Cause.BARRED, Misconfigured, "the verb 'list' for 'pods'"),
            (401, "Unauthorized", Cause.BARRED, Misconfigured, "which credentials"),
            (403, "exceeded quota: few, used: pods=1", Cause.FULL, NoCapacity, "ResourceQuota"),
            (
                403,
                "failed quota: q: must specify limits.cpu",
                Cause.WRONG,
                Misconfigured,
                "asks for",
            ),
            (403, "status unknown for quota: q", Cause.UNWELL, RetryLater, "quota"),
            (403, "forbidden: because it is being terminated", Cause.UNWELL, RetryLater, ""),
            (400, 'admission webhook "x" denied the request: no', Cause.WRONG, Misconfigured, "no"),
            (500, 'failed calling webhook "x": timeout', Cause.UNWELL, RetryLater, "webhook"),
            (404, 'namespaces "x" not found', Cause.WRONG, Misconfigured, "make that namespace"),
            (404, 'pods "x" not found', Cause.ABSENT, RetryLater, "not found"),
            (409, 'pods "x" already exists', Cause.TAKEN, RetryLater, "exists"),
            (410, "too old resource version", Cause.EXPIRED, RetryLater, "too old"),
            (422, 'Pod "x" is invalid: spec.dnsPolicy', Cause.WRONG, Misconfigured, "dnsPolicy"),
            (429, "too many requests", Cause.UNWELL, RetryLater, "too many"),
            (500, "etcd is away", Cause.UNWELL, RetryLater, "etcd"),
        )
        for status, said, cause, error, words in cases:
            with self.subTest(said=said):
                found = refused("namespace builds", "do it", status, said)
                self.assertIs(found.cause, cause)
                self.assertIs(type(found.error), error)
                self.assertIn(words, str(found))
                self.assertIn("cannot do it in namespace builds", str(found))

    def test_no_answer(self) -> None:
        found = silent("namespace builds", "do it", "connection refused")
        self.assertEqual((found.cause, type(found.error)), (Cause.UNREACHABLE, RetryLater))
        found = silent("namespace builds", "do it", "SSL: CERTIFICATE_VERIFY_FAILED")
        self.assertEqual((found.cause, type(found.error)), (Cause.BARRED, Misconfigured))


class TestChannels(SynchronousTestCase):
    @given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary())))
    def test_outputs_are_told_apart(self, pieces: list[tuple[int, bytes]]) -> None:
        channels = Channels()
        for channel, data in pieces:
            self.assertEqual(channels.feed(bytes([channel]) + data), bool(data))
        for channel, found in ((1, channels.stdout), (2, channels.stderr)):
            wanted = b"".join(data for number, data in pieces if number == channel)
            self.assertEqual(bytes(found), wanted)
        self.assertIsNone(channels.exit_code)

    def test_how_a_command_ended(self) -> None:
        def code(status: object) -> int | None:
            channels = Channels()
            for piece in json.dumps(status).encode().partition(b"s"):
                channels.feed(b"\x03" + piece)
            return channels.exit_code

        self.assertEqual(code({"status": "Success"}), 0)
        cause = {"reason": "ExitCode", "message": "7"}
        self.assertEqual(code({"status": "Failure", "details": {"causes": [cause]}}), 7)
        self.assertIsNone(code({"status": "Failure", "message": "container not found"}))
        self.assertIsNone(code([]))

    @given(st.binary(max_size=100_000))
    def test_all_input_is_sent_in_order(self, data: bytes) -> None:
        sent = messages(data)
        self.assertEqual(b"".join(each[1:] for each in sent), data)
        self.assertTrue(all(each[:1] == b"\0" and len(each) <= 16_385 for each in sent))
