"""Fixtures that several folders of tests share, and the profiles of Hypothesis: a modest number of examples by default,
HYPOTHESIS_PROFILE=deep for thousands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from quantkit.cli.app import run
from tests.planted import watched

REPOSITORY = Path(__file__).parents[1]
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=QUIET, derandomize=True)
settings.register_profile(
    "deep", max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "2000")), deadline=None, suppress_health_check=QUIET
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's cache folder, out of the user's home: models, and what a holdout was opened for."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("QUANTKIT_CACHE")
    os.environ["QUANTKIT_CACHE"] = str(folder)
    yield folder
    os.environ.pop("QUANTKIT_CACHE") if before is None else os.environ.update(QUANTKIT_CACHE=before)


@pytest.fixture(autouse=True)
def no_secret_comes_out(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keys of KIS stand in nothing that any test shows or leaves; see `planted`."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    with watched() as watch:
        yield
    assert not watch.leaks(folder)


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `quantkit demo` has run: data/lake and reports/ as a person finds them. Treat as read-only."""
    folder = tmp_path_factory.mktemp("demo")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert run(["demo", "--json"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def in_demo(demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test with `demo_folder` as the current folder."""
    monkeypatch.chdir(demo_folder)
    return demo_folder


@pytest.fixture(scope="session")
def sma_cross() -> str:
    """Path of the example strategy."""
    return str(REPOSITORY / "strategies" / "sma_cross.py")
