"""A doctor's findings: what is wrong is said, and what mends it."""

import dataclasses
import os
import shutil
import subprocess
import sys

import pytest

from orchestrator.cluster.condition import PACKAGES, measure
from orchestrator.cluster.doctor import examine_here, examine_nodes, worst


@pytest.fixture
def token(tmp_path, monkeypatch):
    path = tmp_path / "token"
    path.write_text("t")
    path.chmod(0o600)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    return path


@pytest.fixture
def well(tmp_path, token):
    """This machine, with room enough."""
    found = measure(str(tmp_path / "store"), None)
    return dataclasses.replace(found, disk_free_bytes=10**12, memory_free_bytes=10**12)


def verdicts(findings):
    return {found.name: found.verdict for found in findings}


def here(condition):
    return examine_here(condition, storage="store")


def test_machine_that_is_well(well):
    found = verdicts(here(well))
    del found["ports"]  # Others may be using them.
    assert set(found.values()) == {"ok"}
    assert {"python", *PACKAGES, "storage", "token", "disk", "memory", "gpu"} == set(found)


def test_each_ailment_has_its_verdict_and_its_mend(well, token):
    token.chmod(0o644)
    ill = dataclasses.replace(
        well,
        versions={**well.versions, "keras": None},
        storage_error="Read-only file system",
        disk_free_bytes=10**8,
        memory_free_bytes=2 * 10**9,
        gpus=("H100",),
        nccl=None,
    )
    findings = {found.name: found for found in here(ill)}
    for name in ("keras", "storage", "token", "disk", "gpu"):
        assert findings[name].verdict == "fail"
        assert findings[name].mend
    assert findings["memory"].verdict == "warn"
    assert findings["token"].mend == f"chmod 600 {token}"
    assert worst(findings.values()) == "fail"


def test_nodes_are_compared_with_here(well):
    node = dataclasses.replace(well, shares_storage=True)
    other = dataclasses.replace(
        node, versions={**well.versions, "ray": "2.59.0"}, shares_storage=False
    )
    nodes = {"10.0.0.1": node, "10.0.0.2": other, "10.0.0.3": "No module named 'orchestrator'"}
    findings = examine_nodes(well, nodes, {"10.0.0.1": 0.001, "10.0.0.2": -2.0})
    found = verdicts(findings)
    assert found["10.0.0.1 versions"] == found["10.0.0.1 clock"] == "ok"
    assert found["10.0.0.2 versions"] == found["10.0.0.2 storage"] == "fail"
    assert found["10.0.0.2 clock"] == "warn"
    assert found["10.0.0.3"] == "fail"
    (text,) = [f.what for f in findings if f.name == "10.0.0.2 versions"]
    assert text == f"ray 2.59.0, here {well.versions['ray']}"


def test_storage_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    assert measure(str(tmp_path / "file"), None).storage_error == "File exists"


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_nccl_of_the_machine_itself_counts(tmp_path):
    # As in NVIDIA's containers: no package brings it. There is none here, so one is built.
    source = "int ncclGetVersion(int *version) { *version = 22803; return 0; }"
    library = tmp_path / "libnccl.so.2"
    build = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(build, input=source, text=True, check=True)
    code = "import sys; from orchestrator.cluster.condition import measure; "
    code += "print(measure(sys.argv[1], None).nccl)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "2.28.3\n"
