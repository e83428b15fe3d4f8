"""The provider of local processes, on real directories and with real processes.

It passes the suites of all providers. Beyond them, it must never delete what it did not make, must
finish what a dead master left half done, and must say what to do about a disk that fails.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from pathlib import Path
from unittest import mock
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock.errors import (
    DrydockError,
    Misconfigured,
    NoCapacity,
    RequestRejected,
    RetryLater,
)
from buildbot_drydock.interfaces import Host, HostSpec, Provider
from buildbot_drydock.latent import local
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.local import LocalProcesses, LocalProvider
from buildbot_drydock.model import Health, Resource, ResourceStatus
from buildbot_drydock.testing.provider_contract import VacatesContract, a_lease

REGISTER = ".drydock"
TOKEN = "drydock-1"
WAYS_OUT = ("", ".", "..", "../elsewhere", "a/b", "/etc", REGISTER, "-x", "x" * 201, "a\0b", "a\n")


def make_local_provider(test: TestCase, root: Path, *, keep: bool = True) -> LocalProvider:
    threads = ThreadPool(1, 4, name="local provider")
    threads.start()
    test.addCleanup(threads.stop)
    return LocalProvider(
        reactor,
        threads,
        str(root),
        clock=reactor,  # type: ignore[arg-type]
        keep_build_directories=keep,
        grace_seconds=1.0,
    )


def directories_of_processes(root: Path) -> set[str]:
    """Return the names of the directories in *root* that living processes say they run on."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # no process, or it has ended
        for each in variables:
            name, _, value = os.fsdecode(each).partition("=")
            if name == "DRYDOCK_RESOURCE" and Path(value).parent == root:
                found.add(Path(value).name)
    return found


class TestLocalProvider(VacatesContract, TestCase):
    def make_provider(self) -> Provider:
        self.root = Path(self.mktemp()).resolve()
        return make_local_provider(self, self.root)

    def living(self) -> int:
        """Count what lies in the root or in its register, and what processes tell of."""
        resources = {each.name for each in self.root.glob("*") if each.name != REGISTER}
        aside = {each.stem for each in (self.root / REGISTER).glob("*")}
        return len(resources | aside | directories_of_processes(self.root))


class OnDirectory(TestCase):
    def setUp(self) -> None:
        self.around = Path(self.mktemp()).resolve()
        self.root = self.around / "root"
        self.root.mkdir(parents=True)
        self.provider = make_local_provider(self, self.root)
        self.outside = self.around / "outside"
        self.outside.mkdir()
        (self.outside / "precious").write_text("kept")

    def resource(self, token: str = TOKEN) -> Resource:
        return Resource(id=1, blueprint="linux", token=token, place=0, status=ResourceStatus.ACTIVE)

    def write_entry(self, content: str, token: str = TOKEN) -> None:
        (self.root / REGISTER).mkdir(exist_ok=True)
        (self.root / REGISTER / f"{token}.json").write_text(content)

    def entry(self, progress: str) -> str:
        return json.dumps({"progress": progress, "created_at": 12.0})

    async def start_sleeping(self, host: Host) -> str:
        """Start a process that ends with the test at the latest; return its tag."""
        tag = f"sleeping-{uuid4().hex}"
        self.addCleanup(lambda: Deferred.fromCoroutine(host.stop(tag)))
        await host.start(["sleep", "600"], tag=tag)
        return tag

    async def listed(self) -> dict[str, Health]:
        return {each.token: each.health for each in await self.provider.inventory()}

    def assert_nothing_left(self) -> None:
        self.assertEqual(sorted(each.name for each in self.root.iterdir()), [REGISTER])
        self.assertEqual(list((self.root / REGISTER).iterdir()), [])

    def assert_outside_is_kept(self) -> None:
        self.assertEqual((self.outside / "precious").read_text(), "kept")


