"""The notebooks run from top to bottom in an empty folder, what they write is there, and what their text says of the
outputs is what the outputs say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


@pytest.mark.filterwarnings("ignore")  # Jupyter's own
def test_the_quick_start_runs_and_writes_its_report(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra [notebook] brings Jupyter's runner")
    client = pytest.importorskip("nbclient", reason="the extra [notebook] brings Jupyter's runner")
    pytest.importorskip("bokeh_sampledata", reason="the extra [demo] brings the sample prices")
    notebook = nbformat.read(NOTEBOOKS / "01_quickstart.ipynb", as_version=4)
    client.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs), "the plot is drawn in the notebook"
    page = (tmp_path / "quickstart" / "quickstart.html").read_text(encoding="utf-8")
    assert "SmaCross" in page


# What the text of each notebook tells about its outputs: words that must stand in them, and how many pictures.
TOLD = {
    "02_sweep_and_heatmap": (4, [
        "best sharpe: fast=5 slow=170", "best sharpe: fast=10 slow=80", "bought and held", "62%",
    ]),
    "03_walk_forward_and_overfitting": (1, [
        "never opened", "correlation of the two over the windows: -0.81", "probability of overfitting 62%",
        "first opening of the holdout", "again: SmaCross(fast=5, slow=100) opened this holdout",
    ]),
    "04_your_own_data_and_features": (2, [
        "6 set aside", "OHLC_ORDER", "NO_SESSION", "DUPLICATE_CONFLICT", "again: 0 added, 0 replaced",
        "no as-of column", "eps passes the check", "eps_early passes the check",
    ]),
    "06_backtest_to_paper": (0, [
        "the same", "not promoted:", "killed: -9", "goes on", "chain, tables and snapshots agree", "NOT_PROMOTED",
    ]),
    "07_kis": (0, [
        "promoted to live_capped", "promoted to live", "KIS paper", "KIS real", "chain, tables and snapshots agree",
        "equity at the close", "all four the same", "confirmed     ORDER_CODES", "0 refuted",
    ]),
    "05_a_factor_from_idea_to_verdict": (3, [
        "nothing looks ahead", "full-sample normalisation", "4 of 9 points do not stand", "5 of 9 points do not stand",
    ]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # Jupyter's own
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name[:2] in ("06", "07") else name for name in TOLD]
)
def test_a_research_notebook_runs_and_shows_what_its_text_tells(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra [notebook] brings Jupyter's runner")
    client = pytest.importorskip("nbclient", reason="the extra [notebook] brings Jupyter's runner")
    pytest.importorskip("bokeh_sampledata", reason="the extra [demo] brings the sample prices")
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("QUANTKIT_RUNS", raising=False)
    client.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    nbformat.write(notebook, tmp_path / "run.ipynb")  # looked at for keys, as all that it left is
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "\n".join(map(_text, outputs))
    pictures, words = TOLD[name]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == pictures
    assert [word for word in words if word not in text] == []
    assert str(tmp_path) not in text, "an output names a folder of this machine"
    assert "Warning" not in text, "an output shows a warning"


def _text(output: Any) -> str:
    """All words of an output."""
    data = output.get("data", {})
    return "\n".join([output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")])


def test_notebooks_are_committed_without_outputs() -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra [notebook] brings Jupyter's runner")
    found = sorted(NOTEBOOKS.glob("*.ipynb"))
    assert found
    for path in found:
        notebook = nbformat.read(path, as_version=4)
        assert all(not cell.get("outputs") for cell in notebook.cells), path.name
