import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orchestrator.errors import UsageError
from orchestrator.schedule import notice
from orchestrator.schedule.notice import check_target, notify

FACTS = {"schedule": "nightly", "run_id": "run-1", "state": "FAILED", "why": "It's full."}


@pytest.fixture
def server():
    """A server on this machine that keeps what it is sent, and what it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(server.answer)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.answer = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("answer", [200, 500])
def test_an_address_gets_the_facts_and_a_line_for_people(server, answer):
    server.answer = answer
    host = f"127.0.0.1:{server.server_port}"
    assert notify(f"http://{host}/hook?secret=1", FACTS) == f"{host}: HTTP {answer}"
    assert server.got == [{**FACTS, "text": "nightly: run run-1 FAILED: It's full."}]


def test_an_address_that_nobody_listens_at_is_no_failure(server):
    server.server_close()
    said = notify(f"http://127.0.0.1:{server.server_port}/hook?secret=1", FACTS)
    assert said.endswith(": ConnectionError")
    assert "secret" not in said


def test_a_command_gets_the_facts(tmp_path):
    assert notify(f"cat > {tmp_path}/told; exit 3", FACTS) == "cat: exit code 3"
    assert json.loads((tmp_path / "told").read_text())["run_id"] == "run-1"


def test_a_command_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(notice, "_COMMAND_S", 0.1)
    assert notify("sleep 60", FACTS) == "sleep: ended after 0.1 s"


@pytest.mark.parametrize("target", ["", " ", "ftp://host/x", "https://", "http:///x"])
def test_a_target_that_can_not_be(target):
    with pytest.raises(UsageError):
        check_target(target)


@pytest.mark.parametrize("target", ["https://host/x", "mail -s done me", "echo a://b"])
def test_targets(target):
    assert check_target(target) == target
