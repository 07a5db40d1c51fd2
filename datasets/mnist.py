"""Handwritten digits: 60,000 to train on and 10,000 to test, 28×28 pixels."""

from orchestrator import dataset
from orchestrator.data.fetch import RemoteFile
from orchestrator.data.idx_dataset import IdxPair, idx_source
from orchestrator.data.source import Source, SourceContext

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
)


def _file(name: str, sha256: str) -> RemoteFile:
    return RemoteFile(name=name, sha256=sha256, mirrors=MIRRORS)


FILES = {
    "train": IdxPair(
        images=_file(
            "train-images-idx3-ubyte.gz",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        labels=_file(
            "train-labels-idx1-ubyte.gz",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        rows=60_000,
    ),
    "test": IdxPair(
        images=_file(
            "t10k-images-idx3-ubyte.gz",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        labels=_file(
            "t10k-labels-idx1-ubyte.gz",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        rows=10_000,
    ),
}


@dataset(offline="digits")
def mnist(context: SourceContext) -> Source:
    return idx_source(context, name="mnist", classes=tuple("0123456789"), splits=FILES)
