"""Which blueprints a master has, over reconfigurations."""

from __future__ import annotations

from typing import cast

from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.catalogue import Catalogue
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.synthetic import SyntheticPool

NOON = 1_750_000_000.0


class CatalogueTests(SynchronousTestCase):
    def setUp(self) -> None:
        surroundings = Surroundings(
            reactor=Clock(),
            basedir=self.id(),
            thread_pool=cast(ThreadPool, None),  # nothing here blocks
            uniform=lambda: 0.0,
        )
        self.catalogue = Catalogue(lambda: surroundings)

    def configure(self, *names: str) -> None:
        self.catalogue.configure([SyntheticPool(name, limit=2, min_ready=1) for name in names])

    def blueprints(self) -> list[tuple[str, bool, int]]:
        found = self.catalogue.blueprints(NOON)
        return [(each.name, each.retired, each.min_ready) for each in found]

    def test_what_has_left_keeps_nothing_ready_until_it_is_forgotten(self) -> None:
        self.configure("linux", "gpu")
        self.configure("gpu")
        self.assertEqual(self.blueprints(), [("gpu", False, 1), ("linux", True, 0)])
        self.catalogue.forget_all_but({"linux"})
        self.assertEqual(len(self.blueprints()), 2)
        self.catalogue.forget_all_but(set())
        self.assertEqual(self.blueprints(), [("gpu", False, 1)])
        self.assertEqual(list(self.catalogue.providers), ["gpu"])

    def test_what_comes_back_is_there_once_with_the_provider_that_it_had(self) -> None:
        self.configure("linux", "gpu")
        before = self.catalogue.providers["linux"]
        self.configure("gpu")
        self.configure("gpu", "linux")
        self.assertEqual(self.blueprints(), [("gpu", False, 1), ("linux", False, 1)])
        self.assertIs(self.catalogue.providers["linux"], before)
