"""Float training on one CUDA GPU with PyTorch: the same networks, batches, loss and loop, some hundred times as fast as on two cores."""

from __future__ import annotations

import os
from importlib.util import find_spec

from zoo.errors import ZooError


def check_device(device: str) -> None:
    """Raises a ZooError unless PyTorch is installed and finds a GPU where one is wanted; CUDA is not started by the question."""
    if find_spec("torch") is None:
        raise ZooError("training on a GPU needs PyTorch, which is not installed: pip install torch")
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ZooError(f"PyTorch {torch.__version__} finds no CUDA GPU here: train without --gpu")
