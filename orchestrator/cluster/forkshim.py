"""The program that a Ray of our own starts for each process of its, in place of `setup_worker.py`.

Ray's own one imports Ray, for half a second of processor time, to put an environment in place and
become the worker: for nine processes of a run of four workers, before any of them does anything.
This one needs the standard library only, and becomes the fork server's client (`forkclient.py`).
Whatever else Ray may ask for is left to Ray's.
"""

import json
import os
import re
import sys
from pathlib import Path

#: Environment variable of the fork server's address, as `forkclient.py` takes it.
ADDRESS = "LAUNCH_JOB_FORK_SERVER"

_CONTEXT = "--serialized-runtime-env-context="
_LANGUAGE = "--language="

_CLIENT = Path(__file__).with_name("forkclient.py")

#: What Ray replaces by nothing in a variable's value, once known names have been replaced.
_UNKNOWN = re.compile(r"\$\{[A-Z0-9_]+\}")

#: Name of Ray's own program, which lies beside the worker's.
_RAYS_OWN = "setup_worker.py"


def command(argv: list[str]) -> list[str]:
    """Return the command line to become, and put into the environment what Ray wants there.

    Args:
        argv: What Ray gives its `setup_worker.py`: the worker's program and its arguments, and
            among them the language, and the runtime environment as JSON if there is one.
    """
    said = [arg for arg in argv if arg.startswith((_CONTEXT, _LANGUAGE))]
    context = next((arg.removeprefix(_CONTEXT) for arg in said if arg.startswith(_CONTEXT)), "{}")
    wanted = json.loads(context)
    plain = (
        f"{_LANGUAGE}PYTHON" in said
        and wanted.get("py_executable", sys.executable) == sys.executable
        and not wanted.get("command_prefix")
        and not wanted.get("override_worker_entrypoint")
    )
    if not plain:
        return [sys.executable, str(Path(argv[0]).with_name(_RAYS_OWN)), *argv]
    for name, value in (wanted.get("env_vars") or {}).items():
        os.environ[name] = _UNKNOWN.sub("", os.path.expandvars(value))
    worker = [arg for arg in argv if arg not in said]
    return [sys.executable, "-I", "-S", str(_CLIENT), os.environ[ADDRESS], *worker]


if __name__ == "__main__":
    become = command(sys.argv[1:])
    os.execv(become[0], become)