class TestWhatIsNotOurs(OnDirectory):
    """Nothing is touched that was not made by the provider."""

    async def test_no_token_leads_out_of_the_root(self) -> None:
        for token in WAYS_OUT:
            for call in (
                self.provider.create(token, HostSpec()),
                self.provider.destroy(token),
                self.provider.destroy(token, "identity"),
            ):
                failure = await self.assertFailure(Deferred.fromCoroutine(call), RequestRejected)
                self.assertIn(repr(token), str(failure))
            self.assertRaises(RequestRejected, self.provider.connect, self.resource(token))
        self.assertEqual(list(self.root.iterdir()), [])
        self.assert_outside_is_kept()

    async def test_foreign_files_and_directories_are_not_listed(self) -> None:
        (self.root / "notes.txt").write_text("mine")
        (self.root / "someones-checkout").mkdir()
        self.write_entry("{}", token="not a token")
        (self.root / REGISTER / "README").write_text("mine")
        self.assertEqual(await self.listed(), {})

    async def test_destroying_a_foreign_directory_by_its_name_spares_it(self) -> None:
        foreign = self.root / TOKEN
        foreign.mkdir()
        (foreign / "precious").write_text("kept")
        await self.provider.destroy(TOKEN)
        self.assertEqual((foreign / "precious").read_text(), "kept")

    async def test_creating_where_something_foreign_lies_is_refused_with_a_remedy(self) -> None:
        foreign = self.root / TOKEN
        foreign.mkdir()
        (foreign / "precious").write_text("kept")
        creating = Deferred.fromCoroutine(self.provider.create(TOKEN, HostSpec()))
        text = str(await self.assertFailure(creating, Misconfigured))
        self.assertIn(str(foreign), text)
        self.assertIn("move it away", text)
        await self.provider.destroy(TOKEN)
        self.assertEqual((foreign / "precious").read_text(), "kept")
        self.assertEqual(await self.listed(), {})

    async def test_a_dangling_link_is_something_foreign_too(self) -> None:
        (self.root / TOKEN).symlink_to(self.around / "nowhere")
        creating = Deferred.fromCoroutine(self.provider.create(TOKEN, HostSpec()))
        await self.assertFailure(creating, Misconfigured)
        self.assertEqual(await self.listed(), {})
        await self.provider.destroy(TOKEN)
        self.assertTrue((self.root / TOKEN).is_symlink())
        self.assertFalse((self.around / "nowhere").exists())

    async def test_links_in_a_directory_are_removed_and_what_they_lead_to_is_not(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        (self.root / TOKEN / "link").symlink_to(self.outside)
        os.link(self.outside / "precious", self.root / TOKEN / "hard-link")
        await self.provider.destroy(TOKEN)
        self.assert_nothing_left()
        self.assert_outside_is_kept()

    async def test_a_build_that_put_a_link_in_place_of_its_directory_harms_nobody(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        (self.root / TOKEN).rmdir()
        (self.root / TOKEN).symlink_to(self.outside)
        await self.provider.destroy(TOKEN)
        self.assert_nothing_left()
        self.assert_outside_is_kept()

    async def test_what_a_build_made_read_only_is_removed_and_what_it_links_to_stays(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        cache = self.root / TOKEN / "cache"
        cache.mkdir()
        (cache / "module").write_text("")
        (cache / "link").symlink_to(self.outside)
        mode = self.outside.stat().st_mode
        cache.chmod(0o500)
        # The superuser may remove it all the same: let its first attempt fail as that of others.
        remove, refusals = shutil.rmtree, [PermissionError(errno.EACCES, "x")]

        def refuse_once(path: Path) -> None:
            if refusals:
                raise refusals.pop()
            remove(path)

        with mock.patch.object(shutil, "rmtree", refuse_once):
            await self.provider.destroy(TOKEN)
        self.assert_nothing_left()
        self.assert_outside_is_kept()
        self.assertEqual(self.outside.stat().st_mode, mode)

    async def test_the_other_blueprint_beside_it_is_left_alone(self) -> None:
        other = make_local_provider(self, self.around / "other")
        await other.create(TOKEN, HostSpec())
        host = other.connect(self.resource())
        tag = await self.start_sleeping(host)
        self.assertEqual(await self.listed(), {})
        await self.provider.destroy(TOKEN)
        self.assertTrue(await host.running(tag))
        await other.destroy(TOKEN)
        self.assertFalse(await host.running(tag))


class TestHalfDone(OnDirectory):
    """What a master left when it was killed is seen, and finished by the same verbs."""

    async def test_a_directory_that_was_only_registered_is_finished(self) -> None:
        self.write_entry(self.entry("making"))
        self.assertEqual(await self.listed(), {TOKEN: Health.STARTING})
        await self.provider.create(TOKEN, HostSpec())
        self.assertEqual(await self.listed(), {TOKEN: Health.READY})
        (observed,) = await self.provider.inventory()
        self.assertEqual(observed.created_at, 12.0)

    async def test_a_directory_that_was_made_but_not_yet_ready_is_finished(self) -> None:
        self.write_entry(self.entry("making"))
        (self.root / TOKEN).mkdir()
        self.assertEqual(await self.listed(), {TOKEN: Health.STARTING})
        await self.provider.create(TOKEN, HostSpec())
        self.assertEqual(await self.listed(), {TOKEN: Health.READY})

    async def test_a_half_made_directory_can_be_destroyed(self) -> None:
        self.write_entry(self.entry("making"))
        await self.provider.destroy(TOKEN)
        self.assert_nothing_left()

    async def test_an_entry_that_cannot_be_read_is_of_something_half_made(self) -> None:
        for content in ("", "{", "[]", "null", '{"progress": "sleeping", "created_at": 1}'):
            self.write_entry(content)
            self.assertEqual(await self.listed(), {TOKEN: Health.STARTING}, content)
            await self.provider.create(TOKEN, HostSpec())
            self.assertEqual(await self.listed(), {TOKEN: Health.READY}, content)
            self.write_entry(content)
            await self.provider.destroy(TOKEN)
            self.assert_nothing_left()

    async def test_what_is_being_removed_is_failing_until_nothing_is_left(self) -> None:
        self.write_entry(self.entry("removing"))
        (self.root / TOKEN).mkdir()
        self.assertEqual(await self.listed(), {TOKEN: Health.FAILING})
        (self.root / TOKEN).rename(self.root / REGISTER / f"{TOKEN}.gone")
        self.assertEqual(await self.listed(), {TOKEN: Health.FAILING})
        await self.provider.destroy(TOKEN)
        self.assertEqual(await self.listed(), {})
        self.assert_nothing_left()

    async def test_what_is_being_removed_does_not_come_back_by_asking_for_it(self) -> None:
        self.write_entry(self.entry("removing"))
        await self.provider.create(TOKEN, HostSpec())
        self.assertEqual(await self.listed(), {TOKEN: Health.FAILING})
        self.assertFalse((self.root / TOKEN).exists())

    async def test_a_removal_that_got_stuck_half_way_is_taken_up_again(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        (self.root / TOKEN / "file").write_text("")
        for step in ("_register", "_aside"):
            broken = mock.patch.object(local.Directories, step, side_effect=OSError(errno.EIO, "x"))
            with broken:
                await self.assertFailure(
                    Deferred.fromCoroutine(self.provider.destroy(TOKEN)), RetryLater
                )
            self.assertIn(TOKEN, await self.listed())
        await self.provider.destroy(TOKEN)
        self.assert_nothing_left()

    async def test_a_directory_that_somebody_deleted_is_failing(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        (self.root / TOKEN).rmdir()
        (observed,) = await self.provider.inventory()
        self.assertEqual(
            (observed.health, observed.reason), (Health.FAILING, "its directory is gone")
        )
        await self.provider.destroy(TOKEN)
        self.assert_nothing_left()

    async def test_processes_whose_directory_was_forgotten_are_listed_and_ended(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        host = self.provider.connect(self.resource())
        tag = await self.start_sleeping(host)
        (self.root / REGISTER / f"{TOKEN}.json").unlink()
        self.assertEqual(await self.listed(), {TOKEN: Health.FAILING})
        await self.provider.destroy(TOKEN)
        self.assertEqual(await self.listed(), {})
        self.assertFalse(await host.running(tag))

    async def test_another_master_sees_the_same(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        link = self.around / "by-another-path"
        link.symlink_to(self.root)
        other = make_local_provider(self, link)
        self.assertEqual(await other.inventory(), await self.provider.inventory())
        await other.destroy(TOKEN)
        self.assertEqual(await self.listed(), {})


class TestBuildDirectories(OnDirectory):
    def make(self, *names: str) -> None:
        """Make directories that workers have built in."""
        for name in names:
            directory = self.root / TOKEN / name
            (directory / "tests" / "build").mkdir(parents=True)
            (directory / "buildbot.tac").write_text("")

    async def left_after_a_lease(self, *names: str, keep: bool = False) -> list[str]:
        """Return which of some directories are left after a lease of slot 0."""
        provider = make_local_provider(self, self.root, keep=keep)
        await provider.create(TOKEN, HostSpec())
        self.make(*names)
        await provider.vacate(self.resource(), a_lease(0, self.resource()))
        return self.left()

    def left(self) -> list[str]:
        home = self.root / TOKEN
        return sorted(str(each.parent.relative_to(home)) for each in home.rglob("buildbot.tac"))

    @property
    def directories(self) -> list[str]:
        """What is there, but for what a host keeps for itself."""
        names = [each.name for each in (self.root / TOKEN).iterdir()]
        return sorted(name for name in names if not name.startswith(".drydock-"))

    async def test_they_are_kept_for_the_next_lease(self) -> None:
        left = await self.left_after_a_lease("worker-0", "worker-1", keep=True)
        self.assertEqual(left, ["worker-0", "worker-1"])

    async def test_if_they_are_not_kept_only_those_of_that_slot_are_removed(self) -> None:
        left = await self.left_after_a_lease("worker-0", "worker-1", "worker-10", "worker0")
        self.assertEqual(left, ["worker-1", "worker-10", "worker0"])
        self.assertFalse((self.root / TOKEN / "worker-0").exists())

    async def test_whatever_directory_a_pool_gives_its_workers(self) -> None:
        left = await self.left_after_a_lease("linux-0", "deep/down/worker-0", "linux-1", "a-0-1")
        self.assertEqual(left, ["a-0-1", "linux-1"])
        self.assertEqual(self.directories, ["a-0-1", "deep", "linux-1"])

    async def test_what_a_build_on_another_slot_made_is_not_taken_for_one(self) -> None:
        left = await self.left_after_a_lease("worker-1", "worker-1/tests/build/worker-0")
        self.assertEqual(left, ["worker-1", "worker-1/tests/build/worker-0"])

    async def test_one_that_a_build_has_taken_the_configuration_from_is_removed(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        self.make("linux-0")
        (self.root / TOKEN / "linux-0" / "buildbot.tac").rename(
            self.root / TOKEN / "linux-0" / "twistd.log"
        )
        await self.left_after_a_lease()
        self.assertEqual(self.directories, [])

    async def test_a_directory_that_is_no_workers_is_kept(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        (self.root / TOKEN / "cache-0").mkdir()
        await self.left_after_a_lease()
        self.assertTrue((self.root / TOKEN / "cache-0").exists())

    async def test_a_link_in_place_of_one_is_removed_and_what_it_leads_to_is_not(self) -> None:
        (self.outside / "buildbot.tac").write_text("")
        await self.provider.create(TOKEN, HostSpec())
        (self.root / TOKEN / "linux-0").symlink_to(self.outside)
        self.assertEqual(await self.left_after_a_lease(), [])
        self.assertFalse((self.root / TOKEN / "linux-0").is_symlink())
        self.assert_outside_is_kept()

    async def test_a_removal_that_got_stuck_half_way_is_taken_up_again(self) -> None:
        provider = make_local_provider(self, self.root, keep=False)
        await provider.create(TOKEN, HostSpec())
        self.make("linux-0")
        remove_tree = local.remove_tree

        def stuck(target: Path) -> None:
            if target.exists():
                (target / "buildbot.tac").unlink()
                raise OSError(errno.EIO, "x")

        self.patch(local, "remove_tree", stuck)
        vacating = Deferred.fromCoroutine(
            provider.vacate(self.resource(), a_lease(0, self.resource()))
        )
        await self.assertFailure(vacating, RetryLater)
        self.patch(local, "remove_tree", remove_tree)
        await provider.vacate(self.resource(), a_lease(0, self.resource()))
        self.assertEqual(self.directories, [])


class TestDiskErrors(OnDirectory):
    """What the disk says becomes one of our errors, with the path and a remedy."""

    async def error_of_create(self) -> DrydockError:
        creating = Deferred.fromCoroutine(self.provider.create(TOKEN, HostSpec()))
        error: DrydockError = await self.assertFailure(creating, DrydockError)
        self.assertIn(str(self.root), str(error))
        return error

    async def error_of_failing_write(self, number: int) -> DrydockError:
        failure = OSError(number, os.strerror(number), "the-file")
        with mock.patch.object(local, "write_atomically", side_effect=failure):
            error = await self.error_of_create()
        self.assertIn(os.strerror(number), str(error))
        self.assertIn("the-file", str(error))
        return error

    async def test_a_full_disk_is_no_capacity(self) -> None:
        for number in (errno.ENOSPC, errno.EDQUOT):
            error = await self.error_of_failing_write(number)
            self.assertIsInstance(error, NoCapacity)
            self.assertIn("free some space", str(error))

    async def test_a_directory_that_may_not_be_written_is_misconfigured(self) -> None:
        for number in (errno.EACCES, errno.EPERM, errno.EROFS):
            error = await self.error_of_failing_write(number)
            self.assertIsInstance(error, Misconfigured)
            self.assertIn("give the master's user that directory", str(error))

    async def test_any_other_error_is_tried_again(self) -> None:
        for number in (errno.EIO, errno.EMFILE, errno.ESTALE):
            self.assertIsInstance(await self.error_of_failing_write(number), RetryLater)

    async def test_a_root_that_is_a_file_is_misconfigured(self) -> None:
        self.root.rmdir()
        self.root.write_text("")
        self.assertIsInstance(await self.error_of_create(), Misconfigured)
        listing = Deferred.fromCoroutine(self.provider.inventory())
        error = await self.assertFailure(listing, Misconfigured)
        self.assertIn(str(self.root), str(error))

    async def test_a_root_that_is_not_there_yet_has_no_hosts_and_is_made(self) -> None:
        self.root.rmdir()
        self.assertEqual(await self.listed(), {})
        await self.provider.create(TOKEN, HostSpec())
        self.assertEqual(await self.listed(), {TOKEN: Health.READY})

    async def test_a_resource_can_be_removed_from_a_full_disk(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch.object(local, "write_atomically", side_effect=full):
            await self.provider.destroy(TOKEN)
        self.assert_nothing_left()


class TestAtTheSameTime(OnDirectory):
    """What overtakes a call does not mislead it."""

    async def test_a_create_that_another_one_overtakes_does_not_take_its_directory_for_foreign(
        self,
    ) -> None:
        others = [local.Directories(str(self.root))]

        class Overtaken(local.Directories):
            def entry(self, token: str) -> local.Entry | None:
                seen = super().entry(token)
                if others:
                    others.pop().make(token, 12.0)
                return seen

        Overtaken(str(self.root)).make(TOKEN, 13.0)
        self.assertEqual(await self.listed(), {TOKEN: Health.READY})

    async def test_a_removal_that_another_one_overtakes_is_no_failure(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        others = [local.Directories(str(self.root))]
        remove_tree = local.remove_tree

        def overtaken(target: Path) -> None:
            remove_tree(target)
            if others:
                others.pop().move_aside(TOKEN)

        self.patch(local, "remove_tree", overtaken)
        await self.provider.destroy(TOKEN)
        self.assertEqual(await self.listed(), {})
        self.assert_nothing_left()

    async def test_what_is_started_while_its_directory_is_destroyed_is_ended(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        host = self.provider.connect(self.resource())
        tags: list[str] = []
        started = threading.Event()
        move_aside = local.Directories.move_aside

        async def start() -> None:
            tags.append(await self.start_sleeping(host))
            started.set()

        def start_first(directories: local.Directories, token: str) -> None:
            reactor.callFromThread(lambda: Deferred.fromCoroutine(start()))
            assert started.wait(120)
            move_aside(directories, token)

        self.patch(local.Directories, "move_aside", start_first)
        await self.provider.destroy(TOKEN)
        self.assertFalse(await host.running(tags[0]))
        self.assert_nothing_left()

    async def test_processes_end_in_order_while_their_directory_is_still_there(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        host = self.provider.connect(self.resource())
        script = (
            f"trap 'test -d {self.root / TOKEN} && touch {self.outside}/orderly; exit' TERM; "
            "touch up; while :; do sleep 0.1; done"
        )
        await host.start(["sh", "-c", script], tag=f"orderly-{uuid4().hex}")
        while not await host.exists("up"):
            await deferLater(reactor, 0.05)
        await self.provider.destroy(TOKEN)
        self.assertTrue((self.outside / "orderly").exists())
        self.assert_nothing_left()


class TestLocalProcesses(OnDirectory):
    def local_provider(self, definition: LocalProcesses) -> LocalProvider:
        threads = ThreadPool(1, 4)
        threads.start()
        self.addCleanup(threads.stop)
        return definition.provider(
            Surroundings(
                reactor=reactor, basedir=str(self.root), thread_pool=threads, uniform=lambda: 0.5
            )
        )

    async def test_resources_are_in_a_directory_of_the_blueprints_name(self) -> None:
        await self.local_provider(LocalProcesses("linux")).create(TOKEN, HostSpec())
        self.assertTrue((self.root / "drydock" / "linux" / TOKEN).is_dir())

    async def test_two_blueprints_with_one_directory_do_not_see_each_other(self) -> None:
        one, other = (
            self.local_provider(LocalProcesses(name, directory="here")) for name in ("one", "other")
        )
        await one.create(TOKEN, HostSpec())
        self.assertEqual(await other.inventory(), [])
        await other.destroy(TOKEN)
        self.assertEqual(len(await one.inventory()), 1)

    def test_the_planner_is_told_to_vacate_and_not_to_prepare(self) -> None:
        blueprint = LocalProcesses("linux").blueprint(0.0)
        self.assertEqual((blueprint.vacates, blueprint.prepares), (True, False))

    def test_wrong_fields_are_named(self) -> None:
        problems = LocalProcesses("linux", directory=5, stop_grace=-1.0).problems
        self.assertEqual({each.field for each in problems}, {"directory", "stop_grace"})


del OnDirectory  # or it would be collected, without tests
