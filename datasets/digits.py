"""1,797 handwritten digits that come with scikit-learn, brought from 8×8 to MNIST's 28×28."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from orchestrator import dataset
from orchestrator.data.source import Column, Source, SourceContext, in_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Seed of the split into training and test rows.
SPLIT_SEED = 0


@dataset()
def digits(context: SourceContext) -> Source:
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    small, labels = load_digits(return_X_y=True)
    images = centred(enlarged(small.reshape(-1, 8, 8).astype(np.int64)))
    labels = labels.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=SPLIT_SEED
    )
    parts = (images, labels, train, test)
    return Source(
        features=(Column(name="image", dtype="uint8", shape=(28, 28)),),
        label=Column(name="label", dtype="int64"),
        classes=tuple("0123456789"),
        splits={
            name: in_memory({"image": images[rows], "label": labels[rows]})
            for name, rows in (("train", train), ("test", test))
        },
        digest=hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest(),
        origin="scikit-learn's load_digits (UCI Optical Recognition of Handwritten Digits)",
    )


def enlarged(small: NDArray[Any]) -> NDArray[Any]:
    """Bring `(rows, 8, 8)` images of 0 … 16 to `(rows, 20, 20) uint8` of 0 … 255, bilinearly.

    20×20 is the size that MNIST's digits were brought to. Pixel i lies at (4i − 3) / 10 of the
    small image, so tenths are exact weights, and the pixels are the same on any machine.
    """
    import numpy as np

    tenths = np.clip(4 * np.arange(20) - 3, 0, 70)
    low, rest = np.minimum(tenths // 10, 6), tenths - 10 * np.minimum(tenths // 10, 6)
    weights = np.zeros((20, 8), np.int64)
    weights[np.arange(20), low] = 10 - rest
    weights[np.arange(20), low + 1] = rest
    hundredths = weights @ small @ weights.T
    return ((hundredths * 255 + 800) // 1600).astype(np.uint8)


def centred(images: NDArray[Any]) -> NDArray[Any]:
    """Put `(rows, 20, 20)` images into `(rows, 28, 28)`, their mass in the middle, as MNIST's."""
    import numpy as np

    out = np.zeros((len(images), 28, 28), np.uint8)
    for image, large in zip(images, out, strict=True):
        mass = image.astype(np.int64)
        at = [(mass.sum(1 - axis) @ np.arange(20)) / mass.sum() for axis in (0, 1)]
        top, left = (int(np.clip(round(13.5 - place), 0, 8)) for place in at)
        large[top : top + 20, left : left + 20] = image
    return out
