"""Sub-pixel face landmarks from small heat-map networks: a registry of variants, one geometry, weights that work offline."""

from zoo import nets
from zoo.detector_files import use_detector
from zoo.errors import ZooError
from zoo.images import read_image
from zoo.landmarker import Landmarker, Prediction, load, names
from zoo.variants import VariantSpec, get
from zoo.version import __version__

__all__ = [
    "Landmarker", "Prediction", "VariantSpec", "ZooError", "__version__", "get", "load", "names", "nets", "read_image", "use_detector",
]  # fmt: skip
