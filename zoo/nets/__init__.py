"""Networks in Keras 3 or tf_keras: `build(spec, keras)` makes one, `load(name)` brings the published weights."""

from zoo.nets.build import build
from zoo.nets.weights import from_arrays, load, read_backbone, to_arrays

__all__ = ["build", "from_arrays", "load", "read_backbone", "to_arrays"]
