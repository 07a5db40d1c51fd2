"""Help in sections: whoever looks for one of forty options finds it under a heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click


class SectionedCommand(click.Command):
    """A command whose options stand in sections of its help, in their order.

    Args:
        name: Name of the command.
        sections: Options by the heading of their section; `--help` comes last.
        arguments: Those of `click.Command`, but for `params`.
    """

    def __init__(
        self, name: str, sections: Mapping[str, Sequence[click.Parameter]], **arguments: Any
    ) -> None:
        super().__init__(
            name, params=[p for group in sections.values() for p in group], **arguments
        )
        self._sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section of the help for each group of options."""
        last = [*self._sections][-1]
        for heading, options in self._sections.items():
            shown = [*options, self.get_help_option(ctx)] if heading == last else options
            lines = [line for o in shown if o is not None and (line := o.get_help_record(ctx))]
            if lines:
                with formatter.section(heading):
                    formatter.write_dl(lines)
