"""A job with random state, in a project of its own."""

JOB = """
from orchestrator import job


@job(dataset="digits", epochs=40, batch_size=32)
def steady():
    import keras

    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, activation="softmax"),
    ]
    return keras.Sequential([keras.Input((28, 28)), *layers])
"""


def write_project(folder):
    """Make a folder a project that has the job `steady`."""
    (folder / "cluster.yaml").write_text("cluster_name: test\n")
    (folder / "jobs").mkdir()
    (folder / "jobs" / "steady.py").write_text(JOB)
