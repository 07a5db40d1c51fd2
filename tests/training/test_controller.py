"""The actor that has Ray Train's controller and the mailbox."""

import pytest

SCRIPT = """
import json
import ray

from orchestrator.training.callbacks import News
from orchestrator.training.controller import start_controller

ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
controller = start_controller(ray.get_runtime_context().get_node_id())
ray.get(controller.drain.remote(0.0))
news = News(controller)
for epoch in range(5000):
    news.send("epoch", epoch=epoch)
epochs = []
while len(epochs) < 5000:
    updates = ray.get(controller.drain.remote(60.0))
    assert updates, epochs
    epochs += [update.epoch for update in updates]
print(json.dumps(epochs))
"""


@pytest.mark.slow
def test_news_is_taken_in_the_order_that_it_was_sent_in(run_with_ray):
    assert run_with_ray(SCRIPT) == list(range(5000))
