from importlib.metadata import distribution

from buildbot.plugins import steps, util, worker
from buildbot.plugins.db import get_plugins
from buildbot.www.plugin import Application
from twisted.trial.unittest import SynchronousTestCase

import buildbot_drydock
from buildbot_drydock import steps as our_steps
from buildbot_drydock.latent.worker import DrydockWorker
from buildbot_drydock.www.application import ep
from buildbot_drydock.www.authz import DrydockEndpointMatcher

NAME = "buildbot-drydock"


class EntryPointTests(SynchronousTestCase):
    def test_every_entry_point_leads_somewhere(self) -> None:
        points = distribution(NAME).entry_points
        self.assertEqual(
            {point.group for point in points},
            {
                *("buildbot_drydock.blueprints", "buildbot.worker", "buildbot.util"),
                *("buildbot.www", "buildbot.steps", "console_scripts"),
            },
        )
        for point in points:
            loaded = point.load()
            self.assertTrue(callable(loaded) or isinstance(loaded, Application), point)

    def test_buildbot_offers_our_classes_as_plugins(self) -> None:
        for name in buildbot_drydock.__all__:
            self.assertIs(getattr(util, name), getattr(buildbot_drydock, name))
        self.assertIs(util.DrydockEndpointMatcher, DrydockEndpointMatcher)
        self.assertIs(worker.DrydockWorker, DrydockWorker)
        for name in our_steps.__all__:
            self.assertIs(getattr(steps, name), getattr(our_steps, name))

    def test_buildbot_finds_our_pages_which_were_built_with_the_package(self) -> None:
        found = get_plugins("www", None, load_now=False).get("drydock")
        self.assertIs(found, ep)
        self.assertTrue(ep.is_built)
        self.assertEqual(ep.version.strip(), distribution(NAME).version)

    def test_the_pages_use_the_react_of_buildbot_and_bring_none(self) -> None:
        script = (ep.static_dir / "scripts.js").read_text("utf-8")
        self.assertIn("BuildbotPluginSupport", script)
        self.assertNotIn("jsx-runtime", script)
        self.assertLess(len(script), 400_000)
