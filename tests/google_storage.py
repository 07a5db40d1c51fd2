"""A server that speaks Google Cloud Storage's two interfaces, for tests: Arrow uses its JSON one,
Delta its XML one. It knows everybody, and what both need of

- https://docs.cloud.google.com/storage/docs/json_api/v1
- https://docs.cloud.google.com/storage/docs/xml-api/overview

It runs in a process of its own, prints its address, and ends with its standard input.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

#: Names of one answer to a question for a list.
PAGE = 50


@dataclass(frozen=True)
class Blob:
    """One version of an object."""

    content: bytes
    #: What who wrote it says of it.
    about: dict[str, Any]
    generation: int
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def etag(self) -> str:
        return hashlib.md5(self.content).hexdigest()


class RefusedError(Exception):
    """What is asked for can't be done; its argument says why, as a status."""


class Buckets:
    """All buckets, and the objects in them."""

    def __init__(self) -> None:
        self._blobs: dict[str, dict[str, Blob]] = {}
        self._generations = itertools.count(1)
        self._lock = threading.Lock()

    def make(self, bucket: str) -> None:
        self._blobs.setdefault(bucket, {})

    def blobs(self, bucket: str) -> dict[str, Blob]:
        try:
            return self._blobs[bucket]
        except KeyError:
            raise RefusedError(HTTPStatus.NOT_FOUND) from None

    def get(self, bucket: str, name: str) -> Blob:
        try:
            return self.blobs(bucket)[name]
        except KeyError:
            raise RefusedError(HTTPStatus.NOT_FOUND) from None

    def put(
        self,
        bucket: str,
        name: str,
        content: bytes,
        *,
        expected: str | None,
        about: dict[str, Any] | None = None,
    ) -> Blob:
        """Write an object, if the generation that is there is the expected one; 0 is none."""
        with self._lock:
            there = self.blobs(bucket).get(name)
            if expected is not None and int(expected) != (there.generation if there else 0):
                raise RefusedError(HTTPStatus.PRECONDITION_FAILED)
            self._blobs[bucket][name] = made = Blob(content, about or {}, next(self._generations))
            return made

    def delete(self, bucket: str, name: str) -> None:
        with self._lock:
            self.get(bucket, name)
            del self._blobs[bucket][name]

    def listed(
        self, bucket: str, asked: dict[str, str], after: str
    ) -> tuple[dict[str, Blob], list[str], str | None]:
        """Return objects and common beginnings of a page, and what the next one comes after."""
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        found: dict[str, Blob | None] = {}
        for name, blob in sorted(self.blobs(bucket).items()):
            if not name.startswith(prefix):
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                found[name[: cut + 1]] = None
                if not (asked.get("includeTrailingDelimiter") == "true" and cut + 1 == len(name)):
                    continue
                # The object of that very name comes besides the beginning.
                found[f"{name}\0"] = blob
            else:
                found[name] = blob
        page = [name for name in sorted(found) if name > after][: PAGE + 1]
        more = page[PAGE - 1] if len(page) > PAGE else None
        page = page[:PAGE]
        blobs = {name.rstrip("\0"): blob for name in page if (blob := found[name]) is not None}
        return blobs, [name for name in page if found[name] is None], more


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    #: An answer goes out at once, not when its head has been acknowledged.
    disable_nagle_algorithm = True
    buckets = Buckets()
    #: What is being uploaded in pieces: where, how, and what is here.
    uploads: ClassVar[dict[str, tuple[dict[str, Any], bytearray]]] = {}
    numbers: ClassVar[Iterator[int]] = itertools.count(1)

    def do_any(self) -> None:
        url = urlsplit(self.path)
        self.asked = dict(parse_qsl(url.query, keep_blank_values=True))
        self.body = self._body()
        try:
            if url.path.startswith("/upload/storage/v1/b/"):
                self._upload(url.path.split("/")[5])
            elif match := re.fullmatch(r"/storage/v1/b(?:/([^/]+)(?:/o(?:/(.+))?)?)?", url.path):
                self._json(url.path, match[1], match[2] and unquote(match[2]))
            else:
                bucket, _, name = url.path[1:].partition("/")
                self._xml(unquote(bucket), unquote(name))
        except RefusedError as refused:
            status = refused.args[0]
            self._answer(status, json.dumps({"error": {"code": status, "message": status.phrase}}))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any  # noqa: N815

    def log_message(self, *said: object) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _json(self, path: str, bucket: str | None, name: str | None) -> None:
        if bucket is None:
            self.buckets.make(bucket := json.loads(self.body)["name"])
            self._answer_json({"name": bucket})
        elif name is not None:
            self._object(bucket, name)
        elif not path.endswith("/o"):
            self.buckets.blobs(bucket)
            self._answer_json({"kind": "storage#bucket", "name": bucket})
        else:
            blobs, prefixes, more = self.buckets.listed(
                bucket, self.asked, unquote(self.asked.get("pageToken", ""))
            )
            items = [_resource(bucket, name, blob) for name, blob in blobs.items()]
            token = {} if more is None else {"nextPageToken": quote(more)}
            self._answer_json({"items": items, "prefixes": prefixes, **token})

    def _object(self, bucket: str, name: str) -> None:
        if self.command == "DELETE":
            self.buckets.delete(bucket, name)
            self._answer(HTTPStatus.NO_CONTENT)
        elif self.asked.get("alt") == "media":
            self._content(self.buckets.get(bucket, name))
        else:
            self._answer_json(_resource(bucket, name, self.buckets.get(bucket, name)))

    def _upload(self, bucket: str) -> None:
        expected = self.asked.get("ifGenerationMatch")
        if "upload_id" in self.asked:
            self._piece(self.asked["upload_id"])
        elif self.asked["uploadType"] == "resumable":
            self.buckets.blobs(bucket)
            about = json.loads(self.body or b"{}")
            session = str(next(self.numbers))
            name = self.asked.get("name") or about["name"]
            whole = {"bucket": bucket, "name": name, "expected": expected, "about": about}
            self.uploads[session] = (whole, bytearray())
            here = f"http://{self.headers['Host']}{self.path}&upload_id={session}"
            self._answer(HTTPStatus.OK, headers={"Location": here})
        else:
            about, content = self._parts()
            name = self.asked.get("name") or about["name"]
            blob = self.buckets.put(bucket, name, content, expected=expected, about=about)
            self._answer_json(_resource(bucket, name, blob))

    def _parts(self) -> tuple[dict[str, Any], bytes]:
        """Return what is said of an object that is uploaded at once, and its content."""
        if self.asked["uploadType"] == "media":
            return {}, self.body
        boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
        assert boundary is not None
        _, about, content, _ = self.body.split(f"--{boundary[1]}".encode())
        texts = [part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n") for part in (about, content)]
        return json.loads(texts[0]), texts[1]

    def _piece(self, session: str) -> None:
        try:
            whole, here = self.uploads[session]
        except KeyError:
            raise RefusedError(HTTPStatus.GONE) from None
        place = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", self.headers["Content-Range"])
        assert place is not None
        if place[1] is not None:
            del here[int(place[1]) :]
            here += self.body
        if place[2] == "*" or len(here) < int(place[2]):
            headers = {"Range": f"bytes=0-{len(here) - 1}"} if here else {}
            self._answer(HTTPStatus.PERMANENT_REDIRECT, headers=headers)
        else:
            del self.uploads[session]
            blob = self.buckets.put(content=bytes(here), **whole)
            self._answer_json(_resource(whole["bucket"], whole["name"], blob))

    def _xml(self, bucket: str, name: str) -> None:
        if not name:
            self._xml_list(bucket)
        elif self.command == "PUT":
            expected = self.headers.get("x-goog-if-generation-match")
            made = self.buckets.put(bucket, name, self.body, expected=expected)
            self._answer(HTTPStatus.OK, headers=_headers(made))
        elif self.command == "DELETE":
            self.buckets.delete(bucket, name)
            self._answer(HTTPStatus.NO_CONTENT)
        else:
            self._content(self.buckets.get(bucket, name))

    def _xml_list(self, bucket: str) -> None:
        token = self.asked.get("continuation-token")
        after = self.asked.get("start-after", "") if token is None else unquote(token)
        blobs, prefixes, more = self.buckets.listed(bucket, self.asked, after)
        parts = [f"<IsTruncated>{str(more is not None).lower()}</IsTruncated>"]
        if more is not None:
            parts.append(f"<NextContinuationToken>{quote(more)}</NextContinuationToken>")
        for name, blob in blobs.items():
            parts.append(
                f"<Contents><Key>{escape(name)}</Key><ETag>{blob.etag}</ETag>"
                f"<LastModified>{_time(blob.updated)}</LastModified>"
                f"<Size>{len(blob.content)}</Size></Contents>"
            )
        parts += [
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in prefixes
        ]
        text = f"<ListBucketResult>{''.join(parts)}</ListBucketResult>"
        self._answer(HTTPStatus.OK, text, kind="application/xml")

    def _content(self, blob: Blob) -> None:
        content, headers, status = blob.content, _headers(blob), HTTPStatus.OK
        if wanted := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or ""):
            size = len(content)
            first = int(wanted[1]) if wanted[1] else size - int(wanted[2])
            last = min(size - 1, int(wanted[2])) if wanted[1] and wanted[2] else size - 1
            if first >= size:
                raise RefusedError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            content, status = content[first : last + 1], HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._answer(status, content, kind="application/octet-stream", headers=headers)

    def _answer_json(self, value: dict[str, Any]) -> None:
        self._answer(HTTPStatus.OK, json.dumps(value))

    def _answer(
        self,
        status: HTTPStatus,
        content: str | bytes = b"",
        *,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", kind)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _resource(bucket: str, name: str, blob: Blob) -> dict[str, Any]:
    """Return what the JSON interface says of an object."""
    return {
        **{key: blob.about[key] for key in ("contentType", "metadata") if key in blob.about},
        "kind": "storage#object",
        "name": name,
        "bucket": bucket,
        "generation": str(blob.generation),
        "metageneration": "1",
        "size": str(len(blob.content)),
        "md5Hash": base64.b64encode(hashlib.md5(blob.content).digest()).decode(),
        "timeCreated": _time(blob.updated),
        "updated": _time(blob.updated),
        "etag": blob.etag,
    }


def _headers(blob: Blob) -> dict[str, str]:
    """Return what the XML interface says of an object."""
    return {
        "ETag": f'"{blob.etag}"',
        "Last-Modified": format_datetime(blob.updated, usegmt=True),
        "x-goog-generation": str(blob.generation),
        "x-goog-stored-content-length": str(len(blob.content)),
    }


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Server(ThreadingHTTPServer):
    """Lets as many clients wait for their turn as a busy machine may make it."""

    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
