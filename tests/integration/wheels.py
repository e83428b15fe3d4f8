"""Wheels for tests, made without any package index."""

from __future__ import annotations

import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

_NOT_IN_WHEELS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")


def fake_worker(directory: Path, version: str, *, works: bool = True) -> None:
    """Write a wheel of a buildbot-worker that is nothing but importable."""
    dist_info = f"buildbot_worker-{version}.dist-info"
    _write_wheel(
        directory / f"buildbot_worker-{version}-py3-none-any.whl",
        dist_info,
        {
            "buildbot_worker/__init__.py": f"version = {version!r}\n".encode(),
            "buildbot_worker/bot.py": b"" if works else b"import nothing_of_that_name\n",
            "twisted/__init__.py": b"",
            "twisted/scripts/__init__.py": b"",
            "twisted/scripts/twistd.py": b"",
            f"{dist_info}/METADATA": (
                f"Metadata-Version: 2.1\nName: buildbot-worker\nVersion: {version}\n".encode()
            ),
            f"{dist_info}/WHEEL": (
                b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            ),
        },
    )


def installed_wheels(directory: Path, name: str) -> None:
    """Pack what is installed here under that name, and all that it requires, into wheels."""
    waiting, seen = [name], set()
    while waiting:
        distribution = metadata.distribution(waiting.pop())
        key = distribution.metadata["Name"].lower().replace("_", "-")
        if key in seen:
            continue
        seen.add(key)
        _pack(directory, distribution)
        for line in distribution.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)


def _pack(directory: Path, distribution: metadata.Distribution) -> None:
    contents = {}
    dist_info = ""
    for file in distribution.files or ():
        path = file.as_posix()
        if ".." in file.parts or path.endswith(".pyc") or file.is_absolute():
            continue  # scripts, and what Python compiles again
        if file.parts[0].endswith(".dist-info"):
            dist_info = file.parts[0]
            if file.name in _NOT_IN_WHEELS:
                continue
        contents[path] = file.read_binary()
    stem = dist_info.removesuffix(".dist-info")
    lines = (distribution.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(": ")[2].split("-") for line in lines if line.startswith("Tag: ")]
    tag = "-".join(".".join(dict.fromkeys(parts)) for parts in zip(*tags, strict=True))
    _write_wheel(directory / f"{stem}-{tag}.whl", dist_info, contents)


def _write_wheel(path: Path, dist_info: str, contents: dict[str, bytes]) -> None:
    record = "".join(f"{name},,\n" for name in [*contents, f"{dist_info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in contents.items():
            wheel.writestr(name, content)
        wheel.writestr(f"{dist_info}/RECORD", record)
