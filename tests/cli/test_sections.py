from __future__ import annotations

import click
from click.testing import CliRunner

from orchestrator.cli.sections import SectionedCommand


def shown(sections, **arguments):
    command = SectionedCommand("pets", sections, callback=lambda **given: None, **arguments)
    return CliRunner().invoke(command, ["--help"]).stdout.splitlines()


def test_options_stand_under_their_heading_and_help_comes_last():
    lines = shown(
        {
            "Cats": [click.Option(["--claws"], help="How many.")],
            "Dogs": [click.Option(["--bark"], help="How loud.")],
        }
    )
    places = [
        next(i for i, line in enumerate(lines) if line.strip().startswith(start))
        for start in ("Cats:", "--claws", "Dogs:", "--bark", "--help")
    ]
    assert places == sorted(places)


def test_a_section_without_options_that_can_be_seen_has_no_heading():
    lines = shown(
        {
            "None": [],
            "Hidden": [click.Option(["--trick"], hidden=True)],
            "Dogs": [click.Option(["--bark"])],
        }
    )
    assert not {"None:", "Hidden:"} & set(lines)
    assert not any("--trick" in line for line in lines)
