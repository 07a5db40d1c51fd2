"""The real command, as tests run it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 400


@dataclass
class Command:
    """The real command, in a working folder, a home and a storage of its own."""

    folder: Path
    #: Folder of its temporary files, if not that of all programs.
    temporary: str | None = field(default=None, kw_only=True)

    @property
    def storage(self):
        return self.folder / "store"

    @property
    def environment(self):
        dropped = ("LAUNCH_JOB_", "RAY_", "XDG_CACHE_HOME")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "home" / "token"),
            "LAUNCH_JOB_STORAGE": str(self.storage),
            "PYTHONPATH": str(ROOT),
            # Nothing here may come from the network.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            **({"TMPDIR": self.temporary} if self.temporary else {}),
        }

    def __call__(self, *args, code=0):
        """Run launch-job; return what it printed, after checking its exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *map(str, args)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def report(self, *args):
        """Run launch-job with `-o json`; return the report it printed."""
        return json.loads(self(*args, "-o", "json").stdout)

    def run_folder(self, report):
        return self.storage / "runs" / report["run_id"]
