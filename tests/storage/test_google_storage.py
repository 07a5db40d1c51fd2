"""The server that stands in for Google Cloud Storage, where its clients would not tell."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit


def test_uploads_that_overlap_stay_apart(google_bucket, google_environment):
    host = urlsplit(google_environment["STORAGE_EMULATOR_HOST"]).netloc
    one, two = (http.client.HTTPConnection(host) for _ in range(2))
    path = f"/upload/storage/v1/b/{google_bucket.removeprefix('gs://')}/o"

    def begin(connection, name):
        connection.request("POST", f"{path}?uploadType=resumable&name={name}")
        answer = connection.getresponse()
        answer.read()
        return urlsplit(answer.headers["Location"])

    def end(connection, place, content):
        headers = {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}"}
        connection.request("PUT", f"{place.path}?{place.query}", body=content, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    first, second = begin(one, "first"), begin(two, "second")
    assert end(one, first, b"1") == 200
    # The connection that began the second upload begins another, while the second goes on.
    third = begin(two, "third")
    assert [end(one, third, b"3"), end(one, second, b"2")] == [200, 200]
    for name in ("first", "second", "third"):
        one.request("GET", f"/{google_bucket.removeprefix('gs://')}/{name}")
        assert one.getresponse().read() == {"first": b"1", "second": b"2", "third": b"3"}[name]
    one.close()
    two.close()
