"""The notebooks run from top to bottom in an empty folder, and what they write is there."""

from __future__ import annotations

from pathlib import Path

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


def test_notebooks_are_committed_without_outputs() -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra [notebook] brings Jupyter's runner")
    found = sorted(NOTEBOOKS.glob("*.ipynb"))
    assert found
    for path in found:
        notebook = nbformat.read(path, as_version=4)
        assert all(not cell.get("outputs") for cell in notebook.cells), path.name
