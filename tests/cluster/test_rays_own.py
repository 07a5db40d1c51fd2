"""What is ours in place of Ray's own, for a while."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from orchestrator.cluster.rays_own import replaced


def test_rays_own_is_back_afterwards():
    module = SimpleNamespace(start=1, name="ray")
    with replaced(module, start=2):
        assert module.start == 2
    assert vars(module) == {"start": 1, "name": "ray"}


def test_rays_own_is_back_after_an_error():
    module = SimpleNamespace(start=1)
    with pytest.raises(ValueError, match="broken"), replaced(module, start=2):
        raise ValueError("broken")
    assert module.start == 1


def test_what_ray_has_no_more_is_not_made_up():
    module = SimpleNamespace(start=1)
    with pytest.raises(AttributeError), replaced(module, start=2, stop=2):
        pass
    assert vars(module) == {"start": 1}
