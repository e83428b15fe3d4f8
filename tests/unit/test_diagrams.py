import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.lifecycle import LEASE_MOVES, RESOURCE_MOVES
from buildbot_drydock.model import LeaseStatus, ResourceStatus

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "scripts" / "generate_diagrams.py"
CONCEPTS = ROOT / "docs" / "concepts.md"


class DiagramTests(SynchronousTestCase):
    def test_the_diagrams_are_what_the_tables_say(self) -> None:
        command = [sys.executable, str(GENERATOR), "--check"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_the_document_has_every_move_and_no_other(self) -> None:
        wanted = [
            *(
                f"{status.value} --> {following.value}: {event.value}"
                for status, row in RESOURCE_MOVES.items()
                for event, following in row.items()
                if isinstance(following, ResourceStatus)
            ),
            *(
                f"{status.value} --> {following.value}: {event.value}"
                for status, row in LEASE_MOVES.items()
                for event, following in row.items()
                if isinstance(following, LeaseStatus)
            ),
        ]
        lines = CONCEPTS.read_text("utf-8").splitlines()
        drawn = [each.strip() for each in lines if " --> " in each and "[*]" not in each]
        self.assertEqual(sorted(drawn), sorted(wanted))
