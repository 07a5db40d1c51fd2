"""Pages from templates: whatever is put into one is escaped, and its style is within it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import figures

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return a page.

    Args:
        template: Name of its template, without the ending.
        values: What it shows.
    """
    return _environment().get_template(f"{template}.html").render(**values)


@cache
def _environment() -> jinja2.Environment:
    import jinja2
    from markupsafe import Markup

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("ago", "duration", "percent", "fixed", "whole")
    found.filters.update({name: getattr(figures, name) for name in names})
    found.globals["style"] = Markup((_TEMPLATES / "style.css").read_text())
    return found
