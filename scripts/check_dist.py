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
FRONTEND = f"{PACKAGE}/www/frontend/"
BUILT = {f"{PACKAGE}/www/static/{name}" for name in ("scripts.js", "styles.css", "made-of.txt")}


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
    sources = tracked(PACKAGE)
    # The web pages are in the wheel as they are built, and in the sdist in both forms.
    package = {name for name in sources if not name.startswith(FRONTEND)} | BUILT
    sources |= BUILT | tracked("tests") | tracked("scripts") | tracked("build_backend")
    wheel, sdist = in_wheel(directory), in_sdist(directory)
    problems = [f"the wheel lacks {name}" for name in sorted(package - wheel)]
    problems += [f"the sdist lacks {name}" for name in sorted(sources - sdist)]
    problems += [
        f"{kind} has {name}, which is only for building"
        for kind, names in (("the wheel", wheel), ("the sdist", sdist))
        for name in sorted(names)
        if "/node_modules" in name or (kind == "the wheel" and name.startswith(FRONTEND))
    ]
    if not any(name.endswith("LICENSE") for name in wheel):
        problems.append("the wheel lacks LICENSE")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(package)} files of {PACKAGE} compared with {directory}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
