"""Buffers of a step are used again by the next, also once TensorFlow has reset malloc."""

import os
import platform
import subprocess
import sys

import pytest

from orchestrator.cluster.settings import TRAIN_SETTINGS

pytestmark = pytest.mark.slow

#: Pages that the kernel clears for a buffer of 6 MB that is made and freed 50 times.
PAGES = """
import ctypes, resource
import tensorflow as tf
from orchestrator.training.malloc import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        place = libc.malloc(6_000_000)
        libc.memset(place, 1, 6_000_000)
        libc.free(place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

list(tf.data.Dataset.from_generator(lambda: [1], output_signature=tf.TensorSpec((), tf.int32)))
taken = [libc.malloc(6_000_000) for _ in range(30)]  # All that malloc has at hand already.
reset = pages()
keep_freed_memory()
print(reset, pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc takes these settings")
def test_buffers_are_used_again_after_tensorflow_has_reset_malloc():
    done = subprocess.run(
        [sys.executable, "-c", PAGES],
        env={**os.environ, **TRAIN_SETTINGS},
        capture_output=True,
        text=True,
        check=True,
    )
    reset, kept = map(int, done.stdout.split())
    once = 6_000_000 // os.sysconf("SC_PAGE_SIZE")
    # Python 3.11 and later: where TensorFlow leaves malloc alone, there is nothing to tell again.
    assert kept < 2 * once
    assert reset > 10 * once or sys.version_info < (3, 11)
