"""Metrics between the ends of epochs, over the attempts of a run."""

from orchestrator.records.metric_log import MetricLog, running_metrics
from orchestrator.storage.run_folder import RunFolder


def test_steps_that_were_taken_again_count_once_as_the_last_attempt_tells_them(tmp_path):
    run = RunFolder(path=tmp_path / "run")
    told = ([(1, 10, 3.0), (1, 20, 2.0), (2, 10, 1.0)], [(1, 20, 2.5), (2, 10, 1.5)])
    for attempt in told:
        log = MetricLog(path=run.new_attempt().metrics)
        for epoch, step, loss in attempt:
            log.append(epoch=epoch, step=step, metrics={"loss": loss})
    assert running_metrics(run) == [
        {"epoch": 1, "step": 10, "loss": 3.0},
        {"epoch": 1, "step": 20, "loss": 2.5},
        {"epoch": 2, "step": 10, "loss": 1.5},
    ]


def test_line_that_a_crash_cut_off_is_passed_over(tmp_path):
    run = RunFolder(path=tmp_path / "run")
    log = MetricLog(path=run.new_attempt().metrics)
    log.append(epoch=1, step=1, metrics={"loss": 1.0})
    with log.path.open("a") as file:
        file.write('{"epoch": 1, "st')
    assert [entry["step"] for entry in running_metrics(run)] == [1]


def test_run_without_attempts_has_none(tmp_path):
    assert running_metrics(RunFolder(path=tmp_path / "run")) == []
