"""A browser for each file of tests, and visitors whose consoles have to stay free of errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

Visit: TypeAlias = Callable[..., Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = os.environ.get("DRYDOCK_TEST_CHROMIUM")
    if not path:
        pytest.skip("needs a browser: run it with scripts/with_browser.sh")
    from tests.browser.visiting import browser

    # One for each file: while it is there, this thread has a loop of asyncio.
    with browser(path) as launched:
        yield launched


@pytest.fixture(scope="module")
def site(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A master that runs, for all tests of the file."""
    from tests.browser.site import Site

    started = Site(tmp_path_factory.mktemp("site"))
    try:
        started.start()
        yield started
    finally:
        started.end()


@pytest.fixture
def visit(chromium: Any, site: Any) -> Iterator[Visit]:
    """Open windows: ``visit(OLGA)`` as a user, ``visit()`` as anybody."""
    from tests.browser.visiting import Visitor

    visitors: list[Visitor] = []

    def opened(user: str = "", **options: Any) -> Visitor:
        visitors.append(Visitor(chromium, site, user=user, **options))
        return visitors[-1]

    yield opened
    for each in visitors:
        each.close()
