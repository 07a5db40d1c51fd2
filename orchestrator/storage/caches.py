"""The user's folders on this machine that may be removed at any time: all comes again.

But for what a run has not yet published from its folder: a storage of objects is worked on here.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from orchestrator.storage.objects import Objects


def cache_dir() -> Path:
    """Return the folder of downloads and of copies."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "launch-job"


def shard_cache(dataset: str, fingerprint: str) -> Path:
    """Return the folder for copies of a prepared dataset that lies beyond a network."""
    return cache_dir() / "shards" / dataset / fingerprint[:16]


def compiled_cache() -> Path:
    """Return the folder of what XLA has compiled for this machine."""
    return cache_dir() / "compiled"


def working_folder(objects: Objects) -> Path:
    """Return the folder in which this machine works on a storage of objects.

    The same address at another server is another storage.
    """
    digest = hashlib.sha256(f"{objects.address} {objects.store.server}".encode()).hexdigest()
    name = re.sub(r"[^a-z0-9]+", "-", objects.address.lower())[:60]
    return cache_dir() / "storages" / f"{name}-{digest[:12]}"
