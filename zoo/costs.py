"""What a variant costs, counted without Keras: the real builder run in a namespace whose layers only keep shapes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace

from zoo.nets.build import build
from zoo.variants import VariantSpec


@dataclass(frozen=True)
class Cost:
    """Trainable and fixed parameters of the float network, and multiply-accumulates of one crop."""

    parameters: int
    macs: int


class _Shape:
    """Stands for a tensor: its shape (height, width, channels) and what made it cost so far."""

    def __init__(self, shape: tuple, ledger: list[tuple[int, int]]):
        self.shape, self.ledger = (None, *shape[1:]), ledger


class _Layer:
    def __init__(self, *args, name: str | None = None, **options):
        self.args, self.options = args, options

    def __call__(self, x):
        out = self.compute_output_shape(x.shape)
        return _Shape(out, x.ledger)

    def compute_output_shape(self, shape):
        return shape

    def _charge(self, x: _Shape, out: tuple, parameters: int, macs: int) -> _Shape:
        x.ledger.append((parameters, macs))
        return _Shape(out, x.ledger)


class _Conv2D(_Layer):
    def __call__(self, x):
        (filters, kernel), (_, height, width, depth) = self.args[:2], x.shape
        step = self.options.get("strides", 1)
        out = (None, -(-height // step), -(-width // step), filters)
        weights = kernel**2 * depth * filters
        return self._charge(x, out, weights + filters * self.options.get("use_bias", True), weights * out[1] * out[2])


class _Conv2DTranspose(_Layer):
    def __call__(self, x):
        (filters, kernel), (_, height, width, depth) = self.args[:2], x.shape
        step = self.options.get("strides", 1)
        weights = kernel**2 * depth * filters
        return self._charge(x, (None, height * step, width * step, filters), weights + filters, weights * height * width)


class _DepthwiseConv2D(_Layer):
    def __call__(self, x):
        kernel, (_, height, width, depth) = self.args[0], x.shape
        step = self.options.get("strides", 1)
        out = (None, -(-height // step), -(-width // step), depth)
        return self._charge(x, out, kernel**2 * depth, kernel**2 * depth * out[1] * out[2])


class _BatchNormalization(_Layer):
    def __call__(self, x):
        return self._charge(x, x.shape, 4 * x.shape[3], 0)


class _Add(_Layer):
    def __call__(self, xs):
        return _Shape(xs[0].shape, xs[0].ledger)


_COUNTING = SimpleNamespace(
    layers=SimpleNamespace(
        Layer=_Layer, Conv2D=_Conv2D, Conv2DTranspose=_Conv2DTranspose, DepthwiseConv2D=_DepthwiseConv2D,
        BatchNormalization=_BatchNormalization, Add=_Add, ReLU=_Layer, Rescaling=_Layer,
    ),
    Input=lambda shape, batch_size=None, name=None: _Shape((batch_size, *shape), []),
    Model=lambda inputs, outputs, name=None: outputs.ledger,
)  # fmt: skip


class _Namespace(SimpleNamespace):
    __hash__ = object.__hash__


@lru_cache(maxsize=64)
def count(spec: VariantSpec) -> Cost:
    """Returns the parameters and multiply-accumulates of `spec`'s float network (batch normalisation is folded, so free)."""
    ledger = build(spec, _Namespace(**vars(_COUNTING)))
    return Cost(sum(parameters for parameters, _ in ledger), sum(macs for _, macs in ledger))
