"""Weights as plain arrays keyed `layer/variable`: they move between namespaces, files and frameworks without pickles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from zoo.cards import published, weights_folder
from zoo.errors import ZooError
from zoo.files import read_npz, write_whole
from zoo.nets.build import build
from zoo.variants import get, split_tag

# What the names of the layers begin with that are not of the backbone (see `zoo.nets.build`).
_HEAD_LAYERS = ("head_", "maps")
_MOST_BYTES = 256 << 20  # of a file's arrays; the largest network here has 20 MB


def _key(layer: Any, variable: Any) -> str:
    name = variable.name.split("/")[-1].removesuffix(":0")
    return f"{layer.name}/{'kernel' if name == 'depthwise_kernel' else name}"


def _variables(model: Any) -> dict[str, Any]:
    return {_key(layer, variable): variable for layer in model.layers for variable in layer.weights}


def to_arrays(model: Any) -> dict[str, np.ndarray]:
    """Returns the model's weights as float32 arrays keyed `layer/variable`, alike for Keras 3 and tf_keras."""
    return {key: np.asarray(variable, np.float32) for key, variable in _variables(model).items()}


def from_arrays(model: Any, arrays: dict[str, np.ndarray], *, partial: bool = False) -> int:
    """Sets the model's weights from arrays keyed `layer/variable`; returns how many variables were set.

    Args:
      partial: take what fits in name and shape and leave the rest as it is.

    Raises:
      ZooError: unless `partial`, when the names or shapes are not exactly the model's.
    """
    variables = _variables(model)
    fitting = {key: variable for key, variable in variables.items() if key in arrays and arrays[key].shape == tuple(variable.shape)}
    if not partial and (len(fitting) != len(variables) or len(arrays) != len(variables)):
        odd = sorted(set(variables) - set(fitting)) or sorted(set(arrays) - set(variables))
        raise ZooError(f"weights do not fit {model.name}: {len(fitting)} of {len(variables)} variables match, {odd[0]!r} does not")
    for key, variable in fitting.items():
        variable.assign(arrays[key])
    return len(fitting)


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the arrays of a weights file (.npz); a ZooError says what is wrong with it."""
    found = read_npz(path, most_bytes=_MOST_BYTES)
    for key, value in found.items():
        if value.dtype.kind not in "fi":  # a quantisation-aware network counts its steps
            raise ZooError(f"{path} is no file of weights: {key} is of type {value.dtype}; numbers are expected")
        if not np.isfinite(value).all():
            raise ZooError(f"{path} is no file of weights: {key} holds what is no finite number")
    return {key: value.astype(np.float32) for key, value in found.items()}


def write_published(path: str | os.PathLike, arrays: dict[str, np.ndarray]) -> None:
    """Writes weights to go on from, in half the bytes: kernels in half precision, everything with one axis as it is.

    Biases and the statistics of normalisation are few, and may lie outside what half precision can tell apart.
    """
    halved = {key: value.astype(np.float16 if value.ndim > 1 else np.float32) for key, value in arrays.items()}
    write_whole(path, lambda file: np.savez_compressed(file, **halved))


def backbone_arrays(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns those of a network's arrays, keyed `layer/variable`, that are not of its head."""
    return {key: value for key, value in arrays.items() if not key.startswith(_HEAD_LAYERS)}


def read_backbone(model: Any, weights: str) -> int:
    """Starts the backbone from ImageNet; returns how many variables were set.

    Args:
      model: a built variant.
      weights: "imagenet" (downloaded by keras.applications, needs a network) or a local .npz of the same layer names.
    """
    if weights != "imagenet":
        arrays = read_arrays(weights)
    else:
        import keras

        alpha = next(a for a, c in ((0.35, 112), (0.5, 160), (1.0, 320)) if model.get_layer("block_16_project").filters == c)
        try:
            arrays = to_arrays(
                keras.applications.MobileNetV2(alpha=alpha, include_top=False, weights="imagenet", input_shape=(128, 128, 3))
            )
        except Exception as error:
            raise ZooError(f"ImageNet weights could not be downloaded ({error}); give a local .npz instead") from error
    count = from_arrays(model, arrays, partial=True)
    if not count:
        raise ZooError(f"{weights} holds no variable of {model.name}: it is for another alpha or another network")
    return count


def load(name: str, keras: Any | None = None) -> Any:
    """Returns the published float network `name` (`variant[.tag]`), trained, in Keras 3 or the namespace given.

    Raises:
      ZooError: there is no such variant, no float weights of it lie here (an installed package has none), or no Keras is installed.
    """
    base, tag = split_tag(name)
    path = Path(weights_folder(f"{base}.{tag}")) / "float.npz"
    if not path.is_file():
        if f"{base}.{tag}" in published():
            raise ZooError(f"the trained float weights of {base}.{tag} are not in the installed package, "
                           "which runs int8 and float16 files; they lie in the repository's clone (pip install -e .)")  # fmt: skip
        raise ZooError(f"no float weights are published for {base}.{tag}")
    if keras is None:
        keras = _keras()
    model = build_for(base, keras)
    from_arrays(model, read_arrays(path))
    return model


def _keras() -> Any:
    try:
        import keras
    except ImportError as error:
        raise ZooError(f"Keras cannot be imported ({error}): pip install 'landmark-zoo[keras]'") from None
    return keras


def build_for(name: str, keras: Any) -> Any:
    """Returns the untrained network of the variant called `name`."""
    return build(get(name), keras)
