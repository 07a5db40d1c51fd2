"""What malloc is told in a run's processes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from orchestrator.cluster.settings import TRAIN_SETTINGS, apply

#: Says how many pages the kernel clears for buffers that are made and freed again and again.
BUFFERS = """
import ctypes, resource
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    for size in (1, 2, 4, 8, 16, 31):
        held = [libc.malloc(size << 20) for _ in range(4)]
        for place in held: libc.memset(place, 1, size << 20)
        for place in held: libc.free(place)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def cleared(environment):
    words = [sys.executable, "-c", BUFFERS]
    return int(subprocess.run(words, env=environment, capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc takes these settings")
def test_buffers_that_are_freed_are_used_again():
    pages = 4 * (31 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert cleared({**os.environ, **TRAIN_SETTINGS}) < 2 * pages, (
        "of 50 rounds, the first clears them"
    )


def test_what_the_user_has_set_of_malloc_goes_before(monkeypatch):
    for name in TRAIN_SETTINGS:
        monkeypatch.setenv(name, "0")  # so that it is as it was afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("MALLOC_TOP_PAD_", "4096")
    settings = apply(TRAIN_SETTINGS)
    assert settings["MALLOC_TOP_PAD_"] == os.environ["MALLOC_TOP_PAD_"] == "4096"
    assert settings["MALLOC_MMAP_THRESHOLD_"] == os.environ["MALLOC_MMAP_THRESHOLD_"]
