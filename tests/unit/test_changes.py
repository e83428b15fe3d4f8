from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.model import Observed, ResourceStatus
from buildbot_drydock.store.changes import moved_resource
from buildbot_drydock.testing.builders import NOW, resource


class TestMovedResource(SynchronousTestCase):
    row = resource(identity="i-1", address="10.0.0.7", data={"zone": "a"})

    def test_what_is_known_of_a_host_stays_known_if_the_news_does_not_tell(self) -> None:
        for news in (None, Observed(token="token-1")):
            moved = moved_resource(self.row, ResourceStatus.BROKEN, NOW, observed=news)
            self.assertEqual(
                (moved.identity, moved.address, moved.data), ("i-1", "10.0.0.7", {"zone": "a"})
            )

    def test_what_the_news_tells_is_known_from_then_on(self) -> None:
        news = Observed(token="token-1", identity="i-2", address="10.0.0.8", data={"zone": "b"})
        moved = moved_resource(self.row, ResourceStatus.ACTIVE, NOW, observed=news)
        self.assertEqual(
            (moved.identity, moved.address, moved.data), ("i-2", "10.0.0.8", {"zone": "b"})
        )
