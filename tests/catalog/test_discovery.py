"""Content folders: what is found, which of two goes first, and what a broken file says."""

import textwrap

import pytest

from orchestrator.catalog import Dataset, Job, load_catalog, load_entry
from orchestrator.catalog.discovery import find_project
from orchestrator.errors import UsageError


@pytest.fixture
def project(tmp_path):
    """A project of its own; the function adds a file to it."""
    (tmp_path / "cluster.yaml").write_text("cluster_name: test\n")

    def add(path, text):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    add.folder = tmp_path
    return add


JOB = '''
    """{summary}"""
    from orchestrator import job

    @job(dataset="digits")
    def {name}(units: int = 8):
        pass
'''


def test_builtin_content_is_there_without_a_project(tmp_path):
    catalog = load_catalog(tmp_path)
    assert catalog.jobs.get("lstm-mnist").dataset in catalog.datasets.entries
    assert catalog.jobs.broken == catalog.datasets.broken == {}


def test_project_is_the_nearest_folder_above(project):
    deep = project.folder / "a" / "b"
    deep.mkdir(parents=True)
    assert find_project(deep) == project.folder
    project("jobs/mine.py", JOB.format(summary="Mine.", name="mine"))
    assert load_catalog(deep).jobs.get("mine").summary == "Mine."


def test_projects_file_goes_before_the_builtin(project):
    file = project("jobs/lstm_mnist.py", JOB.format(summary="Mine.", name="lstm_mnist"))
    job = load_catalog(project.folder).jobs.get("lstm-mnist")
    assert (job.path, job.summary) == (file, "Mine.")


def test_projects_broken_file_is_not_quietly_replaced_by_the_builtin(project):
    project("jobs/lstm_mnist.py", "import nothing_of_this_name\n")
    with pytest.raises(UsageError, match="nothing_of_this_name"):
        load_catalog(project.folder).jobs.get("lstm-mnist")


def test_files_of_one_name_do_not_collide(project):
    project("jobs/json.py", JOB.format(summary="A job.", name="json"))
    project(
        "datasets/json.py",
        '''
        """A dataset."""
        from orchestrator import dataset

        @dataset(offline="digits")
        def json(context):
            pass
        ''',
    )
    catalog = load_catalog(project.folder)
    assert catalog.jobs.get("json").summary == "A job."
    assert catalog.datasets.get("json").offline == "digits"
    assert __import__("json").dumps({}) == "{}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nimport nothing_of_this_name\n", r"broken\.py .*line 2: ModuleNotFoundError"),
        ("x = 1\n\ndef f(:\n", r"broken\.py .*line 3: SyntaxError"),
        ("def f():\n    return {}['x']\n\nf()\n", r"broken\.py .*line 2: KeyError"),
        ("import sys\nsys.exit('no')\n", r"broken\.py .*line 2: SystemExit: no"),
    ],
)
def test_broken_file_names_itself_and_the_line_and_harms_no_other(project, text, message):
    project("jobs/broken.py", text)
    project("jobs/mine.py", JOB.format(summary="Mine.", name="mine"))
    jobs = load_catalog(project.folder).jobs
    assert set(jobs.entries) >= {"mine", "lstm-mnist"}
    with pytest.raises(UsageError, match=message):
        jobs.get("broken")


def test_syntax_error_elsewhere_does_not_name_a_line_of_this_file(project, monkeypatch):
    project("elsewhere/module_with_a_mistake.py", "\n" * 40 + "def f(:\n")
    monkeypatch.syspath_prepend(str(project.folder / "elsewhere"))
    project("jobs/broken.py", "x = 1\nimport module_with_a_mistake\n")
    with pytest.raises(UsageError, match=r"line 2: SyntaxError: .*module_with_a_mistake\.py"):
        load_catalog(project.folder).jobs.get("broken")


def test_near_name_is_offered(tmp_path):
    catalog = load_catalog(tmp_path)
    with pytest.raises(UsageError, match="no dataset 'mnits'") as caught:
        catalog.datasets.get("mnits")
    assert caught.value.hint == "Did you mean 'mnist'?"
    with pytest.raises(UsageError) as caught:
        catalog.datasets.get("zzz")
    assert caught.value.hint == "There are: digits, fashion-mnist, mnist, sequences, shoppers."


def test_file_has_to_declare_exactly_one(project):
    file = project("jobs/none.py", "x = 1\n")
    with pytest.raises(UsageError, match="declares 0 jobs, not one"):
        load_entry(file, Job)
    with pytest.raises(UsageError, match="declares 0 datasets, not one"):
        load_entry(file, Dataset)


def test_imported_job_is_not_declared_again(project, monkeypatch):
    """A job that is built upon another imports its function."""
    project("shared/first_job.py", JOB.format(summary="First.", name="first"))
    monkeypatch.syspath_prepend(str(project.folder / "shared"))
    project(
        "jobs/second.py",
        "from first_job import first\n"
        + textwrap.dedent(JOB.format(summary="Second.", name="second")),
    )
    jobs = load_catalog(project.folder).jobs
    assert "second" in jobs.entries
    assert "first" not in jobs.entries
