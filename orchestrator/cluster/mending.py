"""What a cluster launcher's file needs beyond what it says, lest somebody falls into Ray's traps.

- Version 2 of Ray's autoscaler brings up all machines of one's own but one.
- `ray start` asks for no token unless it is told to, and a token that others can read is none.
- Ray finds a head's address by asking for the way to the internet; where there is none, the head
  listens on its loopback alone.
- Ray's processes talk in the clear unless each is told otherwise.

The file itself stays as it is, and valid for `ray up`; what is added is added to a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.cluster.certificates import Certificates
from orchestrator.cluster.cluster_file import ClusterFile

#: Where the token and the certificates are on every machine.
TOKEN_THERE = "~/.ray/auth_token"
_TLS_THERE = "~/.ray/tls"

#: How Ray starts where a file doesn't say it.
_HEAD_START = (
    "ray stop",
    (
        "ray start --head --port=6379 --dashboard-host=127.0.0.1"
        " --autoscaling-config=~/ray_bootstrap_config.yaml"
    ),
)
_WORKER_START = ("ray stop", "ray start --address=$RAY_HEAD_IP:6379")


def mended(file: ClusterFile, *, token: Path, tls: Certificates | None = None) -> dict[str, Any]:
    """Return what `ray up` is to be given.

    Args:
        file: The user's file.
        token: The token's file here.
        tls: Certificates that Ray's own traffic is to be encrypted with.
    """
    config = copy.deepcopy(dict(file.config))
    mounts = dict(config.get("file_mounts") or {})
    mounts[TOKEN_THERE] = str(token)
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "$HOME/.ray/auth_token"}
    if file.own_machines:
        settings["RAY_enable_autoscaler_v2"] = "0"
    if tls is not None:
        mounts |= {f"{_TLS_THERE}/{path.name}": str(path) for path in tls.shipped()}
        settings |= _tls_settings(tls)
    config["file_mounts"] = mounts
    for key, default in (
        ("head_start_ray_commands", _HEAD_START),
        ("worker_start_ray_commands", _WORKER_START),
    ):
        commands = config.get(key) or default
        placed = (_at_its_address(str(command), file) for command in commands)
        config[key] = [f"chmod 600 {TOKEN_THERE}", *(_with(settings, c) for c in placed)]
    return config


def _tls_settings(tls: Certificates) -> dict[str, str]:
    there = _TLS_THERE.replace("~", "$HOME")
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_CA_CERT": f"{there}/{tls.authority.name}",
        "RAY_TLS_SERVER_CERT": f"{there}/{tls.certificate.name}",
        "RAY_TLS_SERVER_KEY": f"{there}/{tls.key.name}",
    }


def _at_its_address(command: str, file: ClusterFile) -> str:
    """Return a command that has the head listen at the address that the file names for it."""
    if file.head is None or "--node-ip-address" in command:
        return command
    return command.replace("ray start --head", f"ray start --head --node-ip-address={file.head}")


def _with(settings: Mapping[str, str], command: str) -> str:
    """Return a command with settings in its environment, if it starts Ray."""
    if "ray start" not in command:
        return command
    assigned = " ".join(f'{name}="{value}"' for name, value in settings.items())
    return f"export {assigned} && {command}"
