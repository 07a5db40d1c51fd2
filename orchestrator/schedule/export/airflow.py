"""A schedule as a DAG file of Apache Airflow 3."""

from __future__ import annotations

import shlex
from datetime import datetime

from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.export.exported import Exported, firing, untold
from orchestrator.schedule.folder import SchedulesFolder
from orchestrator.storage.storage import Storage

#: Exit code by which a task of Airflow's BashOperator counts as skipped.
_SKIPPED = 99

_DAG = '''\
"""launch-job schedule {name}: {job}, {when}.
{notes}"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.trigger import {timetable}

with DAG(
    dag_id={dag_id!r},
    schedule={times},
    start_date=datetime.fromisoformat({start!r}),
    end_date={end},
    catchup={catchup},
    max_active_runs={runs},
    tags=["launch-job"],
):
    # A run is taken up again by launch-job itself, so Airflow has nothing to try again.
    BashOperator(
        task_id="run",
        bash_command={command!r},
        cwd={folder!r},
        append_env=True,
        skip_on_exit_code={skipped},
        retries=0,
    )
'''


def to_airflow(schedule: Schedule, storage: Storage) -> Exported:
    """Return a schedule as a DAG file."""
    notes = untold(schedule, "jitter")
    if schedule.misfire == "skip":
        notes.append("--misfire skip is --misfire latest here: Airflow makes up for one tick")
    if schedule.overlap == "replace":
        notes.append("--overlap replace is --overlap queue here: a tick waits for the run before")
    command = firing(schedule, storage)
    if schedule.overlap == "skip":
        lock = SchedulesFolder.of(storage).schedule(schedule.name).run_lock
        command = f"flock -n -E {_SKIPPED} {shlex.quote(str(lock))} {command}"
    by_cron = schedule.cron is not None
    content = _DAG.format(
        name=schedule.name,
        job=schedule.job,
        when=schedule.when,
        notes="".join(f"\n{note}" for note in notes) + ("\n" if notes else ""),
        timetable="CronTriggerTimetable" if by_cron else "DeltaTriggerTimetable",
        dag_id=f"launch-job-{schedule.name}",
        times=f"CronTriggerTimetable({schedule.cron!r}, timezone={schedule.timezone!r})"
        if by_cron
        else f"DeltaTriggerTimetable(timedelta(seconds={schedule.every_s}))",
        start=(schedule.start or schedule.since).isoformat(),
        end=_moment(schedule.end),
        catchup=schedule.misfire == "all",
        runs=1 if schedule.overlap in ("queue", "replace") else 16,
        # Airflow renders templates in it.
        command=f"{{% raw %}}{command}{{% endraw %}}",
        folder=schedule.folder,
        skipped=_SKIPPED,
    )
    name = f"launch_job_{schedule.name.replace('-', '_').replace('.', '_')}.py"
    return Exported(files={name: content}, notes=notes)


def _moment(moment: datetime | None) -> str:
    return "None" if moment is None else f"datetime.fromisoformat({moment.isoformat()!r})"
