"""Programs that XLA has compiled for this machine, kept for the next run.

To compile the step of `lstm-mnist` takes 2 s of processor time in each worker, and four workers on
two cores wait for each other. TensorFlow can write down what XLA has made of a step, and finds it
again by the program itself (`--tf_xla_persistent_cache_directory`); to read it takes a tenth of
that. What it doesn't do is done here:

- It asks neither for which processor a program was made, nor by which version of itself, nor what
  XLA was told: each has a folder of its own.
- A file that was cut off fails each run that finds it, and a disk that is full the run that writes.
  So TensorFlow gets a folder beside Ray's own files, which a run can't do without anyway; what it
  writes there is published from there, whole or not at all.
- It keeps all that it has ever compiled: here, the newest.

Only what is compiled for processors is kept: what XLA makes for a GPU depends on what else runs
there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
from pathlib import Path

from orchestrator.errors import UnavailableError
from orchestrator.storage.atomic import write_atomic
from orchestrator.training.single_flight import SingleFlight

#: Programs that are kept for each processor and version; one of `lstm-mnist` takes 0.5 MB.
MOST = 64

#: What TensorFlow reads when its first program is compiled.
_FLAGS = "TF_XLA_FLAGS"
_DIRECTORY = "--tf_xla_persistent_cache_directory"
_DEVICES = "--tf_xla_persistent_cache_device_types=CPU"

#: TensorFlow gives a file this name once it is written.
_PROGRAM = "*.pb"


def folder_for(root: Path, *, compiler: str, flags: str) -> Path:
    """Return the folder of programs that this processor can run, and this compiler made.

    Args:
        root: Folder of all such folders.
        compiler: The version of TensorFlow, which XLA is a part of.
        flags: What XLA is told.
    """
    told = "\n".join([_processor(), compiler, flags])
    return root / hashlib.sha256(told.encode()).hexdigest()[:16]


def _processor() -> str:
    """Return what this machine's processor is and can do."""
    with contextlib.suppress(OSError):
        told = Path("/proc/cpuinfo").read_text(errors="replace")
        lines = re.findall(r"^(?:model name|flags|Features)\s*:.*$", told, re.MULTILINE)
        if lines:
            return "\n".join(sorted(set(lines)))
    return f"{platform.machine()} {platform.processor()}"


class CompiledPrograms:
    """The programs of one processor and version.

    Args:
        kept: Folder of those that earlier runs have published; it may be on a disk that is full.
        at_work: Folder that TensorFlow reads and writes, which all workers of a machine share.
    """

    def __init__(self, kept: Path, at_work: Path) -> None:
        self._kept = kept
        self._at_work = at_work

    def use(self) -> int:
        """Have TensorFlow look for programs and write them, before its first one is compiled.

        Where the user has told TensorFlow where, that stands.

        Returns:
            How many programs there are already.

        Raises:
            OSError: The folder beside Ray's files can't be made.
        """
        asked = os.environ.get(_FLAGS, "")
        if _DIRECTORY in asked:
            return 0
        self._at_work.mkdir(parents=True, exist_ok=True)
        for program in self._kept.glob(_PROGRAM):
            with contextlib.suppress(FileExistsError):
                (self._at_work / program.name).symlink_to(program)
        os.environ[_FLAGS] = f"{asked} {_DIRECTORY}={self._at_work} {_DEVICES}".strip()
        return len(list(self._at_work.glob(_PROGRAM)))

    def flight(self, folder: Path) -> SingleFlight | None:
        """Return who says which worker of this machine compiles; None if they share no programs.

        Args:
            folder: Folder that all workers of the attempt on this machine share.
        """
        if str(self._at_work) not in os.environ.get(_FLAGS, ""):
            return None
        return SingleFlight(folder)

    def publish(self) -> None:
        """Keep the programs that were compiled since; where there is no room, it is printed."""
        new = [path for path in self._at_work.glob(_PROGRAM) if not path.is_symlink()]
        if not new:
            return
        try:
            for program in new:
                self._move(program)
            self._drop_old()
        except FileNotFoundError:
            pass  # Another worker has published the same one, or removed the same old one.
        except (OSError, UnavailableError) as err:
            print(f"launch-job: what XLA has compiled is not kept: {err}", flush=True)

    def _move(self, program: Path) -> None:
        """Publish a program, and leave a link: of one that is dropped later, no copy comes back."""
        kept = self._kept / program.name
        write_atomic(kept, program.read_bytes())
        link = program.with_suffix(f".{os.getpid()}")
        link.symlink_to(kept)
        link.replace(program)

    def _drop_old(self) -> None:
        by_age = sorted(self._kept.glob(_PROGRAM), key=lambda path: path.stat().st_mtime_ns)
        for program in by_age[:-MOST]:
            program.unlink()
