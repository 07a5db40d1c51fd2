"""Services that keep objects: how Arrow and Delta reach the one that an address names.

Keys and servers come from the environment, as each service's own tools have them looked for; no
address here holds one.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pyarrow import fs


#: How long a request that Google Cloud Storage does not answer is repeated; by itself, Arrow takes
#: 15 minutes. Amazon's is repeated three times.
_PATIENCE_S = 10.0


class ObjectStore(ABC):
    """A service, or a server that speaks like it."""

    #: Beginnings of its addresses; the first is the one that everybody knows.
    schemes: ClassVar[tuple[str, ...]]
    #: What to look at if it can't be reached.
    hint: ClassVar[str]
    #: Whether a list of folders has only those that were made, besides being in objects' names.
    lists_made_folders: ClassVar[bool] = False

    @property
    @abstractmethod
    def server(self) -> str:
        """Address of the server that stands in for the service; empty if none does."""

    def file_system(self, bucket: str) -> fs.FileSystem:
        """Return Arrow's file system for a bucket, one for all that ask; paths begin with it.

        Raises:
            OSError: It can't be reached.
        """
        return _connected(self, self.server, bucket)

    @abstractmethod
    def delta_options(self) -> dict[str, str]:
        """Return what Delta has to be told that it doesn't read from the environment."""

    @abstractmethod
    def connect(self, bucket: str) -> fs.FileSystem:
        """Return a file system of its own for a bucket.

        Raises:
            OSError: It can't be reached.
        """


class S3(ObjectStore):
    """Amazon S3."""

    schemes = ("s3://",)
    hint = (
        "Are the bucket, the keys and the server's address right? They are read from the "
        "environment, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL."
    )

    @property
    def server(self) -> str:
        """The server that AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL names."""
        return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""

    def connect(self, bucket: str) -> fs.FileSystem:
        """Return one that reads keys and region as AWS's tools do."""
        from pyarrow import fs

        # A small object is then written by one request, not by the three of a large one.
        return fs.FileSystem.from_uri(f"s3://{bucket}/?allow_delayed_open=true")[0]

    def delta_options(self) -> dict[str, str]:
        """Let a server that stands in go without TLS."""
        return {"allow_http": "true"}


class GoogleStorage(ObjectStore):
    """Google Cloud Storage."""

    schemes = ("gs://", "gcs://")
    hint = (
        "Are the bucket and the key right? GOOGLE_APPLICATION_CREDENTIALS names the key's file; "
        "without it, what `gcloud auth application-default login` left is used."
    )
    # Arrow passes over the names that Google's list of objects abbreviates.
    lists_made_folders = True

    @property
    def server(self) -> str:
        """The server that STORAGE_EMULATOR_HOST names, as Google's own clients have it."""
        named = os.environ.get("STORAGE_EMULATOR_HOST") or ""
        return named if "://" in named or not named else f"http://{named}"

    def connect(self, bucket: str) -> fs.FileSystem:
        """Return one that reads keys as Google's tools do; a server that stands in needs none."""
        from pyarrow import fs

        patience = timedelta(seconds=_PATIENCE_S)
        if not self.server:
            return fs.GcsFileSystem(retry_time_limit=patience)
        scheme, _, host = self.server.partition("://")
        return fs.GcsFileSystem(
            anonymous=True, scheme=scheme, endpoint_override=host, retry_time_limit=patience
        )

    def delta_options(self) -> dict[str, str]:
        """Name the server that stands in: Delta reads it from nothing but a key."""
        if not self.server:
            return {}
        blank = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        key = {**blank, "gcs_base_url": self.server, "disable_oauth": True}
        return {"google_service_account_key": json.dumps(key), "allow_http": "true"}


STORES: tuple[ObjectStore, ...] = (S3(), GoogleStorage())


def store_of(address: str) -> ObjectStore | None:
    """Return the service that an address names; None if it is a path, or of another kind."""
    return next((store for store in STORES if address.startswith(store.schemes)), None)


@lru_cache
def _connected(store: ObjectStore, server: str, bucket: str) -> fs.FileSystem:
    """Return a bucket's file system; at another server, the bucket is another."""
    return store.connect(bucket)
