"""What an embedded Ray has left running is found, also where it hides its environment."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from orchestrator.cluster.leftovers import MARK, end_leftovers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")

#: A process with a title, that starts an agent of Ray's and tells its number.
PARENT = "exec -a {title} bash -c '(exec -a ray::DashboardAgent sleep 60) & echo $!; wait'"


@contextlib.contextmanager
def agent_of(title):
    parent = subprocess.Popen(
        ["bash", "-c", PARENT.format(title=title)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        agent = int(parent.stdout.readline())
        try:
            yield agent, parent
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(agent, signal.SIGKILL)


def marked(value):
    return subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: value})


def test_what_carries_the_mark_is_ended():
    with marked("mine") as mine, marked("another's") as another:
        end_leftovers("mine")
        assert mine.wait(timeout=10) == -signal.SIGKILL
        assert another.poll() is None
        another.kill()


def test_an_agent_without_a_raylet_is_ended_and_one_that_has_its_own_is_not():
    with agent_of("/ray/raylet/raylet") as (_, raylet), agent_of("init") as (_, init):
        end_leftovers("nobody's")
        init.wait(timeout=10)  # It waits for nothing but its agent.
        assert raylet.poll() is None
