import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.definition import CommonFields
from buildbot_drydock.workerpool import PoolFields

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "scripts" / "generate_reference.py"
REFERENCE = ROOT / "docs" / "reference.md"


class ReferenceTests(SynchronousTestCase):
    def test_the_reference_is_what_the_schemas_say(self) -> None:
        command = [sys.executable, str(GENERATOR), "--check"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_the_reference_has_all_fields(self) -> None:
        text = REFERENCE.read_text("utf-8")
        for field in (*CommonFields.model_fields, *PoolFields.model_fields):
            self.assertIn(f"\n| `{field}` | ", text)
