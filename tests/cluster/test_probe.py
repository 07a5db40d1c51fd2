"""What a node has, and what is said of one that lacks something."""

import dataclasses

from orchestrator.cluster.probe import look


def test_node_that_has_all_is_not_complained_about(tmp_path):
    (tmp_path / "job.py").write_text("a job")
    sight = look([str(tmp_path / "job.py")])
    assert sight.complaint(sight) is None
    assert sight.versions["tensorflow"]


def test_file_that_is_missing_or_another_is_named(tmp_path):
    file = tmp_path / "job.py"
    file.write_text("a job")
    expected = look([str(file)])
    file.write_text("another job")
    assert look([str(file)]).complaint(expected) == f"has another {file}"
    file.unlink()
    assert look([str(file)]).complaint(expected) == f"can't read {file}"


def test_other_version_is_named():
    expected = look([])
    other = dataclasses.replace(expected, versions={**expected.versions, "keras": "2.0"})
    assert other.complaint(expected) == f"has keras 2.0, not {expected.versions['keras']}"
    none = dataclasses.replace(expected, versions={**expected.versions, "keras": None})
    assert "has keras (not installed)" in none.complaint(expected)
