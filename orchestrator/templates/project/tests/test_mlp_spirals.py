"""The job learns its dataset, on two workers."""

from pathlib import Path

from orchestrator import launch

PROJECT = Path(__file__).resolve().parents[1]


def test_it_tells_the_spirals_apart(tmp_path, monkeypatch):
    # Jobs and datasets are those of the project around the working folder.
    monkeypatch.chdir(PROJECT)
    report = launch("mlp-spirals", workers=2, storage=str(tmp_path))
    assert report.test_rows == 1000
    assert report.accuracy > 0.97
