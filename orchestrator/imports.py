"""Imports that take long."""

from __future__ import annotations

import gc
import importlib


def import_all(*modules: str) -> None:
    """Import modules while no garbage is collected, for as long as that takes.

    Modules leave hardly any, but what they hold is looked through again and again while there comes
    more: a fifth of the time that TensorFlow takes, and of Ray's 2.7 s.

    Args:
        modules: Their names.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        for module in modules:
            importlib.import_module(module)
    finally:
        if collects:
            gc.enable()
