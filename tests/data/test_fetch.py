"""Fetching from real servers on this machine: good ones, bad ones, and none."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from orchestrator.data.download import partial_file
from orchestrator.data.fetch import RemoteFile, fetch
from orchestrator.data.source import SourceContext
from orchestrator.errors import DataUnavailableError, UnavailableError, UsageError

CONTENT = np.random.default_rng(0).bytes(700_000)
PACKED = gzip.compress(CONTENT, mtime=0)
NAME = "rows.gz"
#: Nothing listens on the discard port of this machine.
NOWHERE = "http://127.0.0.1:9"


@dataclass
class Mirror:
    """What a server serves, how, and what it was asked."""

    body: bytes = PACKED
    ranges: bool = True
    #: Bytes after which each answer breaks off; None: never.
    breaks_after: int | None = None
    status: int = 200
    url: str = ""
    #: The Range header of each request.
    asked: list[str | None] = field(default_factory=list)


def handler_of(mirror: Mirror) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            mirror.asked.append(wanted)
            if mirror.status != 200:
                self.send_error(mirror.status)
                return
            start = int(wanted.split("=")[1].rstrip("-")) if wanted and mirror.ranges else 0
            if start >= len(mirror.body):
                self.send_error(416)
                return
            rest = mirror.body[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: mirror.breaks_after])

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def serve() -> Iterator[object]:
    servers = []

    def start(**how: object) -> Mirror:
        mirror = Mirror(**how)  # type: ignore[arg-type]
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(mirror))
        mirror.url = f"http://127.0.0.1:{server.server_port}/folder"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return mirror

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def remote(*mirrors: Mirror | str) -> RemoteFile:
    return RemoteFile(
        name=NAME,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        mirrors=tuple(m if isinstance(m, str) else m.url for m in mirrors),
    )


def known_as_served(*mirrors: Mirror | str) -> RemoteFile:
    return dataclasses.replace(
        remote(*mirrors), sha256=hashlib.sha256(PACKED).hexdigest(), sha256_of="served"
    )


@pytest.fixture
def context(tmp_path) -> SourceContext:
    return SourceContext(data_dir=None, cache_dir=tmp_path / "not" / "there" / "yet")


def cached(context: SourceContext) -> Path:
    return context.cache_dir / "set" / NAME


def test_downloads_once_and_then_reads_the_cache(serve, context):
    mirror = serve()
    assert fetch(remote(mirror), context, folder="set")() == CONTENT
    assert fetch(remote(mirror), context, folder="set")() == CONTENT
    assert mirror.asked == [None]
    assert sorted(p.name for p in cached(context).parent.iterdir()) == [".lock", NAME]


def test_progress_counts_bytes_to_the_end(serve, tmp_path):
    told: list[tuple[str, int, int | None]] = []
    context = SourceContext(
        data_dir=None, cache_dir=tmp_path, progress=lambda *news: told.append(news)
    )
    fetch(remote(serve()), context, folder="set")
    assert told[-1] == (f"Downloading {NAME}", len(PACKED), len(PACKED))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert len(told) > 1


@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_with_a_partial_file_or_starts_over_without_range(serve, context, ranges):
    mirror = serve(ranges=ranges)
    beginning = partial_file(cached(context).parent, f"{mirror.url}/{NAME}")
    beginning.parent.mkdir(parents=True)
    beginning.write_bytes(PACKED[:100_000])
    assert fetch(remote(mirror), context, folder="set")() == CONTENT
    assert mirror.asked == ["bytes=100000-"]
    assert not beginning.exists()


def test_goes_on_where_the_server_breaks_off(serve, context):
    mirror = serve(breaks_after=300_000)
    assert fetch(remote(mirror), context, folder="set")() == CONTENT
    starts = [int(asked.split("=")[1].rstrip("-")) for asked in mirror.asked[1:] if asked]
    assert len(starts) == 2
    assert 280_000 < starts[0] <= 300_000
    assert 560_000 < starts[1] <= 600_000


def test_keeps_what_came_when_the_server_breaks_off_for_good(serve, context):
    mirror = serve(breaks_after=100_000, ranges=False)
    with pytest.raises(DataUnavailableError, match="broke off"):
        fetch(remote(mirror), context, folder="set")
    kept = partial_file(cached(context).parent, f"{mirror.url}/{NAME}")
    size = kept.stat().st_size
    assert 80_000 < size <= 100_000
    assert kept.read_bytes() == PACKED[:size]
    mirror.breaks_after, mirror.ranges = None, True
    assert fetch(remote(mirror), context, folder="set")() == CONTENT
    assert mirror.asked[-1] == f"bytes={size}-"


def test_a_partial_file_of_one_mirror_is_not_continued_from_another(serve, context):
    other = gzip.compress(CONTENT, compresslevel=1, mtime=5)
    broken, whole = serve(breaks_after=100_000, ranges=False), serve(body=other)
    assert fetch(remote(broken, whole), context, folder="set")() == CONTENT
    assert whole.asked == [None]


def test_a_partial_file_as_long_as_the_file_is_dropped(serve, context):
    mirror = serve()
    beginning = partial_file(cached(context).parent, f"{mirror.url}/{NAME}")
    beginning.parent.mkdir(parents=True)
    beginning.write_bytes(b"x" * len(PACKED))
    assert fetch(remote(mirror), context, folder="set")() == CONTENT


def test_takes_the_next_mirror_if_one_fails(serve, context):
    wrong, missing, good = serve(body=gzip.compress(b"other")), serve(status=404), serve()
    assert fetch(remote(NOWHERE, wrong, missing, good), context, folder="set")() == CONTENT
    assert [len(m.asked) for m in (wrong, missing, good)] == [1, 1, 1]


def test_says_everything_that_was_tried(serve, context):
    wrong, missing = serve(body=PACKED[:5000]), serve(status=503)
    with pytest.raises(DataUnavailableError) as caught:
        fetch(remote(NOWHERE, wrong, missing), context, folder="set")
    message = str(caught.value)
    assert f"{cached(context)} (not there)" in message
    assert f"{NOWHERE}/{NAME} (not reachable)" in message
    assert f"{wrong.url}/{NAME} (serves another or a damaged file)" in message
    assert f"{missing.url}/{NAME} (HTTP 503)" in message
    assert "--data-dir" in (caught.value.hint or "")
    assert caught.value.exit_code == 3
    assert not cached(context).exists()


def test_a_damaged_cache_file_is_fetched_anew(serve, context):
    mirror = serve()
    fetch(remote(mirror), context, folder="set")
    read = fetch(remote(mirror), context, folder="set")
    cached(context).write_bytes(PACKED[:1000])
    assert read() == CONTENT
    assert cached(context).read_bytes() == PACKED
    assert len(mirror.asked) == 2


def test_a_damaged_cache_file_without_network_is_unavailable(serve, context):
    cached(context).parent.mkdir(parents=True)
    cached(context).write_bytes(PACKED[:1000])
    read = fetch(remote(NOWHERE), context, folder="set")
    with pytest.raises(DataUnavailableError, match="not reachable"):
        read()


def test_two_at_once_download_once(serve, context):
    mirror = serve()
    got: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: got.append(fetch(remote(mirror), context, folder="set")()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [CONTENT] * 4
    assert mirror.asked == [None]


def test_a_cache_that_can_not_be_written_is_told(serve, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    context = SourceContext(data_dir=None, cache_dir=tmp_path / "file")
    with pytest.raises(UnavailableError, match="file") as caught:
        fetch(remote(serve()), context, folder="set")
    assert not isinstance(caught.value, DataUnavailableError)


@pytest.mark.parametrize(("name", "data"), [(NAME, PACKED), ("rows", CONTENT)])
def test_reads_the_users_file_compressed_or_not(serve, tmp_path, name, data):
    mirror = serve()
    (tmp_path / name).write_bytes(data)
    context = SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert fetch(remote(mirror), context, folder="set")() == CONTENT
    assert mirror.asked == []
    assert not context.cache_dir.exists()


def test_a_file_missing_from_the_users_folder_is_not_downloaded(serve, tmp_path):
    mirror = serve()
    context = SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(UsageError, match=rf"{tmp_path} has no {NAME}"):
        fetch(remote(mirror), context, folder="set")
    assert mirror.asked == []


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        (NAME, PACKED[:-100], "damaged or cut short"),
        (NAME, gzip.compress(b"other"), "not the file it should be"),
        ("rows", CONTENT[:-1], "its 699999 uncompressed bytes"),
    ],
)
def test_another_file_of_the_users_is_an_error_at_once(serve, tmp_path, name, data, words):
    mirror = serve()
    (tmp_path / name).write_bytes(data)
    context = SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(UsageError, match=words) as caught:
        fetch(remote(mirror), context, folder="set")
    assert str(tmp_path / name) in str(caught.value)
    assert mirror.asked == []


def test_the_digests_are_named(tmp_path):
    (tmp_path / NAME).write_bytes(b"other")
    context = SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(UsageError) as caught:
        fetch(remote(), context, folder="set")
    assert hashlib.sha256(b"other").hexdigest() in str(caught.value)
    assert hashlib.sha256(CONTENT).hexdigest() in str(caught.value)


def test_a_file_may_be_known_by_its_bytes_as_served(serve, context):
    mirror = serve()
    assert fetch(known_as_served(mirror), context, folder="set")() == CONTENT
    assert cached(context).read_bytes() == PACKED
    assert fetch(known_as_served(NOWHERE), context, folder="set")() == CONTENT


def test_the_same_content_served_as_other_bytes_is_refused(serve, context):
    anew = serve(body=gzip.compress(CONTENT, compresslevel=1, mtime=5))
    uncompressed = serve(body=CONTENT)
    with pytest.raises(DataUnavailableError) as caught:
        fetch(known_as_served(anew, uncompressed), context, folder="set")
    for mirror in (anew, uncompressed):
        assert f"{mirror.url}/{NAME} (serves another or a damaged file)" in str(caught.value)
    assert not cached(context).exists()
    good = serve()
    assert fetch(known_as_served(anew, good), context, folder="set")() == CONTENT


def test_a_damaged_cache_file_known_as_served_is_fetched_anew(serve, context):
    read = fetch(known_as_served(serve()), context, folder="set")
    cached(context).write_bytes(gzip.compress(b"other"))
    assert read() == CONTENT
    assert cached(context).read_bytes() == PACKED


def test_reads_the_users_file_as_it_was_served(serve, tmp_path):
    mirror = serve()
    (tmp_path / NAME).write_bytes(PACKED)
    (tmp_path / "rows").write_bytes(b"beside it, and not looked at")
    context = SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert fetch(known_as_served(mirror), context, folder="set")() == CONTENT
    assert mirror.asked == []


@pytest.mark.parametrize("name", ["rows", NAME])
def test_an_uncompressed_copy_can_not_be_verified_by_a_served_digest(serve, tmp_path, name):
    mirror = serve()
    (tmp_path / name).write_bytes(CONTENT)
    context = SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(UsageError, match="uncompressed, so it can't be verified") as caught:
        fetch(known_as_served(mirror), context, folder="set")
    assert str(tmp_path / name) in str(caught.value)
    assert f"Put {NAME} there as it was downloaded" in (caught.value.hint or "")
    assert mirror.asked == []


@pytest.mark.parametrize("data", [PACKED[:-100], gzip.compress(CONTENT, compresslevel=1)])
def test_a_copy_with_other_bytes_than_served_is_an_error(tmp_path, data):
    (tmp_path / NAME).write_bytes(data)
    context = SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(UsageError, match=f"of its {len(data)} bytes is") as caught:
        fetch(known_as_served(), context, folder="set")
    assert hashlib.sha256(data).hexdigest() in str(caught.value)
    assert hashlib.sha256(PACKED).hexdigest() in str(caught.value)
