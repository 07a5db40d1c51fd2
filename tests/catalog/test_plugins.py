"""Jobs and datasets of installed packages: what goes first, what is broken, what workers load."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from orchestrator.catalog import Dataset, Job, load_catalog, load_declared
from orchestrator.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]

JOB = '''
"""{summary}"""
from orchestrator import job

@job(dataset="digits")
def {name}(units: int = 8):
    return None
'''

DATASET = '''
"""Shapes."""
from orchestrator import dataset

@dataset(offline="digits")
def shapes(context):
    return None
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Lay a package down as an installer does: its files, and its entry points."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    installed = set()

    def write(package, entry_points, files):
        for path, text in files.items():
            installed.add(path.removesuffix(".py").split("/")[0])
            file = site / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text).lstrip())
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "".join(f"[launch_job.{group}]\n{line}\n" for group, line in entry_points)
        )

    write.site = site
    yield write
    for name in list(sys.modules):
        if name.partition(".")[0] in installed:
            del sys.modules[name]


def project(folder, **jobs):
    (folder / "jobs").mkdir(parents=True)
    (folder / "cluster.yaml").write_text("cluster_name: test\n")
    for name, text in jobs.items():
        (folder / "jobs" / f"{name}.py").write_text(text)
    return folder


def test_module_and_function_are_found(install, tmp_path):
    install(
        "x",
        [("jobs", "first = x_jobs"), ("datasets", "shapes = x_data:shapes")],
        {"x_jobs.py": JOB.format(name="first", summary="First."), "x_data.py": DATASET},
    )
    catalog = load_catalog(tmp_path)
    assert catalog.jobs.get("first").summary == "First."
    assert catalog.jobs.get("first").path == install.site / "x_jobs.py"
    assert catalog.datasets.get("shapes").offline == "digits"
    assert "lstm-mnist" in catalog.jobs.entries


def test_package_gathers_what_its_modules_declare_and_not_what_it_imports(install, tmp_path):
    install(
        "x",
        [("jobs", "all = x_package")],
        {
            "x_package/__init__.py": """
                from elsewhere import other
                from x_package.jobs.one import one
                from x_package.jobs.two import two
                """,
            "x_package/jobs/one.py": JOB.format(name="one", summary="One."),
            "x_package/jobs/two.py": JOB.format(name="two", summary="Two."),
            "elsewhere.py": JOB.format(name="other", summary="Other."),
        },
    )
    jobs = load_catalog(tmp_path).jobs
    assert {"one", "two"} <= set(jobs.entries)
    assert "other" not in jobs.entries
    assert jobs.get("two").declaration.code == install.site / "x_package"


def test_plugin_goes_before_the_built_in_and_the_project_before_both(install, tmp_path):
    install(
        "x",
        [("jobs", "a = x_a"), ("jobs", "b = x_b")],
        {
            "x_a.py": JOB.format(name="lstm_mnist", summary="The plug-in's."),
            "x_b.py": JOB.format(name="mine", summary="The plug-in's."),
        },
    )
    folder = project(tmp_path / "p", mine=JOB.format(name="mine", summary="The project's."))
    jobs = load_catalog(folder).jobs
    assert jobs.get("lstm-mnist").summary == "The plug-in's."
    assert jobs.get("mine").summary == "The project's."


def test_two_packages_with_one_name_are_told_apart_by_nobody(install, tmp_path):
    for package in ("x", "y"):
        text = JOB.format(name="mine", summary=f"Of {package}.")
        install(package, [("jobs", f"mine = {package}_jobs")], {f"{package}_jobs.py": text})
    with pytest.raises(UsageError, match=r"two jobs 'mine', of packages x 1\.0 and y 1\.0"):
        load_catalog(tmp_path).jobs.get("mine")
    folder = project(tmp_path / "p", mine=JOB.format(name="mine", summary="The project's."))
    assert load_catalog(folder).jobs.get("mine").summary == "The project's."


@pytest.mark.parametrize(
    ("value", "files", "message"),
    [
        (
            "x_jobs",
            {"x_jobs.py": "x = 1\nimport nothing_of_this_name\n"},
            r"x_jobs\.py of package x 1\.0 does not import: line 2: ModuleNotFoundError",
        ),
        (
            "x_jobs",
            {"x_jobs.py": "x = 1\n\ndef f(:\n"},
            r"x_jobs\.py of package x 1\.0 does not import: line 3: SyntaxError",
        ),
        (
            "x_p.jobs",
            {
                "x_p/__init__.py": "",
                "x_p/jobs.py": "from . import a\n",
                "x_p/a.py": "x = 1\n1 / 0\n",
            },
            r"x_p/a\.py of package x 1\.0 does not import: line 2: ZeroDivisionError",
        ),
        (
            "x_jobs",
            {"x_jobs.py": "import sys\nsys.exit('no')\n"},
            r"x_jobs\.py of package x 1\.0 does not import: line 2: SystemExit: no",
        ),
        ("x_jobs:absent", {"x_jobs.py": ""}, r"x_jobs:absent of package x 1\.0 .* 'absent'"),
        ("x_jobs", {}, r"x_jobs of package x 1\.0 .* No module named 'x_jobs'"),
        ("x_jobs", {"x_jobs.py": "x = 1\n"}, r"x_jobs of package x 1\.0 declares no job"),
        ("not a name", {}, r"not a name of package x 1\.0"),
        (
            "x_jobs",
            {"x_jobs.py": JOB.format(name="odd", summary="Odd.").replace("int = 8", "list = ()")},
            r"x_jobs\.py, line 4: parameter 'units' .* It is of package x 1\.0",
        ),
    ],
)
def test_broken_plugin_names_package_file_and_line_and_harms_no_other(
    install, tmp_path, value, files, message
):
    install("x", [("jobs", f"my_broken = {value}")], files)
    install("y", [("jobs", "fine = y_jobs")], {"y_jobs.py": JOB.format(name="fine", summary="F.")})
    jobs = load_catalog(tmp_path).jobs
    assert {"fine", "lstm-mnist"} <= set(jobs.entries)
    with pytest.raises(UsageError, match=message):
        jobs.get("my-broken")


def test_command_line_lists_plugins_and_tells_of_a_broken_one(install, tmp_path):
    install("x", [("jobs", "one = x_one")], {"x_one.py": JOB.format(name="one", summary="One.")})
    install("y", [("jobs", "two = y_two")], {"y_two.py": "1 / 0\n"})

    def command(*args):
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *args],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{ROOT}:{install.site}", "COLUMNS": "300"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done

    text = command("--help").stdout
    assert re.search(r"one +One\.", text)
    assert re.search(r"two +\(can't be loaded\)", text)
    told = command("jobs")
    assert "y_two.py of package y 1.0 does not import: line 1: ZeroDivisionError" in told.stderr
    assert "One." in told.stdout


def test_worker_loads_the_same_again(install, tmp_path):
    """Neighbours can be imported only where a module is part of its package."""
    text = JOB.format(name="one", summary="One.") + "\nfrom .neighbour import THERE\n"
    install(
        "x",
        [("jobs", "one = x_package.jobs"), ("datasets", "shapes = x_data:shapes")],
        {
            "x_package/__init__.py": "",
            "x_package/jobs.py": text,
            "x_package/neighbour.py": "THERE = True\n",
            "x_data.py": DATASET,
        },
    )
    catalog = load_catalog(tmp_path)
    one, shapes = catalog.jobs.get("one"), catalog.datasets.get("shapes")
    assert load_declared(one.declaration, Job) is one
    assert load_declared(shapes.declaration, Dataset) is shapes
    mine = project(tmp_path / "p", mine=JOB.format(name="mine", summary="Mine."))
    job = load_catalog(mine).jobs.get("mine")
    assert load_declared(job.declaration, Job) == job


def test_worker_refuses_another_file_of_the_same_module(install, tmp_path):
    install("x", [("jobs", "one = x_one")], {"x_one.py": JOB.format(name="one", summary="One.")})
    declaration = load_catalog(tmp_path).jobs.get("one").declaration
    del sys.modules["x_one"]
    other = tmp_path / "other"
    other.mkdir()
    (install.site / "x_one.py").rename(other / "x_one.py")
    with pytest.raises(UsageError, match="does not import"):
        load_declared(declaration, Job)
    sys.path.insert(0, str(other))
    try:
        with pytest.raises(UsageError, match=r"x_one is .*other/x_one\.py"):
            load_declared(declaration, Job)
    finally:
        sys.path.remove(str(other))
        sys.modules.pop("x_one", None)
