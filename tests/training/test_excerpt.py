"""Of a traceback, the lines that matter: those of the user's own files."""

import traceback
from pathlib import Path

import pytest

from orchestrator.training.excerpt import MOST_LINES, excerpt, names_users_file, quoted_error

FEED = (
    "Traceback (most recent call last):\n"
    '  File "/opt/lib/site-packages/keras/src/trainers/trainer.py", line 371, in fit\n'
    "    logs = self.train_function(iterator)\n"
    "           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
    '  File "/home/ann/project/jobs/mine.py", line 12, in on_epoch_end\n'
    "    self.rate[epoch]\n"
    "    ~~~~~~~~~^^^^^^^\n"
    '  File "/opt/lib/site-packages/numpy/core.py", line 3, in pick\n'
    "    raise IndexError(i)\n"
    "IndexError: 7\n"
)
CRASH = (
    "*** SIGBUS received at time=1 on cpu 0 ***\nPC: @ 0x7f6e  (unknown)  (unknown)\n"
    "Fatal Python error: Bus error\n\nStack (most recent call first):\n"
    '  File "/home/ann/project/jobs/mine.py", line 17 in read\n'
    '  File "/opt/lib/site-packages/ray/train/v2/util.py", line 89 in train_fn\n'
)


def test_users_frame_is_kept_and_libraries_are_left_out():
    assert excerpt(FEED) == (
        'File "/home/ann/project/jobs/mine.py", line 12, in on_epoch_end',
        "  self.rate[epoch]",
        "IndexError: 7",
    )


def test_crash_names_the_users_line():
    assert excerpt(CRASH) == (
        'File "/home/ann/project/jobs/mine.py", line 17, in read',
        "Fatal Python error: Bus error",
    )


@pytest.mark.parametrize("trace", [FEED, CRASH])
def test_users_file_is_seen(trace):
    assert names_users_file(trace)
    assert not names_users_file(trace.replace("/home/ann/project/jobs", "/x/site-packages/jobs"))


def test_without_a_users_frame_the_last_one_is_kept():
    theirs = FEED.replace("/home/ann/project/jobs", "/x/site-packages/jobs")
    assert "numpy/core.py" in excerpt(theirs)[0]


def test_deep_recursion_stays_short():
    def down(n):
        return 1 // n + down(n - 1)

    with pytest.raises(ZeroDivisionError) as caught:
        down(30)
    lines = excerpt("".join(traceback.format_exception(caught.value)))
    assert len(lines) <= MOST_LINES
    assert lines[-1].startswith("ZeroDivisionError")


def test_what_is_no_traceback_has_no_lines():
    assert excerpt("all is well\n") == ()


def test_job_among_the_libraries_is_its_authors():
    theirs = FEED.replace("/home/ann/project/jobs", "/x/site-packages/shapes/jobs")
    for code in ("/x/site-packages/shapes", "/x/site-packages/shapes/jobs/mine.py"):
        assert names_users_file(theirs, code=Path(code))
        assert "jobs/mine.py" in excerpt(theirs, code=Path(code))[0]


GRAPH = (
    "Traceback (most recent call last):\n"
    '  File "/tmp/__autograph_generated_filejr3d.py", line 9, in tf__train_step\n'
    "    raise ag__.converted_call(ag__.ld(ValueError), ('no\\n\\nuse',), None, fscope)\n"
    "ValueError: in user code:\n\n"
    '    File "/home/ann/project/jobs/mine.py", line 24, in train_step  *\n'
    '        raise ValueError("no\\n\\nuse")\n\n'
    "    ValueError: no\n    \n    use\n"
)


def test_error_behind_quoted_code_is_told():
    assert excerpt(GRAPH) == (
        'File "/home/ann/project/jobs/mine.py", line 24, in train_step',
        '  raise ValueError("no\\n\\nuse")',
        "ValueError: no",
    )
    assert quoted_error(GRAPH) == "ValueError: no\n\nuse"
    assert quoted_error(FEED) is None
