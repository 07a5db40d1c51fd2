"""The fork server: a forked process is the one that was asked for, and nobody outlives anybody."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.cluster import forkclient
from orchestrator.cluster.leftovers import MARK

ROOT = Path(__file__).resolve().parents[2]

#: A server that imports little, so that these tests don't wait for TensorFlow.
SERVER = """
import contextlib, json, sys
from orchestrator.cluster import forkserver
forkserver.PRELOAD = ("fractions",)
forkserver.PRELOAD_RAY = ("stands_for_ray",)
forkserver.untouched_randomness = contextlib.nullcontext
forkserver.main(**json.loads(sys.argv[1]))
"""

#: One that imports Ray itself.
RAY_SERVER = """
import json, os, sys
from orchestrator.cluster import forkserver
from orchestrator.cluster.settings import TRAIN_SETTINGS
os.environ.update(TRAIN_SETTINGS)
forkserver.PRELOAD = ()
forkserver.main(**json.loads(sys.argv[1]))
"""

#: Reads the environment when it is imported, as Ray's core does.
STANDS_FOR_RAY = "import os\nraylet = os.environ.get('RAY_RAYLET_PID')\n"


def _request(address, *, parent):
    return json.dumps({"address": str(address), "parent": parent})


@contextlib.contextmanager
def start_server(tmp_path, *, prelude="", server=SERVER):
    """Yield a server's process, with its `address`, when it listens."""
    address = tmp_path / "server" / "fork.sock"
    (tmp_path / "stands_for_ray.py").write_text(STANDS_FOR_RAY)
    process = subprocess.Popen(
        [sys.executable, "-c", prelude + server, _request(address, parent=os.getpid())],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", MARK: str(address)},
    )
    try:
        while not address.exists():
            assert process.poll() is None
            os.sched_yield()
        process.address = str(address)
        yield process
    finally:
        process.kill()
        process.wait()


