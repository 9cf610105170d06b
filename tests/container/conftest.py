"""The images under test: those of this tree, or the one that PROXY_TEST_IMAGE names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import engine

# An image that was built elsewhere is tested as it is, before it is published.
GIVEN = os.environ.get("PROXY_TEST_IMAGE")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave builds out of a test's own deadline: they have theirs. Test what is about the image, if one is given."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.timeout(300, func_only=True))
    if GIVEN:
        about_it = {"prod", "image"}
        others = [item for item in ours if not about_it & set(getattr(item, "fixturenames", ()))]
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=others)


@pytest.fixture(scope="session")
def needs_engine() -> None:
    """Skip where there is no engine; where CI is set, there must be one."""
    if engine.client() is None and not os.environ.get("CI"):
        pytest.skip("no container engine with BuildKit answers (docker info)")
    assert engine.client() is not None, "no container engine with BuildKit answers (docker info)"


@pytest.fixture(scope="session")
def images(needs_engine: None) -> None:  # noqa: ARG001  # a fixture has no other way to ask for another
    """Build all images of this tree."""
    engine.build("prod", "distroless", "ci", "dev")


def named(request: pytest.FixtureRequest, target: str) -> str:
    """Return the image of that target, or the one that is given, which nobody builds."""
    request.getfixturevalue("needs_engine" if GIVEN else "images")
    return GIVEN or f"{engine.IMAGE}:{target}"


@pytest.fixture(scope="session")
def prod(request: pytest.FixtureRequest) -> str:
    """The image that is deployed."""
    return named(request, "prod")


@pytest.fixture(scope="session", params=["given"] if GIVEN else ["prod", "distroless"])
def image(request: pytest.FixtureRequest) -> str:
    """Each of the images that are deployed."""
    return named(request, request.param)
