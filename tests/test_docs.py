"""What the README and the pages of `docs/` show works as shown, and their links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from quantkit import runs
from quantkit.cli.app import run

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language on a page."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (REPOSITORY / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.fixture
def workplace(demo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the repository after the demo."""
    shutil.copytree(demo_folder, tmp_path / "place")
    shutil.copytree(
        REPOSITORY / "strategies", tmp_path / "place" / "strategies", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


@pytest.mark.parametrize(
    ("page", "least"),
    [("README.md", 1), ("docs/index.md", 3), ("docs/research.md", 10), ("docs/rules.md", 2), ("docs/strategies.md", 2)],
)
def test_python_on_the_page_runs_from_top_to_bottom(
    page: str, least: int, workplace: Path, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: runs.log_to(None))
    found = blocks(page, "python")
    assert len(found) >= least
    names: dict[str, object] = {"__name__": "page"}
    for block in found:
        exec(compile(block, page, "exec"), names)
    assert page != "README.md" or (workplace / "report.html").stat().st_size > 10_000


def shown_commands() -> list[str]:
    lines = [line for block in blocks("docs/cli.md", "console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def test_commands_of_the_pages_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = [line for block in blocks("README.md", "") for line in block.splitlines() if "AAPL" in line or "IBM" in line]
    commands = [*shown_commands(), *told]
    assert len(commands) >= 17
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "quantkit"
        assert run(arguments) == 0, f"{command}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_to_other_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_first_page_leads_to_every_other_one() -> None:
    index = (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    missing = [page.name for page in (REPOSITORY / "docs").glob("*.md") if f"({page.name})" not in index]
    assert missing == ["index.md"]


def test_every_word_of_the_option_table_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backtest", "--help"]) == 0
    known = capsys.readouterr().out
    table = (
        (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8").split("| option | meaning |")[1].split("\n\n")[0]
    )
    for option in set(re.findall(r"--[a-z][a-z-]+", table)):
        assert option in known
