"""Networks in Keras 3 or tf_keras: `build(spec, keras)` makes one, `load(name)` brings the published weights."""

import sys

from zoo.nets.build import build
from zoo.nets.layers import register
from zoo.nets.weights import from_arrays, load, read_backbone, to_arrays

__all__ = ["build", "from_arrays", "load", "read_backbone", "register", "to_arrays"]

if "keras" in sys.modules:  # else `build` and `load` do it, or `register(keras)`: this import brings no Keras
    register(sys.modules["keras"])