def start_client(server, path, *args, **options):
    return subprocess.Popen(
        [sys.executable, "-I", "-S", forkclient.__file__, server.address, str(path), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def server(tmp_path):
    with start_server(tmp_path) as process:
        yield process


@pytest.fixture
def client(server):
    """Start a client of the server; it is ended with the test."""
    with contextlib.ExitStack() as processes:

        def start(path, *args, **options):
            process = start_client(server, path, *args, **options)
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield start


def script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(text)
    return path


def wait_until_gone(pid):
    """Wait until a process is gone, or is dead and waits to be collected."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        os.sched_yield()
    return False


def test_runs_the_script_with_the_clients_surroundings(client, tmp_path):
    path = script(
        tmp_path,
        "import os, sys\n"
        "print('fractions' in sys.modules, sys.argv[1:], os.getcwd(), os.environ['MARK'])\n"
        "print('to stderr', file=sys.stderr)\n",
    )
    env = {"MARK": "here", "PATH": os.environ["PATH"]}
    out, err = client(path, "a", "b", cwd=tmp_path, env=env).communicate(timeout=30)
    assert out == f"True ['a', 'b'] {tmp_path} here\n"
    assert err == "to stderr\n"


RAYLET = "import stands_for_ray\nprint(stands_for_ray.raylet)\n"


def in_raylet(pid):
    return {"PATH": os.environ["PATH"], "RAY_JOB_ID": "01000000", "RAY_RAYLET_PID": pid}


def test_ray_is_imported_once_for_the_raylet_that_asks(client, tmp_path):
    path = script(tmp_path, "import sys\nprint('stands_for_ray' in sys.modules)\n" + RAYLET)
    for _ in range(2):
        out, err = client(path, env=in_raylet("77")).communicate(timeout=30)
        assert (out, err) == ("True\n77\n", "")


def test_another_raylets_process_is_not_forked(client, tmp_path):
    path = script(tmp_path, RAYLET)
    assert client(path, env=in_raylet("77")).communicate(timeout=30)[0] == "77\n"
    out, err = client(path, env=in_raylet("78")).communicate(timeout=30)
    assert out == "78\n"
    assert "starting without it" in err
    # The server is still there for the first.
    out, err = client(path, env=in_raylet("77")).communicate(timeout=30)
    assert (out, err) == ("77\n", "")


@pytest.mark.slow
def test_processes_make_identifiers_of_their_own(tmp_path):
    """Those that Ray's core makes up; two controllers once shared one placement group."""
    path = script(
        tmp_path,
        "from ray._raylet import JobID, PlacementGroupID\n"
        "print(PlacementGroupID.of(JobID.from_int(1)).hex())\n",
    )
    with start_server(tmp_path, server=RAY_SERVER) as server:
        made = []
        for _ in range(2):
            out, err = start_client(server, path, env=in_raylet("77")).communicate(timeout=60)
            assert err == ""
            made.append(out)
    assert made[0] != made[1]


@pytest.mark.parametrize(("end", "code"), [("sys.exit(7)", 7), ("pass", 0), ("1 / 0", 1)])
def test_exit_code_is_the_scripts(client, tmp_path, end, code):
    process = client(script(tmp_path, f"import sys\n{end}\n"))
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert ("ZeroDivisionError" in err) == (end == "1 / 0")


def test_death_by_signal_is_told(client, tmp_path):
    path = script(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    process = client(path)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL


LONG = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"


def test_killed_client_takes_its_process_along(client, tmp_path):
    process = client(script(tmp_path, LONG))
    pid = int(process.stdout.readline())
    process.kill()
    assert wait_until_gone(pid)


def test_killed_server_takes_all_processes_along(server, client, tmp_path):
    process = client(script(tmp_path, LONG))
    pid = int(process.stdout.readline())
    server.kill()
    assert wait_until_gone(pid)
    assert process.wait(timeout=30) != 0


def test_server_killed_while_it_forks_leaves_one_process(tmp_path):
    """A client that wasn't told of its process starts it by itself; it must be the only one."""
    started = tmp_path / "started"
    path = script(tmp_path, f"import os\nopen({str(started)!r}, 'a').write(f'{{os.getpid()}} ')\n")
    dies = f"""
import os, signal, struct, time
class Dies:
    def pack(*args):
        until = time.monotonic() + 1
        while time.monotonic() < until and not os.path.exists({str(started)!r}):
            os.sched_yield()
        os.kill(os.getpid(), signal.SIGKILL)
from orchestrator.cluster import forkserver
forkserver.struct = Dies
"""
    with start_server(tmp_path, prelude=dies) as server:
        process = start_client(server, path)
        process.communicate(timeout=30)
        assert server.wait(timeout=30) == -signal.SIGKILL
    assert started.read_text().split() == [str(process.pid)]


def test_end_of_the_server_is_the_end_of_what_carries_its_mark(server):
    """As Ray's agents do, and what they start, in sessions of their own."""
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    marks = (server.address, f"{server.address}-of-another")
    ours, others = (
        subprocess.Popen(sleep, env={**os.environ, MARK: mark}, start_new_session=True)
        for mark in marks
    )
    try:
        server.terminate()
        assert ours.wait(timeout=30) == -signal.SIGKILL
        assert server.wait(timeout=30) == 128 + signal.SIGTERM
        assert others.poll() is None
        assert not Path(server.address).parent.exists()
    finally:
        for process in (ours, others):
            process.kill()
            process.wait()


def test_signal_is_handed_on(client, tmp_path):
    process = client(script(tmp_path, LONG))
    pid = int(process.stdout.readline())
    process.terminate()
    assert wait_until_gone(pid)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM


def test_each_process_is_a_group_of_its_own(client, tmp_path):
    """Ray kills a dead worker's whole process group, which must not be everybody's."""
    path = script(tmp_path, "import os\nprint(os.getpid() == os.getpgid(0))\n")
    assert client(path).communicate(timeout=30)[0] == "True\n"


def test_without_a_server_the_client_becomes_the_process_itself(tmp_path):
    path = script(tmp_path, "import sys\nprint(sys.argv[1:])\n")
    missing = str(tmp_path / "nobody.sock")
    command = [sys.executable, "-I", "-S", forkclient.__file__, missing, str(path), "x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout == "['x']\n"
    assert "no fork server" in done.stderr


def test_server_has_one_thread_when_it_forks(server, client, tmp_path):
    client(script(tmp_path, "pass\n")).communicate(timeout=30)
    assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1


def test_server_whose_parent_died_before_it_looked_ends_at_once(tmp_path):
    """As if the driver was killed while Python was still starting."""
    process = subprocess.run(
        [sys.executable, "-c", SERVER, _request(tmp_path / "fork.sock", parent=os.getpid() + 1)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert process.returncode == 1
    assert not (tmp_path / "fork.sock").exists()


def test_each_raylet_of_a_host_has_a_server_of_its_own(server, tmp_path):
    os.rename(server.address, tmp_path / "fork-1.sock")
    address = str(tmp_path / f"fork-{forkclient.RAYLET}.sock")
    told = {}
    for raylet in ("1", "2"):
        client = subprocess.run(
            [sys.executable, "-I", "-S", forkclient.__file__, address, "-c", ""],
            env={**os.environ, "RAY_RAYLET_PID": raylet},
            capture_output=True,
            text=True,
            timeout=60,
        )
        told[raylet] = "no fork server" in client.stderr
    assert told == {"1": False, "2": True}
