"""The pure parts of containers as hosts: requests, listings, failures, frames."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import Misconfigured, NoCapacity, RetryLater
from buildbot_drydock.latent.docker.failures import (
    CallFailed,
    Cause,
    missing,
    not_pulled,
    refused,
    silent,
)
from buildbot_drydock.latent.docker.fields import OUR_LABELS, DockerPoolFields, labels_of
from buildbot_drydock.latent.docker.judging import sentence
from buildbot_drydock.latent.docker.launching import nowhere
from buildbot_drydock.latent.docker.listing import Container, End, containers, end_of
from buildbot_drydock.latent.docker.requests import (
    Order,
    cache_volume,
    container,
    is_ours,
    other_networks,
)
from buildbot_drydock.remote.docker.frames import Frames, NotFramed

ORDER = Order(installation="0123456789abcdef", blueprint="linux", token="drydock-1", place=3)
ENGINE = "unix:///run/engine"


def fields(**values: Any) -> DockerPoolFields:
    return DockerPoolFields(**{"image": "debian:12", **values})


class TestFields(SynchronousTestCase):
    def test_the_engine_of_this_machine_is_meant_if_none_is_named(self) -> None:
        self.assertEqual([each.url for each in fields().engines], ["unix:///var/run/docker.sock"])
        named = fields(hosts=["tcp://build1:2376"])
        self.assertEqual([each.url for each in named.engines], ["tcp://build1:2376"])

    def test_no_engine_at_all_is_a_mistake(self) -> None:
        self.assertEqual(list(fields().conflicts()), [])
        (conflict,) = fields(hosts=[]).conflicts()
        self.assertIn("there are no engines", conflict.message)

    def test_two_mounts_in_one_place_are_a_mistake(self) -> None:
        wrong = fields(volumes=["/srv:/work"], tmpfs={"/work": ""})
        (conflict,) = wrong.conflicts()
        self.assertIn("two things are mounted at /work", conflict.message)

    def test_an_engine_is_named_once(self) -> None:
        (conflict,) = fields(hosts=["unix:///a", "unix:///a"]).conflicts()
        self.assertIn("unix:///a is listed twice", conflict.message)


class TestRequests(SynchronousTestCase):
    def test_a_container_is_labelled_by_token_blueprint_and_installation(self) -> None:
        body = container(fields(container_labels={"team": "qa"}), ORDER)
        self.assertEqual(
            body["Labels"],
            {
                "team": "qa",
                f"{OUR_LABELS}token": "drydock-1",
                f"{OUR_LABELS}blueprint": "linux",
                f"{OUR_LABELS}installation": "0123456789abcdef",
            },
        )
        self.assertTrue(is_ours(body["Labels"], ORDER))
        for name in labels_of("i", "b", "t"):
            self.assertFalse(is_ours({**body["Labels"], name: "another"}, ORDER))
        self.assertFalse(is_ours({}, ORDER))

    def test_by_default_a_shell_waits_under_an_init_without_new_privileges(self) -> None:
        body = container(fields(), ORDER)
        self.assertEqual(body["Entrypoint"][:2], ["/bin/sh", "-c"])
        self.assertEqual(body["Cmd"], [])
        self.assertNotIn("User", body)
        config = body["HostConfig"]
        self.assertTrue(config["Init"])
        self.assertEqual(config["SecurityOpt"], ["no-new-privileges"])
        self.assertEqual(config["RestartPolicy"], {"Name": ""})
        for name in ("Memory", "NanoCpus", "PidsLimit", "ShmSize", "NetworkMode", "Runtime"):
            self.assertNotIn(name, config)

    def test_a_command_is_given_to_the_images_entry_point(self) -> None:
        body = container(fields(command=["sleep", "1000"]), ORDER)
        self.assertEqual(body["Cmd"], ["sleep", "1000"])
        self.assertNotIn("Entrypoint", body)

    def test_limits_and_rights(self) -> None:
        body = container(
            fields(
                **{"memory": "2g", "cpus": 1.5, "pids": 300, "shm": "64m", "read_only": True},
                **{"no_new_privileges": False, "cap_drop": ["ALL"], "cap_add": ["SYS_PTRACE"]},
                **{"user": "1000:1000", "runtime": "runsc", "init": False, "tmpfs": {"/tmp": ""}},
            ),
            ORDER,
        )
        config = body["HostConfig"]
        self.assertEqual(body["User"], "1000:1000")
        self.assertEqual((config["Memory"], config["ShmSize"]), (2 << 30, 64 << 20))
        self.assertEqual((config["NanoCpus"], config["PidsLimit"]), (1_500_000_000, 300))
        self.assertEqual((config["ReadonlyRootfs"], config["SecurityOpt"]), (True, []))
        self.assertEqual((config["CapDrop"], config["CapAdd"]), (["ALL"], ["SYS_PTRACE"]))
        self.assertEqual((config["Runtime"], config["Init"]), ("runsc", False))
        self.assertEqual(config["Tmpfs"], {"/tmp": ""})

    def test_the_first_network_is_the_containers_own_and_others_come_later(self) -> None:
        wanted = fields(networks=["builds", "mirror"], extra_hosts={"master": "host-gateway"})
        config = container(wanted, ORDER)["HostConfig"]
        self.assertEqual(config["NetworkMode"], "builds")
        self.assertEqual(other_networks(wanted), ("mirror",))
        self.assertEqual(config["ExtraHosts"], ["master:host-gateway"])

    def test_caches_are_volumes_of_a_place_or_of_the_blueprint(self) -> None:
        wanted = fields(volumes=["/srv:/srv:ro"], caches={"/ccache": "place", "/git": "blueprint"})
        binds = container(wanted, ORDER)["HostConfig"]["Binds"]
        self.assertEqual(binds[0], "/srv:/srv:ro")
        own, shared = (
            cache_volume(ORDER, "/ccache", "place"),
            cache_volume(ORDER, "/git", "blueprint"),
        )
        self.assertEqual(binds[1:], [f"{own}:/ccache", f"{shared}:/git"])
        other = Order(installation="0123456789abcdef", blueprint="linux", token="t", place=4)
        self.assertNotEqual(cache_volume(other, "/ccache", "place"), own)
        self.assertEqual(cache_volume(other, "/git", "blueprint"), shared)
        self.assertNotEqual(cache_volume(ORDER, "/other", "place"), own)


class TestListing(SynchronousTestCase):
    def test_what_has_our_token_is_read(self) -> None:
        row = {
            "Id": "abc",
            "Labels": {f"{OUR_LABELS}token": "drydock-1"},
            "State": "Running",
            "Created": 1_700_000_000,
            "ImageID": "sha256:1",
        }
        (found,) = containers(ENGINE, [row, {"Id": "x", "Labels": None}, {"Id": "y", "Labels": {}}])
        self.assertEqual((found.id, found.token, found.engine), ("abc", "drydock-1", ENGINE))
        self.assertEqual((found.created_at, found.image), (1_700_000_000.0, "sha256:1"))
        self.assertTrue(found.is_running)

    def test_times_are_read_to_the_second_and_never_is_none(self) -> None:
        for text, seconds in (
            ("2026-11-24T15:41:53.227969076Z", 1_795_534_913.0),
            ("2026-11-24T16:41:53+01:00", 1_795_534_913.0),
            ("0001-01-01T00:00:00Z", None),
            ("", None),
            ("soon", None),
        ):
            self.assertEqual(end_of({"FinishedAt": text, "ExitCode": 1}, "").at, seconds, text)


class TestHowAContainerEnded(SynchronousTestCase):
    def said(self, **values: Any) -> str:
        end = {k: values.pop(k) for k in list(values) if k not in ("was_restarted", "memory")}
        one = Container(id="0123456789abcdef", token="t", engine=ENGINE, state="exited")
        return sentence(one, End(**{"exit_code": 137, **end}), **values)

    def test_each_end_has_its_sentence(self) -> None:
        self.assertIn("was killed from outside (exit code 137)", self.said())
        self.assertIn("ran out of memory", self.said(out_of_memory=True))
        self.assertIn("ran out of its 64 MiB of memory", self.said(memory=64 << 20))
        self.assertIn("its engine was stopped or restarted", self.said(was_restarted=True))
        self.assertIn("ended by itself, with exit code 3", self.said(exit_code=3))
        self.assertIn("could not be started: no", self.said(exit_code=128, error="no"))

    def test_the_container_is_named_and_its_last_words_are_told(self) -> None:
        said = self.said(exit_code=3, tail="goodbye")
        self.assertTrue(said.startswith("container 0123456789ab ended"), said)
        self.assertTrue(said.endswith("The last that it wrote:\ngoodbye"), said)


# As engines say it: Docker 20.10 and Podman 4.3, and what their sources have.
ANSWERS = (
    (
        409,
        'Conflict. The container name "/drydock-1" is already in use by container "2e1f".',
        Cause.TAKEN,
    ),
    (
        500,
        'container create: creating container storage: the container name "drydock-1" is already '
        "in use by 9f44. You have to remove that container: that name is already in use",
        Cause.TAKEN,
    ),
    (409, "removal of container 2e1f is already in progress", Cause.LEAVING),
    (404, "No such image: drydock/none:1", Cause.NO_IMAGE),
    (404, "no such image: docker.io/drydock/none:1: image not known", Cause.NO_IMAGE),
    (404, "No such container: 2e1f", Cause.ABSENT),
    (404, 'no container with name or ID "2e1f" found: no such container', Cause.ABSENT),
    (500, "mkdir /var/lib/docker/overlay2/x: no space left on device", Cause.FULL),
    (500, "fork/exec /usr/bin/runc: cannot allocate memory", Cause.FULL),
    (404, "network nonet not found", Cause.WRONG),
    (
        500,
        "container create: unable to find network with name or ID nonet: network not found",
        Cause.WRONG,
    ),
    (400, "Minimum memory limit allowed is 6MB", Cause.WRONG),
    (400, "Unknown runtime specified nort", Cause.WRONG),
    (400, 'invalid CapDrop: unknown capability: "CAP_NOCAP"', Cause.WRONG),
    (500, 'container create: "CAP_NOCAP": unknown capability', Cause.WRONG),
    (400, "something that nobody has ever seen", Cause.WRONG),
    (500, "something that nobody has ever seen", Cause.UNWELL),
    (503, "the engine is starting", Cause.UNWELL),
)
PULLS = (
    (
        "pull access denied for ci/none, repository does not exist or may require 'docker login'",
        Cause.WRONG,
    ),
    ("manifest for ci/none:1 not found: manifest unknown: manifest unknown", Cause.WRONG),
    ("unauthorized: authentication required", Cause.WRONG),
    ("toomanyrequests: You have reached your pull rate limit", Cause.UNWELL),
    (
        'Get "http://localhost:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
        Cause.UNWELL,
    ),
    ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", Cause.FULL),
)
ERRORS = {Cause.FULL: NoCapacity, Cause.WRONG: Misconfigured}


class TestFailures(SynchronousTestCase):
    def test_what_engines_answer_is_told_apart(self) -> None:
        for status, text, cause in ANSWERS:
            failed = refused(ENGINE, "make a container", status, text)
            self.assertEqual(failed.cause, cause, text)
            self.assertIs(type(failed.error), ERRORS.get(cause, RetryLater))
            self.assertIn(text, str(failed))
            self.assertIn(f"cannot make a container on {ENGINE}", str(failed))
            self.assertEqual(type(failed.error) is not RetryLater, "Remedy: " in str(failed))

    def test_why_an_image_is_not_pulled_is_told_apart(self) -> None:
        for text, cause in PULLS:
            failed = not_pulled(ENGINE, "ci/none:1", text)
            self.assertEqual(failed.cause, cause, text)
            self.assertIn(f"cannot pull ci/none:1 to {ENGINE}: {text}", str(failed))
        limited = not_pulled(ENGINE, "ci/none:1", "toomanyrequests: slow down").error
        assert isinstance(limited, RetryLater)
        self.assertEqual(limited.after, 60.0)

    def test_an_engine_that_does_not_answer_may_answer_later_unless_it_bars_us(self) -> None:
        refusing = silent(ENGINE, "list", "ConnectionRefusedError(111, 'Connection refused')")
        self.assertEqual((refusing.cause, type(refusing.error)), (Cause.UNREACHABLE, RetryLater))
        for text, word in (
            ("PermissionError(13, 'Permission denied')", "group docker"),
            (
                "SSLError(SSLCertVerificationError(1, 'certificate verify failed'))",
                "ca, cert and key",
            ),
        ):
            barred = silent(ENGINE, "list", text)
            self.assertEqual((barred.cause, type(barred.error)), (Cause.BARRED, Misconfigured))
            self.assertIn(word, str(barred))

    def test_of_several_failures_the_most_hopeful_counts(self) -> None:
        down = silent("a", "list", "refused")
        barred = silent("b", "list", "PermissionError")
        full = refused("c", "make", 500, "no space left on device")
        self.assertIs(type(nowhere([down, full]).error), NoCapacity)
        self.assertIs(type(nowhere([down, barred]).error), RetryLater)
        self.assertIs(type(nowhere([barred, barred]).error), Misconfigured)
        self.assertIs(type(nowhere([]).error), NoCapacity)
        self.assertIn("on a:", str(nowhere([down, full])))
        self.assertIn("on c:", str(nowhere([down, full])))

    def test_an_image_that_is_never_pulled_is_missing(self) -> None:
        failed: CallFailed = missing(ENGINE, "debian:12")
        self.assertIs(type(failed.error), Misconfigured)
        self.assertIn("load the image there", str(failed))


def frame(which: int, content: bytes) -> bytes:
    return struct.pack(">BxxxL", which, len(content)) + content


class TestFrames(SynchronousTestCase):
    @given(
        st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=20)), max_size=8),
        st.lists(st.integers(1, 30), min_size=1, max_size=40),
    )
    def test_the_outputs_are_told_apart_however_they_are_cut(
        self, sent: list[tuple[int, bytes]], cuts: list[int]
    ) -> None:
        stream = b"".join(frame(which, content) for which, content in sent)
        frames = Frames()
        while stream:
            cut = cuts[len(stream) % len(cuts)]
            frames.feed(stream[:cut])
            stream = stream[cut:]
        for which, output in ((1, frames.stdout), (2, frames.stderr)):
            self.assertEqual(bytes(output), b"".join(c for w, c in sent if w == which))

    def test_a_text_is_no_frame(self) -> None:
        with self.assertRaises(NotFramed) as caught:
            Frames().feed(b"OCI runtime exec failed")
        self.assertIn("OCI runtime exec failed", str(caught.exception))
