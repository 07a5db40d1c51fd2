"""What each rank exports while it trains, for whoever shows it: nothing slow is imported here."""

from __future__ import annotations

from collections.abc import Mapping

#: Name of each gauge, and what it is.
GAUGES: Mapping[str, str] = {
    "launch_job_rows_per_s": "Rows that a rank trains on in a second.",
    "launch_job_loss": "Mean loss of a rank's rows in this epoch so far.",
    "launch_job_accuracy": "Part of a rank's rows that it classified rightly in this epoch so far.",
    "launch_job_step_time_s": "Seconds of a step.",
    "launch_job_epoch": "Epoch that is being trained, from 1.",
}
