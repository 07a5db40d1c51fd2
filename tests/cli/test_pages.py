"""The pages in a real browser: nothing in its console, no request that leaves the machine."""

import base64
import dataclasses
import html
import io
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from sample_runs import CLASSES, make_run

from orchestrator.data.prepare import prepare
from orchestrator.data.source import Column, Source, in_memory
from orchestrator.records.metric_log import MetricLog
from orchestrator.results.comparison import compare
from orchestrator.results.page.charts import ticks
from orchestrator.results.page.compare_page import compare_page
from orchestrator.results.page.run_page import run_page
from orchestrator.results.page.time_bar import time_bar, totals
from orchestrator.results.report import Report
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage

#: Widths of a phone's screen and of a laptop's.
WIDTHS = (390, 1280)

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"),
)


#: Who asks for what no page has asked for, as Chromium's log has it.
_BROWSER = "not an origin"


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """Runs on 30 pictures of 8 × 8 pixels, and one that failed, with a name to be escaped."""
    storage = Storage(path=tmp_path_factory.mktemp("store"))
    rows = {
        "image": np.arange(30 * 64, dtype=np.uint8).reshape(30, 8, 8),
        "label": np.zeros(30, int),
    }
    source = Source(
        features=(Column(name="image", dtype="uint8", shape=(8, 8)),),
        label=Column(name="label", dtype="int64"),
        classes=CLASSES,
        splits={"train": in_memory(rows), "test": in_memory(rows)},
        digest="d",
        origin="made up",
    )
    mark = prepare("photos", source, streams=4, storage=storage).manifest.fingerprint
    asked = datetime(2026, 1, 1, tzinfo=UTC)
    name = "<script>console.error('escaped?')</script>"
    for run_id, wanted in (
        ("run-a", {"name": name}),
        ("run-b", {"params": {"units": 16}}),
        ("run-c", {"state": RunState.FAILED}),
    ):
        run = make_run(storage, run_id, asked=asked, **wanted)
        dataclasses.replace(Report.read(run), dataset_fingerprint=mark).write(run)
    log = MetricLog(path=storage.run("run-a").new_attempt().metrics)
    for step in (1, 2):
        log.append(epoch=1, step=step, metrics={"loss": 2.0 / step, "accuracy": 0.4})
    return storage


@pytest.fixture(scope="module")
def pages(storage):
    runs = [storage.run(f"run-{letter}") for letter in "abc"]
    return {
        "run": run_page(runs[0], storage),
        "failed": run_page(runs[2], storage),
        "comparison": compare_page(compare(runs)),
    }


def browse(folder, pages):
    """Open pages in Chromium, each on a phone and on a laptop.

    Returns:
        Lines of the console, addresses that were asked for, and of each page and width: how wide
        its content is.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here (Debian: apt-get install chromium)")
    frames = "".join(
        f'<iframe id="{name}-{width}" style="width:{width}px;height:3000px;border:0" '
        f'srcdoc="{html.escape(page)}"></iframe>'
        for name, page in pages.items()
        for width in WIDTHS
    )
    script = (
        "onload = () => { document.title = JSON.stringify(Object.fromEntries("
        "[...document.querySelectorAll('iframe')].map(f => "
        "[f.id, f.contentDocument.documentElement.scrollWidth]))) }"
    )
    (folder / "all.html").write_text(f"<title></title>{frames}<script>{script}</script>")
    done = subprocess.run(
        [
            *(chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}"),
            *(f"--log-net-log={folder / 'net.json'}", (folder / "all.html").as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    console = re.findall(r"CONSOLE[^\n]*", done.stderr)
    events = json.loads((folder / "net.json").read_text())["events"]
    told = [event.get("params", {}) for event in events]
    # The browser has requests of its own; they come from no page.
    asked = {p["url"] for p in told if p.get("initiator", _BROWSER) != _BROWSER}
    asked = {url for url in asked if not url.startswith(("file:", "data:"))}
    widths = json.loads(html.unescape(re.search("<title>(.*?)</title>", done.stdout)[1]))
    return console, asked, widths


@pytest.mark.slow
def test_browser_has_nothing_to_complain_of_and_nobody_to_ask(tmp_path, pages):
    console, asked, widths = browse(tmp_path, pages)
    assert console == []
    assert asked == set()
    # On a phone too, nothing is wider than the screen; wide tables scroll in their cards.
    assert len(widths) == len(pages) * len(WIDTHS)
    assert {n: w for n, w in widths.items() if w > int(n.rpartition("-")[2])} == {}


@pytest.mark.slow
def test_browser_tells_of_a_page_that_asks_or_fails(tmp_path):
    """What the other test looks for is seen where it is."""
    bad = "<img src='http://127.0.0.1:9/x.png'><script>console.error('no')</script>"
    wide = "<div style='width:3000px'>wide</div>"
    console, asked, widths = browse(tmp_path, {"bad": bad + wide})
    assert any("no" in line for line in console)
    assert "http://127.0.0.1:9/x.png" in asked
    assert widths["bad-390"] >= 3000


def test_mistake_is_shown_as_the_picture_it_is(pages):
    (address,) = re.findall(r'src="data:image/png;base64,([^"]+)"', pages["run"])
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(address))))
    # Row 17 of the test split, as its shard has it.
    assert pixels.tolist() == np.arange(17 * 64, 18 * 64).astype(np.uint8).reshape(8, 8).tolist()


def test_page_of_a_run_whose_shards_are_gone_says_so(storage, tmp_path):
    elsewhere = Storage(path=tmp_path)
    assert "their shards are gone" in run_page(storage.run("run-a"), elsewhere)


def test_names_are_escaped(pages):
    for page in pages.values():
        assert "<script>" not in page
    assert "&lt;script&gt;" in pages["comparison"]


def test_failed_run_says_why(pages):
    assert "Input [3] is wrong." in pages["failed"]
    assert "rank 1 on here" in pages["failed"]


def test_each_moment_is_shown_once_and_all_of_them():
    timeline = [
        {"phase": name, "after_s": begin, "seconds": end - begin}
        for name, begin, end in (
            ("command", 0, 1),
            ("import of Ray", 1, 4),
            ("data", 2, 3),
            ("queue", 4, 6),
            ("placement", 6, 9),
            ("training", 9, 15),
            ("model", 16, 17),
            ("training", 17, 20),
            ("evaluation", 20, 22),
            ("record", 23, 24),
        )
    ]
    bar = time_bar(timeline, 24.0)
    assert [(span.kind, span.seconds) for span in bar] == [
        *(("start", 2.0), ("prepare", 1.0), ("start", 1.0), ("queue", 2.0), ("start", 3.0)),
        # A worker was replaced.
        *(("train", 6.0), ("start", 2.0), ("train", 3.0), ("evaluate", 2.0), ("other", 2.0)),
    ]
    assert sum(totals(bar).values()) == 24.0


def test_run_without_a_time_line_has_a_bar_all_the_same():
    assert totals(time_bar((), 83.0))["other"] == 83.0


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.31, 2.2), (0.97, 0.975), (5.0, 5.0), (0.0, 0.0), (-3.0, 1e6)]
)
def test_ticks_hold_all_values_and_are_few(low, high):
    found = ticks(low, high)
    assert found[0] <= low <= high <= found[-1]
    assert 2 <= len(found) <= 8
    assert found == sorted(set(found))
