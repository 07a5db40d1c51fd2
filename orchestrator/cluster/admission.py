"""Being let into a Ray cluster that is up: where it is, whether it answers, what it wants to see.

Ray would find out too, but would wait for a minute, say something else, or abort the process.
"""

from __future__ import annotations

import os
import socket
import time

from orchestrator.cluster.token import has_token, token_path
from orchestrator.errors import UnavailableError, UsageError

#: Port that `ray start --head` listens on unless told otherwise.
DEFAULT_PORT = 6379

#: How long a cluster may take to answer.
ANSWER_S = 20


def token_hint() -> str:
    """Say how to come by the token that a cluster wants to see."""
    return (
        f"Copy the head's token to {token_path()} (mode 0600), or name its file in "
        "RAY_AUTH_TOKEN_PATH."
    )


def find_cluster(wanted: str) -> str:
    """Return `host:port` of a cluster's head.

    Raises:
        UsageError: The address is of a kind that can't be used.
        UnavailableError: No cluster runs on this machine.
    """
    if "://" in wanted:
        raise UsageError(
            f"{wanted!r} is not the address of a cluster's head.",
            hint="Give host:port, such as 10.0.0.5:6379, on one of the cluster's nodes.",
        )
    if wanted == "auto":
        from ray._private.services import canonicalize_bootstrap_address

        found = canonicalize_bootstrap_address("auto")
        if found is None:
            raise UnavailableError(
                "No Ray cluster runs on this machine.",
                hint="`ray start --head` starts one; without --address, a run brings its own.",
            )
        return found
    host, separator, port = wanted.rpartition(":")
    if not separator:
        return f"{wanted}:{DEFAULT_PORT}"
    if not host or not port.isdecimal():
        raise UsageError(
            f"{wanted!r} is not the address of a cluster.", hint="Give host:port, or auto."
        )
    return wanted


def await_answer(address: str) -> None:
    """Wait until something listens at an address.

    Raises:
        UnavailableError: Nothing does.
    """
    host, _, port = address.rpartition(":")
    until = time.monotonic() + ANSWER_S
    while True:
        try:
            left = max(1.0, until - time.monotonic())
            socket.create_connection((host.strip("[]"), int(port)), timeout=left).close()
            return
        except (OSError, OverflowError) as err:
            if time.monotonic() + 1 > until or isinstance(err, (socket.gaierror, OverflowError)):
                raise UnavailableError(
                    f"No Ray cluster answers at {address}: {err}.",
                    hint="`ray status` on the head shows whether it is up.",
                ) from err
        time.sleep(1)


def show_token() -> None:
    """Show the cluster a token if there is one; Ray itself does so for clusters that it finds.

    Raises:
        UnavailableError: The user wants a token to be shown, and there is none.
    """
    mode = os.environ.setdefault("RAY_AUTH_MODE", "token" if has_token() else "disabled")
    if mode == "token" and not has_token():
        # Ray aborts the process.
        raise UnavailableError(
            "RAY_AUTH_MODE is token, and there is none.",
            hint=token_hint(),
        )


def check_admission(address: str) -> None:
    """Ask the cluster's control store for anything; Ray's own attempt would not say what is wrong.

    Raises:
        UnavailableError: It does not answer, or wants another token.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.exceptions import AuthenticationError

    try:
        GcsClient(address=address)
    except AuthenticationError as err:
        wrong = "has another token than" if has_token() else "wants a token from"
        raise UnavailableError(
            f"The Ray cluster at {address} {wrong} this machine.",
            hint=token_hint(),
        ) from err
    except Exception as err:
        raise UnavailableError(
            f"What answers at {address} is no Ray cluster: {err}",
            hint="`ray status` on the head shows its address.",
        ) from err
