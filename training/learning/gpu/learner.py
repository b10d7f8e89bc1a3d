"""A network and its optimiser on a GPU, as the training loop sees them: one recorded graph of kernels per step, fed ahead of time.

Convolutions compute in bfloat16, weights, optimiser, normalisation and loss in float32. With the whole step recorded as a CUDA graph a
GPU is kept busy also by small networks, whose thousand kernels would each wait for Python.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from training.learning.batches import Batch
from training.learning.configuration import Configuration
from training.learning.gpu import network
from training.learning.gpu.losses import heatmap_loss
from zoo.errors import ZooError

_UNDECAYED = ("gamma", "beta", "bias")
_WARM_UP_STEPS = 3
# How many algorithms of cuDNN are tried for a convolution: all ten take half a minute a network, and the first few hold the best.
_TRIED_ALGORITHMS = 3
_STAGES = 3  # batches on their way to the GPU
_STATISTICS = ("moving_mean", "moving_variance")


class GpuLearner:
    """Trains a network read from Keras; the methods are those of `training.learning.loop.Learner`."""

    def __init__(
        self, operators: Sequence[network.Operator], arrays: Mapping[str, np.ndarray], configuration: Configuration, device: str = "cuda"
    ):
        """Brings a network to the GPU and records its step.

        Args:
          operators: as `network.read` returns them.
          arrays: its first weights, keyed `layer/variable`.
          device: "cuda"; or "cpu", which computes in float32 and records nothing, to compare with.

        Raises:
          ZooError: the configuration wants another loss than the cross-entropy.
        """
        if configuration.loss != "cross-entropy":
            raise ZooError(f"on a GPU the loss is cross-entropy, received {configuration.loss!r}: train without --gpu")
        self._c, self._operators, self._cuda = configuration, tuple(operators), device == "cuda"
        self._kind = torch.bfloat16 if self._cuda else torch.float32
        self._by_name = {operator.name: operator for operator in operators}
        tensors = {key: network.to_tensor(self._by_name, key, array, device) for key, array in arrays.items()}
        self._weights = {key: value.requires_grad_() for key, value in tensors.items() if not key.endswith(_STATISTICS)}
        self._statistics = {key: value for key, value in tensors.items() if key.endswith(_STATISTICS)}
        self._average = {key: value.detach().clone() for key, value in self._weights.items()}
        self._rate, self._loss = torch.zeros((), device=device), torch.zeros((), device=device)
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [v for k, v in self._weights.items() if k.endswith(_UNDECAYED)], "weight_decay": 0.0},
                {"params": [v for k, v in self._weights.items() if not k.endswith(_UNDECAYED)], "weight_decay": configuration.weight_decay},
            ],
            lr=self._rate, eps=1e-7, foreach=False, fused=self._cuda, capturable=self._cuda,
        )  # fmt: skip
        size, points = configuration.spec.size, configuration.spec.points
        shapes = ((configuration.batch, size, size, 3), torch.uint8), ((configuration.batch, points, 3), torch.float32)
        self._crops, self._targets = (torch.ones(shape, dtype=kind, device=device) for shape, kind in shapes)
        self._graph = None
        if self._cuda:
            torch.backends.cudnn.benchmark, torch.backends.cudnn.benchmark_limit = True, _TRIED_ALGORITHMS
            pairs = [[torch.empty(shape, dtype=kind) for shape, kind in shapes] for _ in range(_STAGES)]
            self._copying = torch.cuda.Stream()
            self._stages = itertools.cycle([_Stage(*(part.pin_memory() for part in p), *(part.cuda() for part in p)) for p in pairs])
        with self._unchanged():
            self._record()

    def step(self, batch: Batch, rate: float) -> torch.Tensor:
        """Makes one optimiser step; returns the batch's loss before it, which `float` waits for."""
        if self._cuda:
            next(self._stages).bring(batch, self._crops, self._targets, self._copying)
        else:
            self._crops.copy_(torch.from_numpy(batch.crops))
            self._targets.copy_(torch.from_numpy(batch.targets))
        self._rate.fill_(rate)
        if self._graph is None:
            self._step()
        else:
            self._graph.replay()
        return self._loss.clone()

    @torch.no_grad()
    def maps(self, crops: np.ndarray) -> np.ndarray:
        """Returns the maps (B, grid, grid, 106) of crops (B, S, S, 3) uint8, by the weights as they are, in float32."""
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
            on_device = torch.from_numpy(crops).to(self._crops.device)
            maps = network.forward(self._operators, self._weights, self._statistics, on_device, torch.float32)
        return maps.permute(0, 2, 3, 1).cpu().numpy()

    def state(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns the network's and the optimiser's arrays, for a checkpoint."""
        model, optimizer = self._tensors()
        return [v.detach().cpu().numpy() for v in model], [v.detach().cpu().numpy() for v in optimizer]

    def restore(self, model: list[np.ndarray], optimizer: list[np.ndarray]) -> None:
        """Takes up what `state` returned; a ZooError if it is of another network or optimiser."""
        tensors = self._tensors()
        if [[tuple(v.shape) for v in some] for some in tensors] != [[v.shape for v in some] for some in (model, optimizer)]:
            raise ZooError("the checkpoint is of another network or optimiser")
        with torch.no_grad():
            for tensor, value in zip(itertools.chain(*tensors), [*model, *optimizer], strict=True):
                tensor.copy_(torch.from_numpy(value))

    def averaged(self) -> dict[str, np.ndarray]:
        """Returns the arrays of the averaged weights, keyed `layer/variable`."""
        tensors = self._average | self._statistics
        return {key: network.to_array(self._by_name, key, tensor) for key, tensor in tensors.items()}

    def _tensors(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Returns what a step changes: of the network, and of the optimiser with its average."""
        moments = [self._optimizer.state[weight][name] for weight in self._weights.values() for name in ("step", "exp_avg", "exp_avg_sq")]
        return [*self._weights.values(), *self._statistics.values()], [*moments, *self._average.values()]

    def _step(self) -> None:
        maps = network.forward(self._operators, self._weights, self._statistics, self._crops, self._kind, self._c.statistics_momentum)
        loss = heatmap_loss(self._targets, maps, self._c.distance_weight)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self._weights.values()), self._c.clip_norm, foreach=True)
        self._optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self._average.values()), [v.detach() for v in self._weights.values()], 1 - self._c.average_momentum)
            self._loss.copy_(loss.detach())

    def _record(self) -> None:
        """Makes some steps, on which kernels are chosen and the optimiser's moments come to be; then records one."""
        if not self._cuda:
            return self._step()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP_STEPS):
                self._step()
        torch.cuda.current_stream().wait_stream(aside)
        self._optimizer.zero_grad(set_to_none=True)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._step()

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Lets steps be made, and leaves everything as it was before the first one."""
        tensors = [*self._weights.values(), *self._statistics.values(), *self._average.values()]
        before = [v.detach().clone() for v in tensors]
        yield
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
            for moment in itertools.chain(*(state.values() for state in self._optimizer.state.values())):
                moment.zero_()


class _Stage:
    """Memory through which a batch goes to the GPU while the steps before it are still computed."""

    def __init__(self, crops: torch.Tensor, targets: torch.Tensor, gpu_crops: torch.Tensor, gpu_targets: torch.Tensor):
        self._pinned, self._on_gpu = (crops, targets), (gpu_crops, gpu_targets)
        self._copied, self._taken = torch.cuda.Event(), torch.cuda.Event()

    def bring(self, batch: Batch, crops: torch.Tensor, targets: torch.Tensor, copying: torch.cuda.Stream) -> None:
        """Copies a batch by way of this stage to where the step looks for it; it may be overwritten on return."""
        self._taken.synchronize()  # at once, but where the GPU is behind by as many steps as there are stages
        for pinned, array in zip(self._pinned, (batch.crops, batch.targets), strict=True):
            pinned.numpy()[:] = array
        with torch.cuda.stream(copying):
            for pinned, there in zip(self._pinned, self._on_gpu, strict=True):
                there.copy_(pinned, non_blocking=True)
            self._copied.record(copying)
        torch.cuda.current_stream().wait_event(self._copied)
        for there, wanted in zip(self._on_gpu, (crops, targets), strict=True):
            wanted.copy_(there)
        self._taken.record()
