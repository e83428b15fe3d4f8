"""The Python that stands by in a pod, on a real cluster."""

from __future__ import annotations

from tests.kubernetes_pods import InPods
from tests.prestarting import Prestarting


class TestInPods(InPods, Prestarting):
    def setUp(self) -> None:
        super().setUp()
        self.begin()
