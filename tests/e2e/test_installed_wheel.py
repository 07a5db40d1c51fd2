"""The wheel, installed where the source is not: a new project trains, and a plug-in too."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Run a command in an environment that has the wheel, and all it needs from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "home").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "RAY_AUTH_TOKEN_PATH": str(folder / "home" / "token"),
        # Nothing here may come from the network.
        "UV_OFFLINE": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }

    def run(*command, cwd=folder, timeout=400):
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run.folder, run.bin = folder, folder / "env" / "bin"
    uv = [sys.executable, "-m", "uv"]
    # This environment has what the wheel is built with.
    build = [*uv, "build", "--wheel", "--no-build-isolation", "--python", sys.executable]
    run(*build, "--out-dir", folder, ROOT)
    run(*uv, "venv", "--python", sys.executable, folder / "env")
    (wheel,) = folder.glob("*.whl")
    run(*uv, "pip", "install", "--python", run.bin / "python", "--no-deps", wheel)
    site = run(run.bin / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    # A path alone: what is installed here to be edited, launch-job too, is not taken over.
    run.site = Path(site.strip())
    (run.site / "tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return run


def test_new_project_passes_its_own_test(installed):
    installed(installed.bin / "launch-job", "init", "mine")
    mine = installed.folder / "mine"
    path = installed(
        installed.bin / "python", "-c", "import orchestrator as o; print(o.__file__)", cwd=mine
    )
    assert path.startswith(str(installed.folder / "env"))
    assert "1 passed" in installed(installed.bin / "python", "-m", "pytest", "-q", cwd=mine)


PLUGIN = {
    "shapes/__init__.py": "",
    "shapes/layers.py": """
def flat():
    import keras

    return keras.layers.Flatten()
""",
    "shapes/jobs.py": """
from orchestrator import job

from .layers import flat


@job(dataset="digits")
def shapes():
    import keras

    layers = [flat(), keras.layers.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Rescaling(1 / 255), *layers])
""",
    "shapes-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n",
    "shapes-1.0.dist-info/entry_points.txt": "[launch_job.jobs]\nshapes = shapes.jobs\n",
}


def test_job_of_an_installed_package_is_trained(installed):
    for name, text in PLUGIN.items():
        path = installed.site / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    told = installed(
        installed.bin / "launch-job", "shapes", "--workers", 2, "--epochs", 5, "-o", "json"
    )
    report = json.loads(told)
    assert (report["job"], report["test_rows"]) == ("shapes", 360)
    assert report["accuracy"] > 0.7
