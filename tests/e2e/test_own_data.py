"""Own data in each format, from the command line and from Python, to a trained model."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits


@pytest.fixture(scope="module")
def digits():
    """The 8×8 digits that come with scikit-learn, twice as large: (rows, 16, 16) uint8, labels."""
    images, labels = load_digits(return_X_y=True)
    large = images.reshape(-1, 8, 8).repeat(2, axis=1).repeat(2, axis=2)
    return (large * 15).astype(np.uint8), labels


def people(rows):
    """Yield who buys: the old, but of those who live in Ulm the young."""
    random = np.random.default_rng(0)
    for _ in range(rows):
        age, city = int(random.integers(18, 80)), str(random.choice(["Berlin", "Ulm", "Köln"]))
        yield {"age": age, "city": city, "buys": "yes" if (age > 45) ^ (city == "Ulm") else "no"}


def test_a_csv_file_with_words_and_numbers(warm):
    with (warm.folder / "people.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["age", "city", "buys"])
        table.writeheader()
        table.writerows(people(2000))
    asked = ("mlp-table", "--dataset", "people.csv", "--label", "buys", "--workers", 2)
    report = warm.report(*asked, "--batch-size", 32, "--epochs", 5)
    assert report["accuracy"] > 0.95
    assert report["test_rows"] == 400
    assert report["dataset"].endswith("people.csv")
    assert [entry["class"] for entry in report["per_class"]] == ["no", "yes"]
    (prepared,) = json.loads(warm("data", "ls", "-o", "json").stdout)
    assert (prepared["name"], prepared["rows"]) == ("people.csv", {"train": 1600, "test": 400})


def test_a_parquet_file_whose_columns_are_a_sequence(warm):
    import pyarrow as pa
    from pyarrow import parquet

    random = np.random.default_rng(0)
    up = random.integers(0, 2, 1000)
    values = random.normal(size=(1000, 512)) + (up * 0.5 - 0.25)[:, None]
    columns = {f"v{i}": values[:, i] for i in range(512)}
    parquet.write_table(pa.table({**columns, "up": up}), warm.folder / "series.parquet")
    asked = ("lstm-sequence", "--dataset", "series.parquet", "--label", "up", "--workers", 2)
    assert warm.report(*asked, "--epochs", 3)["accuracy"] > 0.95


def test_a_folder_of_pictures(warm, digits):
    for number, (image, label) in enumerate(zip(*digits, strict=True)):
        folder = warm.folder / "pictures" / f"digit {label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    asked = ("cnn-mnist", "--dataset", "pictures", "--workers", 2, "--epochs", 4)
    report = warm.report(*asked, "--batch-size", 32)
    assert report["accuracy"] > 0.95
    assert report["per_class"][3]["class"] == "digit 3"


LOAD = """
import sys
import numpy as np
from orchestrator import load_model
model = load_model(sys.argv[1])
print(type(model).__name__, model.predict(np.zeros((3, 16, 16), np.uint8), verbose=0).shape)
"""


def test_an_archive_of_arrays_and_the_model_of_it_loaded_again(warm, digits):
    images, labels = digits
    np.savez_compressed(warm.folder / "digits.npz", x=images, y=labels)
    asked = ("custom-lstm-mnist", "--dataset", "digits.npz", "--workers", 2, "--epochs", 5)
    report = warm.report(*asked, "--batch-size", 32)
    assert report["accuracy"] > 0.8
    done = subprocess.run(
        [sys.executable, "-c", LOAD, report["run_id"]],
        cwd=warm.folder,
        env=warm.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "CustomLSTM (3, 10)\n", done.stderr


FRAME = """
import sys
import pandas as pd
from orchestrator import launch
frame = pd.read_csv(sys.argv[1])
how = {"workers": 2, "epochs": 5, "batch_size": 32, "params": {"hidden": 32}}
report = launch("mlp-table", dataset=frame, label="buys", **how)
print(report.accuracy > 0.9, report.test_rows, report.params["hidden"], report.state)
"""


def test_a_data_frame_through_the_python_api(warm):
    path = warm.folder / "frame.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ["age", "city", "buys"])
        table.writeheader()
        table.writerows(people(1500))
    done = subprocess.run(
        [sys.executable, "-c", FRAME, str(path)],
        cwd=warm.folder,
        env=warm.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True 300 32 SUCCEEDED"


def test_mistakes_are_named_before_anything_starts(warm):
    (warm.folder / "bad.csv").write_text("age,buys\n3,yes\n4\n")
    asked = ("mlp-table", "--dataset", "bad.csv", "--label", "buys")
    error = warm(*asked, code=2).stderr
    assert "bad.csv can't be read: line 3 has 1 values, not 2" in error
    assert "Starting" not in error
    assert (
        "--label up is for a dataset in a file" in warm("mlp-table", "--label", "up", code=2).stderr
    )
