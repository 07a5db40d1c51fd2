"""docs/performance.md: the tables and figures of what is kept beside it, in `performance/`.

What people write there stays: only the text between the page's two marks is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.figures import draw
from harness.findings import FINDINGS, Finding, ratio_text
from harness.processes import ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured: made by make bench-full -->", "<!-- /measured -->"


def write_page(names: Sequence[str]) -> None:
    """Write what is known of some benchmarks into the page, in their order."""
    paths = [FINDINGS / f"{name}.json" for name in names]
    findings = [Finding.read(path) for path in paths if path.is_file()]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    made = "\n".join(_measured(findings))
    PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}")
    print(f"wrote {PAGE.relative_to(ROOT)}")


def _measured(findings: Sequence[Finding]) -> Iterator[str]:
    yield "| question | ratio of | median | least – most | target | |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for finding in findings:
        title = finding.title
        for ratio in finding.ratios:
            yield f"| {title} | {_ratio_cells(ratio)} |"
            title = ""
    for finding in findings:
        yield f"\n### {finding.title}"
        yield f"{finding.method.strip()}\n"
        if finding.figure is not None:
            path = FINDINGS / f"{finding.name}.svg"
            draw(finding.figure, path)
            yield f"![{finding.figure['title']}]({path.relative_to(PAGE.parent)})\n"
        yield f"| {finding.unit} | median | least – most | rounds |"
        yield "| --- | ---: | ---: | ---: |"
        for who, spread in finding.spreads.items():
            ends = f"{_figure(spread.min)} – {_figure(spread.max)}"
            yield f"| {who} | {_figure(spread.median)} | {ends} | {spread.rounds} |"
        yield f"\nMeasured {finding.time[:10]} {_on(finding.machine)}."


def _ratio_cells(ratio: Mapping[str, Any]) -> str:
    spread = ratio["ratio"]
    verdict = {None: "", True: "met", False: "**missed**"}[ratio["met"]]
    return " | ".join(
        (
            f"{ratio['ours']} / {ratio['peer']}",
            f"**{ratio_text(spread['median'], ratio['target'])}**",
            f"{ratio_text(spread['min'])} – {ratio_text(spread['max'])}",
            ratio["target"] or "",
            verdict,
        )
    )


def _figure(value: float) -> str:
    """Return a value with three digits that say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _on(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"at commit {machine['commit']}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}, "
        f"{packages}; load at the end {machine['load']}"
    )
