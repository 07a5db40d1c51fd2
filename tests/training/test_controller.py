"""The actor that has Ray Train's controller and the mailbox."""

import json
import os
import secrets
import subprocess
import sys

import pytest

SCRIPT = """
import json
import ray

from orchestrator.training.callbacks import News
from orchestrator.training.controller import start_controller
from orchestrator.training.mailbox import DRAIN

ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
controller = start_controller(ray.get_runtime_context().get_node_id())
drain = controller.drain.options(concurrency_group=DRAIN)
ray.get(drain.remote(0.0))
news = News(controller)
for epoch in range(5000):
    news.send("epoch", epoch=epoch)
epochs = []
while len(epochs) < 5000:
    updates = ray.get(drain.remote(60.0))
    assert updates, epochs
    epochs += [update.epoch for update in updates]
print(json.dumps(epochs))
"""


@pytest.mark.slow
def test_news_is_taken_in_the_order_that_it_was_sent_in(tmp_path):
    (tmp_path / "token").write_text(secrets.token_hex(32))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == list(range(5000))
