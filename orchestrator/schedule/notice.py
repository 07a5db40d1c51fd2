"""Tells people or programs how a tick's run ended, in bounded time; failing to is no failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import UsageError

#: How long an address, and a command, may take.
_POST_S, _COMMAND_S = 10, 60


def check_target(target: str) -> str:
    """Return whom `--notify` names, if that can be.

    Raises:
        UsageError: It is empty, or an address that can't get a POST.
    """
    scheme, separator, _ = target.partition("://")
    an_address = bool(separator) and scheme.isalnum()
    if not target.strip() or (an_address and not (_is_web(target) and urlsplit(target).hostname)):
        raise UsageError(
            f"--notify can't be {target!r}.",
            hint="Name an address that begins with https:// or http://, or a command.",
        )
    return target


def notify(target: str, facts: Mapping[str, object]) -> str:
    """Tell somebody.

    Args:
        target: An address that gets the facts as JSON in a POST, with a line of `text` that chat
            systems show; or a command of the shell that gets them on its standard input.
        facts: What happened, as JSON values.

    Returns:
        What came of it, in words.
    """
    message = {**facts, "text": _text(facts)}
    return _post(target, message) if _is_web(target) else _run(target, message)


def _is_web(target: str) -> bool:
    return target.startswith(("https://", "http://"))


def _text(facts: Mapping[str, object]) -> str:
    state = facts["state"] or "could not start"
    why = f": {facts['why']}" if facts["why"] else ""
    return f"{facts['schedule']}: run {facts['run_id']} {state}{why}"


def _post(address: str, message: dict[str, Any]) -> str:
    import requests

    where = urlsplit(address).netloc.rpartition("@")[2]
    try:
        answer = requests.post(address, json=message, timeout=_POST_S, allow_redirects=False)
    except requests.RequestException as err:
        # Its text holds the address, which may hold a secret.
        return f"{where}: {type(err).__name__}"
    return f"{where}: HTTP {answer.status_code}"


def _run(command: str, message: dict[str, Any]) -> str:
    process = subprocess.Popen(
        command,
        shell=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    name = command.split()[0]
    try:
        process.communicate(json.dumps(message).encode(), timeout=_COMMAND_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"{name}: ended after {_COMMAND_S} s"
    return f"{name}: exit code {process.returncode}"
