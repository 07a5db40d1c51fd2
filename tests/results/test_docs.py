"""What docs/results.md shows: other tools read the folders as they are."""

import importlib.util
import re
from pathlib import Path

import pytest
from sample_reports import sample

from orchestrator.results.tables import ResultsStore
from orchestrator.storage.storage import Storage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

#: How many rows each example finds of two runs of one job, of two epochs each.
FOUND = {"newest": 2, "metrics": 4, "best": 1, "reports": 2, "curve": 2}


@pytest.mark.parametrize(
    "code", BLOCKS, ids=lambda code: re.search(r"(?:import|from) (\w+)", code)[1]
)
def test_example_reads_what_runs_have_written(code, tmp_path, monkeypatch):
    for module in re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAUNCH_JOB_STORAGE", raising=False)
    store = ResultsStore(storage=Storage.at("runs-store"))
    for run_id in "ab":
        store.record(sample(run_id, job="lstm-mnist"))
    names = {}
    exec(code, names)
    told = {name: names[name] for name in FOUND if name in names}
    assert told
    counts = {name: len(found) for name, found in told.items() if hasattr(found, "__len__")}
    assert counts == {name: FOUND[name] for name in counts}
