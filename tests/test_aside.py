"""Work that is done aside."""

import threading

import pytest

from orchestrator.aside import Aside, CalledOffError


def test_result_is_that_of_the_work_in_another_thread():
    with Aside(lambda check: threading.current_thread()) as work:
        assert work.result() is not threading.current_thread()


def test_error_of_the_work_is_raised_where_its_result_is_wanted():
    def fail(check):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), Aside(fail) as work:
        work.result()


def test_block_that_fails_calls_the_work_off_and_waits_for_its_end():
    ended = []

    def forever(check):
        try:
            while True:
                check()
        except CalledOffError:
            ended.append(True)
            raise

    with pytest.raises(KeyboardInterrupt), Aside(forever):
        raise KeyboardInterrupt
    assert ended == [True]


def test_work_whose_result_nobody_wants_is_waited_for():
    ended = []
    with Aside(lambda check: ended.append(True)):
        pass
    assert ended == [True]
