"""The lines of a traceback that matter to whoever reads it.

Of forty frames, two tell where the mistake is: those of the job's file. TensorFlow's, Keras's and
Ray's own are left out; where a traceback has no others, its last frame is kept.
"""

from __future__ import annotations

import re
import sysconfig
import textwrap
from dataclasses import dataclass
from pathlib import Path

#: Most lines of an excerpt.
MOST_LINES = 8

_MOST_COLUMNS = 200

_ENGINE = Path(__file__).resolve().parents[1]
_STANDARD = sysconfig.get_path("stdlib")

#: Python's frames (also those that TensorFlow quotes in a message), and those of faulthandler.
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+),? in (?P<name>.+?)(\s*\*)?$')
_ERROR = re.compile(r"^(?!PC: )(Fatal Python error: .*|(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:: .*)?)$")
_MARKS = re.compile(r"^[\s~^]*$")


@dataclass(frozen=True, kw_only=True)
class _Frame:
    file: str
    lines: tuple[str, ...]

    @property
    def is_library(self) -> bool:
        parts = Path(self.file).parts
        return (
            "site-packages" in parts
            or "dist-packages" in parts
            or self.file.startswith(("<", _STANDARD))
            or "__autograph_generated_file" in self.file
            # As TensorFlow's and Ray's own sources are called in what they print.
            or self.file.startswith(("external/", "tensorflow/", "python/ray/"))
        )

    @property
    def is_engine(self) -> bool:
        path = Path(self.file)
        return path.is_relative_to(_ENGINE) and not path.is_relative_to(_ENGINE / "builtin")

    def is_users(self, code: Path | None) -> bool:
        if code is not None and Path(self.file).is_relative_to(code):
            return True
        return not self.is_library and not self.is_engine


def excerpt(trace: str, *, code: Path | None = None) -> tuple[str, ...]:
    """Return the lines that matter of a traceback, or of what a crash has printed.

    Args:
        trace: What `traceback.format_exception` returns, joined, or the end of a log.
        code: File or folder of the job, which may lie among the libraries.

    Returns:
        The last frames of the user's own files, or else the last frames that there are, and the
        line that names the exception: at most `MOST_LINES` lines.
    """
    frames = _frames(trace)
    chosen = [f for f in frames if f.is_users(code)] or [f for f in frames if not f.is_library]
    lines: list[str] = []
    for frame in reversed(list(dict.fromkeys(chosen or frames[-1:]))):
        if len(lines) + len(frame.lines) > MOST_LINES - 1:
            break
        lines = [*frame.lines, *lines]
    return (*lines, *_error_lines(trace))


def names_users_file(trace: str, *, code: Path | None = None) -> bool:
    """Return whether a traceback goes through a file of the user's; arguments as of `excerpt`."""
    return any(frame.is_users(code) for frame in _frames(trace))


def quoted_error(text: str) -> str | None:
    """Return the error that comes behind code which TensorFlow quotes, as `Kind: message`.

    What fails while a graph is made, TensorFlow raises anew, with all of this in its message: "in
    user code:", frames, an empty line, and the error as it was.
    """
    _, found, rest = text.rpartition("in user code:\n\n")
    return textwrap.dedent(rest.partition("\n\n")[2]).strip() if found else None


def _frames(trace: str) -> list[_Frame]:
    lines = trace.splitlines()
    found = []
    for index, line in enumerate(lines):
        if match := _FRAME.match(line):
            head = f'File "{match["file"]}", line {match["line"]}, in {match["name"]}'
            code = lines[index + 1].strip() if index + 1 < len(lines) else ""
            indented = index + 1 < len(lines) and _indent(lines[index + 1]) > _indent(line)
            is_code = indented and not _FRAME.match(lines[index + 1]) and not _MARKS.match(code)
            found.append(
                _Frame(
                    file=match["file"],
                    lines=(_cut(head), *([_cut(f"  {code}")] if is_code else [])),
                )
            )
    return found


def _error_lines(trace: str) -> list[str]:
    """Return the last line that names an exception."""
    named = [line for line in trace.splitlines() if _ERROR.match(line)]
    if named and named[-1].endswith("in user code:"):
        named += (quoted_error(trace) or "").splitlines()[:1]
    return [_cut(named[-1])] if named else []


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _cut(line: str) -> str:
    return line if len(line) <= _MOST_COLUMNS else f"{line[: _MOST_COLUMNS - 1]}…"
