from importlib.metadata import distribution

from buildbot.plugins import util, worker
from twisted.trial.unittest import SynchronousTestCase

import buildbot_drydock
from buildbot_drydock.latent.worker import DrydockWorker
from buildbot_drydock.www.authz import DrydockEndpointMatcher

NAME = "buildbot-drydock"


class EntryPointTests(SynchronousTestCase):
    def test_every_entry_point_leads_somewhere(self) -> None:
        points = distribution(NAME).entry_points
        self.assertEqual(
            {point.group for point in points},
            {"buildbot_drydock.blueprints", "buildbot.worker", "buildbot.util", "console_scripts"},
        )
        for point in points:
            self.assertTrue(callable(point.load()), point)

    def test_buildbot_offers_our_classes_as_plugins(self) -> None:
        for name in buildbot_drydock.__all__:
            self.assertIs(getattr(util, name), getattr(buildbot_drydock, name))
        self.assertIs(util.DrydockEndpointMatcher, DrydockEndpointMatcher)
        self.assertIs(worker.DrydockWorker, DrydockWorker)
