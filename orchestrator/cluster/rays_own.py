"""What is ours in place of Ray's own, for as long as Ray is started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def replaced(owner: Any, **attributes: Any) -> Iterator[None]:
    """Have a module or class of Ray's other attributes within this context.

    Args:
        owner: The module or class.
        attributes: What its attributes are meanwhile. One that it doesn't have is an error: Ray has
            changed, and what stood on it has to be looked at again.

    Raises:
        AttributeError: It has no such attribute.
    """
    rays_own = {name: getattr(owner, name) for name in attributes}
    for name, value in attributes.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in rays_own.items():
            setattr(owner, name, value)
