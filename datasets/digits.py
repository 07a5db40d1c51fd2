"""1,797 handwritten digits that come with scikit-learn, enlarged from 8×8 to 28×28 pixels."""

import hashlib

from orchestrator import dataset
from orchestrator.data.source import Column, Source, SourceContext, in_memory

#: Seed of the split into training and test rows.
SPLIT_SEED = 0


@dataset()
def digits(context: SourceContext) -> Source:
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    small, labels = load_digits(return_X_y=True)
    images, labels = _enlarged(small.reshape(-1, 8, 8)), labels.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=SPLIT_SEED
    )
    return Source(
        features=(Column(name="image", dtype="uint8", shape=(28, 28)),),
        label=Column(name="label", dtype="int64"),
        classes=tuple("0123456789"),
        splits={
            name: in_memory({"image": images[rows], "label": labels[rows]})
            for name, rows in (("train", train), ("test", test))
        },
        digest=hashlib.sha256(
            images.tobytes() + labels.tobytes() + train.tobytes() + test.tobytes()
        ).hexdigest(),
        origin="scikit-learn's load_digits (UCI Optical Recognition of Handwritten Digits)",
    )


def _enlarged(small):
    """Bring images of 8×8 pixels in 0 … 16 to MNIST's form: 20×20 in a margin of 4, 0 … 255."""
    import numpy as np
    from scipy.ndimage import zoom

    large = np.clip(zoom(small, (1, 2.5, 2.5), order=1) * (255 / 16), 0, 255)
    return np.pad(np.rint(large).astype(np.uint8), ((0, 0), (4, 4), (4, 4)))
