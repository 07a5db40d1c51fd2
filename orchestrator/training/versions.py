"""All hosts of a run compute with the same versions, or it doesn't begin."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from orchestrator.errors import UsageError
from orchestrator.provenance import installed_versions


def check_versions(expected: Mapping[str, str]) -> None:
    """Compare this host's versions with those of the driver's host.

    Args:
        expected: Version of Python and of each package, by name.

    Raises:
        UsageError: One differs; all that do are named.
    """
    here = installed_versions()
    differing = [
        f"{name} {here.get(name, 'none')} instead of {version}"
        for name, version in expected.items()
        if here.get(name) != version
    ]
    if differing:
        raise UsageError(
            f"{socket.gethostname()} has other versions than the driver's host: "
            f"{', '.join(differing)}.",
            hint="Install requirements.lock on every host.",
        )
