"""The program that a Ray of our own starts for each process of its, in place of `setup_worker.py`.

Ray's own one imports Ray, for half a second of processor time, to put an environment in place and
become the worker: for seven processes of a run of four workers, before any of them does anything.
This one needs little of the standard library, and is the fork server's client (`forkclient.py`).
Whatever else Ray may ask for is left to Ray's.
"""

import json
import os
import sys

#: Environment variable of the fork server's address, as `forkclient.py` takes it.
ADDRESS = "LAUNCH_JOB_FORK_SERVER"

_CONTEXT = "--serialized-runtime-env-context="
_LANGUAGE = "--language="

#: Name of Ray's own program, which lies beside the worker's.
_RAYS_OWN = "setup_worker.py"


def prepare(argv: list[str]) -> list[str] | None:
    """Put what Ray wants there into the environment, and return the command line to fork.

    Args:
        argv: What Ray gives its `setup_worker.py`: the worker's program and its arguments, and
            among them the language, and the runtime environment as JSON if there is one.

    Returns:
        The worker's program and what of its arguments is its own; None if it is left to Ray.
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
        return None
    for name, value in (wanted.get("env_vars") or {}).items():
        os.environ[name] = _expanded(value)
    return [arg for arg in argv if arg not in said]


def _expanded(value: str) -> str:
    """Return a variable's value with others' in place of their names, as Ray does it."""
    if "$" not in value:
        return value
    import re

    # Known names first; what is left then is replaced by nothing.
    return re.sub(r"\$\{[A-Z0-9_]+\}", "", os.path.expandvars(value))


def left_to_ray(argv: list[str]) -> list[str]:
    """Return the command line of Ray's own program, to be in place of this one."""
    program = os.path.join(os.path.dirname(argv[0]), _RAYS_OWN)  # noqa: PTH118, PTH120
    return [sys.executable, program, *argv]


if __name__ == "__main__":
    import forkclient  # type: ignore[import-not-found]  # It lies beside this file.

    del sys.path[0]  # Other modules there have the names of Python's own.
    worker = prepare(sys.argv[1:])
    if worker is None:
        os.execv(sys.executable, left_to_ray(sys.argv[1:]))
    else:
        sys.exit(forkclient.main(os.environ[ADDRESS], worker))
