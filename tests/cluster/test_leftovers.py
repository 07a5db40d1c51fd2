"""What an embedded Ray has left running is found, also where it hides its environment."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from orchestrator.cluster.leftovers import MARK, end_leftovers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")

#: A process with a title, that starts another with a title and tells its number.
PARENT = "exec -a '{title}' bash -c '(exec -a {child} sleep 60) & echo $!; wait'"


@contextlib.contextmanager
def parent_of(child, *, title):
    """Start both; the parent waits for nothing but its child."""
    parent = subprocess.Popen(
        ["bash", "-c", PARENT.format(title=title, child=child)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        number = int(parent.stdout.readline())
        try:
            yield parent
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def marked(value):
    return subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: value})


def test_what_carries_the_mark_is_ended():
    with marked("mine") as mine, marked("another's") as another:
        end_leftovers("mine")
        assert mine.wait(timeout=10) == -signal.SIGKILL
        assert another.poll() is None
        another.kill()


@pytest.mark.parametrize(
    ("title", "owner"),
    [
        ("ray::DashboardAgent", "/ray/raylet/raylet"),
        ("ray::RuntimeEnvAgent", "/ray/raylet/raylet"),
        ("ray-dashboard-MetricsHead-0", "python -c from multiprocessing.forkserver import main"),
    ],
)
def test_what_has_lost_its_owner_is_ended_and_what_has_it_is_not(title, owner):
    with parent_of(title, title=owner) as owning, parent_of(title, title="init") as init:
        end_leftovers("nobody's")
        init.wait(timeout=10)
        assert owning.poll() is None
