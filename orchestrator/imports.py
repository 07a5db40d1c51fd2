"""Imports that take long."""

from __future__ import annotations

import gc
import importlib


def import_uncollected(module: str) -> None:
    """Import a module, and what it imports, while no garbage is collected.

    Modules leave hardly any, but what they hold is looked through again and again while there comes
    more: a fifth of the time that TensorFlow takes, and of Ray's 2.7 s.

    Args:
        module: Its name.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        importlib.import_module(module)
    finally:
        if collects:
            gc.enable()
