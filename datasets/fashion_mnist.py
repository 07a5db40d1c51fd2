"""Zalando's pictures of clothes, in MNIST's format: 60,000 to train on and 10,000 to test."""

from orchestrator import dataset
from orchestrator.data.fetch import RemoteFile
from orchestrator.data.idx_dataset import IdxPair, idx_source
from orchestrator.data.source import Source, SourceContext

MIRRORS = (
    # Keras reads it from here.
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
    # Zalando's own, which has no https; what comes from it is verified like everything.
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
)

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _file(name: str, sha256: str) -> RemoteFile:
    # The published digests are those of the compressed files; TensorFlow Datasets has them too.
    return RemoteFile(name=name, sha256=sha256, sha256_of="served", mirrors=MIRRORS)


FILES = {
    "train": IdxPair(
        images=_file(
            "train-images-idx3-ubyte.gz",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        labels=_file(
            "train-labels-idx1-ubyte.gz",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        rows=60_000,
    ),
    "test": IdxPair(
        images=_file(
            "t10k-images-idx3-ubyte.gz",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        labels=_file(
            "t10k-labels-idx1-ubyte.gz",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
        rows=10_000,
    ),
}


@dataset()
def fashion_mnist(context: SourceContext) -> Source:
    return idx_source(context, name="fashion-mnist", classes=CLASSES, splits=FILES)
