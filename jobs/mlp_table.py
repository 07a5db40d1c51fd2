"""Learns from a table: numbers are normalised, words are looked up, dense layers do the rest."""

from typing import Annotated

from annotated_types import Ge, Gt, Interval

from orchestrator import DatasetInfo, job

#: Words of a column up to which each has an input of its own; more of them share a space.
MOST_ONE_HOT = 32


def numbers(values, known):
    """Encode a column of numbers: a missing one counts as the mean, and an input says so."""
    import keras

    column = keras.layers.Reshape((1,))(values)
    scaled = keras.layers.Normalization(mean=known.mean, variance=known.variance)(column)
    missing = keras.ops.isnan(column)
    inputs = [keras.ops.where(missing, 0.0, scaled)]
    return inputs + ([keras.ops.cast(missing, "float32")] if known.missing else [])


def words(values, known):
    """Encode a column of words: those that no training row has share a place with missing ones."""
    import keras

    few = len(known.vocabulary) <= MOST_ONE_HOT
    lookup = keras.layers.StringLookup(
        vocabulary=list(known.vocabulary), output_mode="one_hot" if few else "int"
    )
    places = lookup(values)
    if few:
        return [places]
    return [keras.layers.Embedding(lookup.vocabulary_size(), MOST_ONE_HOT // 2)(places)]


@job(dataset="shoppers", epochs=10, batch_size=128)
def mlp_table(
    info: DatasetInfo,
    hidden: Annotated[int, Ge(1), "Units of each dense layer."] = 64,
    layers: Annotated[int, Ge(0), "Dense layers."] = 2,
    dropout: Annotated[
        float, Interval(ge=0, lt=1), "Share of units that are left out of each step."
    ] = 0.0,
    learning_rate: Annotated[float, Gt(0), "Learning rate of Adam."] = 3e-3,
):
    import keras

    inputs, encoded = {}, []
    for column in info.features:
        if column.shape:
            raise ValueError(f"column {column.name!r} holds arrays; this job takes single values")
        known = info.statistics[column.name]
        kind = "string" if column.is_text else "float32"
        inputs[column.name] = keras.Input((), name=column.name, dtype=kind)
        encode = words if column.is_text else numbers
        encoded += encode(inputs[column.name], known)
    x = keras.layers.Concatenate()(encoded) if len(encoded) > 1 else encoded[0]
    for _ in range(layers):
        x = keras.layers.Dense(hidden, activation="relu")(x)
        x = keras.layers.Dropout(dropout)(x)
    y = keras.layers.Dense(len(info.classes), activation="softmax")(x)
    model = keras.Model(inputs if len(inputs) > 1 else next(iter(inputs.values())), y)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
