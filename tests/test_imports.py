"""Imports that take long are made without collecting garbage."""

from __future__ import annotations

import gc
import sys

import pytest

from orchestrator.imports import import_uncollected


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.delitem(sys.modules, "imported_here", raising=False)
    yield
    sys.modules.pop("imported_here", None)


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "imported_here.py"


@pytest.fixture(params=[True, False])
def collecting(request):
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_collects_as_before_once_it_is_done(module, collecting):
    module.write_text("import gc\ncollects = gc.isenabled()\n")
    import_uncollected("imported_here")
    import imported_here  # type: ignore[import-not-found]

    assert not imported_here.collects
    assert gc.isenabled() == collecting


def test_collects_as_before_when_an_import_fails(module, collecting):
    module.write_text("raise ImportError('broken')\n")
    with pytest.raises(ImportError, match="broken"):
        import_uncollected("imported_here")
    assert gc.isenabled() == collecting
