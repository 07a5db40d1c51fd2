"""The Grafana dashboard that comes along shows every metric that ranks export."""

import json
from pathlib import Path

from orchestrator.training.gauge_names import GAUGES

DASHBOARD = Path(__file__).resolve().parents[1] / "docs" / "grafana.json"


def test_each_exported_metric_has_a_panel():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    # Ray puts its name before that of each metric.
    for name in GAUGES:
        assert any(f'ray_{name}{{run=~"$run"}}' in expression for expression in shown), name
