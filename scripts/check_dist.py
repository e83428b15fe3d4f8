"""Compare the built sdist and wheel with the repository: what git has, they must have.

python scripts/check_dist.py DIRECTORY
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGE = "buildbot_drydock"


def tracked(folder: str) -> set[str]:
    """Return the files of *folder* that git tracks and that are there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", folder], check=True, capture_output=True, text=True
    ).stdout.split("\0")
    return {name for name in listed if name and Path(name).exists()}


def in_wheel(directory: Path) -> set[str]:
    (path,) = directory.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


def in_sdist(directory: Path) -> set[str]:
    (path,) = directory.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        return {name.partition("/")[2] for name in sdist.getnames()}


def main(directory: Path) -> int:
    package = tracked(PACKAGE)
    wheel = in_wheel(directory)
    problems = [f"the wheel lacks {name}" for name in sorted(package - wheel)]
    problems += [
        f"the sdist lacks {name}"
        for name in sorted((package | tracked("tests") | tracked("scripts")) - in_sdist(directory))
    ]
    if not any(name.endswith("LICENSE") for name in wheel):
        problems.append("the wheel lacks LICENSE")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(package)} files of {PACKAGE} compared with {directory}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
