"""Local servers that speak S3 and Google Cloud Storage."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.storage.storage import Storage

_NUMBERS = itertools.count()


#: In a process of its own, since some clients keep all threads of theirs waiting for it.
SERVE_S3 = """
import logging
import sys

from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def _serving(*arguments: object) -> Iterator[str]:
    """Run a Python program that prints the address of its server and ends with its input."""
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.stdin.close()
        server.kill()


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[dict[str, str]]:
    """What the environment says of a server that knows everybody."""
    with _serving("-c", SERVE_S3) as address:
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "a secret that nobody else has",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@pytest.fixture(scope="session")
def google_environment() -> Iterator[dict[str, str]]:
    """The same of a server that speaks Google Cloud Storage."""
    with _serving(Path(__file__).with_name("google_storage.py")) as address:
        yield {"STORAGE_EMULATOR_HOST": address}


@pytest.fixture
def s3_bucket(s3_environment, monkeypatch) -> str:
    """The address of a bucket of its own, for this process and those that it starts."""
    from pyarrow import fs

    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_NUMBERS)}"
    fs.FileSystem.from_uri(f"s3://{name}/?allow_bucket_creation=true")[0].create_dir(name)
    return f"s3://{name}"


@pytest.fixture
def google_bucket(google_environment, monkeypatch) -> str:
    """The same on Google Cloud Storage."""
    (address,) = google_environment.values()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    name = f"bucket-{next(_NUMBERS)}"
    made = json.dumps({"name": name}).encode()
    urllib.request.urlopen(f"{address}/storage/v1/b?project=tests", data=made).close()
    return f"gs://{name}"


@pytest.fixture(params=["s3", "google"])
def bucket(request) -> str:
    """The address of a bucket of its own, on each kind of store."""
    return request.getfixturevalue(f"{request.param}_bucket")


@pytest.fixture
def machines(bucket, tmp_path, monkeypatch) -> list[Storage]:
    """The same storage of objects, as two machines see it."""
    found = []
    for name in ("here", "there"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        found.append(Storage.at(f"{bucket}/storage"))
    return found
