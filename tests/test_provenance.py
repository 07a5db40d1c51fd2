"""What a run writes down about its code."""

import hashlib
import subprocess

from orchestrator.provenance import Provenance


def git(folder, *args):
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *args], check=True, capture_output=True)


def test_commit_and_what_differs_from_it(tmp_path):
    """Files of any encoding may differ."""
    job = tmp_path / "job.py"
    job.write_bytes(b"old\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    job.write_bytes(b"na\xefve\n")
    found = Provenance.collect(job)
    assert found.git_commit is not None
    assert len(found.git_commit) == 40
    assert "-old" in found.git_diff
    assert "ve" in found.git_diff
    assert found.code_digest == hashlib.sha256(job.read_bytes()).hexdigest()
    assert {"python", "ray", "tensorflow", "keras"} <= found.versions.keys()


def test_job_outside_of_a_repository(tmp_path):
    job = tmp_path / "job.py"
    job.write_text("x = 1\n")
    found = Provenance.collect(job)
    assert (found.git_commit, found.git_diff) == (None, "")
