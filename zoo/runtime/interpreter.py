"""Opens a landmark model's .tflite file and runs it: one crop in, points and scores out, safe to share between threads."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from zoo.errors import ZooError, unknown
from zoo.forking import UNFORKED
from zoo.runtime import declared
from zoo.runtime.crop_points import CropPoints, from_maps, from_stored_maps
from zoo.runtime.inspection import Delegation, TensorInfo, delegation, endpoints
from zoo.runtime.metadata import read
from zoo.terminal import without_stderr
from zoo.uncertainty import raw

RUNTIMES = ("ai-edge-litert", "tflite-runtime")
STRIDE = 4  # input pixels per cell of the grid
_MODULES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
_QS8_AND_QU8 = 3  # TFLITE_XNNPACK_DELEGATE_FLAG_QS8 | TFLITE_XNNPACK_DELEGATE_FLAG_QU8
__all__ = [
    "Delegation",
    "Model",
    "TensorInfo",
    "delegation",
    "endpoints",
    "installed_runtimes",
    "open_interpreter",
    "open_model",
    "read_model",
]
_opening = threading.Lock()
_quietened: set[str] = set()
_left_behind: list[Any] = []  # interpreters of the process that this one was forked from: never let go of, since that would hang


class Model:
    """An opened model; `forward` may be called from many threads, which then take turns."""

    def __init__(self, content: bytes, path: Path, interpreter: Any, runtime: str, threads: int, xnnpack: bool):
        self.path, self.runtime, self.threads, self.xnnpack = path, runtime, threads, xnnpack
        inputs, outputs = endpoints(interpreter)
        self.decodes = [len(tensor.shape) for tensor in outputs] == [3, 2, 2]  # points, scores and spreads come out, not maps
        if len(inputs) != 1 or (len(outputs) != 1 and not self.decodes):
            raise ZooError(f"{path} has inputs: {len(inputs)}, outputs: {len(outputs)}; one of each is expected")
        self.input, self.output = inputs[0], outputs[0]
        self.input_size, self.grid, self.points = _geometry(self.input, outputs, path)
        self.description = read(content, path, inputs, outputs)  # None where the file carries no metadata
        fitted = self.description and self.description.uncertainty
        self.uncertainty = fitted or raw(self.points, self.input_size / self.grid)
        self.delegation = delegation(interpreter)
        self.precision = _precision(interpreter, self.input)
        self.lock = threading.Lock()
        self._content, self._process = content, os.getpid()
        self._interpreter = interpreter
        self._input_index = interpreter.get_input_details()[0]["index"]
        self._output_indices = [detail["index"] for detail in interpreter.get_output_details()]
        self._stored_pixels = _stored_pixels(self.input, path)
        plain = np.arange(-128, 128).astype(np.int8)
        self._flip_top_bit = self._stored_pixels is not None and np.array_equal(self._stored_pixels, plain)

    def forward(self, crop: np.ndarray) -> CropPoints:
        """Returns what the network finds in a crop (input_size, input_size, 3) uint8 RGB, whether or not the graph decodes.

        Raises:
          ZooError: the crop has another shape or type.
        """
        if self.decodes:
            return CropPoints(*self._run(crop))
        maps = self.forward_stored(crop)
        if self.output.scale:
            return from_stored_maps(maps, self.input_size, self.output.scale, self.output.zero_point)
        return from_maps(maps, self.input_size)

    def maps(self, crop: np.ndarray) -> np.ndarray:
        """Returns the heat maps of a crop as real values, float32 (grid, grid, points).

        Raises:
          ZooError: the crop has another shape or type, or the graph decodes, so that no maps come out.
        """
        if self.decodes:
            raise ZooError(f"{self.path} decodes within its graph: it gives points and no heat maps")
        maps = self.forward_stored(crop)
        if not self.output.scale:
            return maps
        return (maps.astype(np.float32) - np.float32(self.output.zero_point)) * np.float32(self.output.scale)

    def forward_stored(self, crop: np.ndarray) -> np.ndarray:
        """Returns a file's maps as it stores them: int8 (grid, grid, points) from an int8 file, float32 from the others."""
        return self._run(crop)[0]

    def _run(self, crop: np.ndarray) -> list[np.ndarray]:
        stored = self._store(crop)[np.newaxis]
        try:
            with UNFORKED, self.lock:
                if self._interpreter is None:
                    raise ZooError(f"{self.path.name} is closed: load it again")
                if self.threads > 1 and self._process != os.getpid():
                    self._reopen()
                self._interpreter.set_tensor(self._input_index, stored)
                self._interpreter.invoke()
                return [self._interpreter.get_tensor(index)[0] for index in self._output_indices]
        except ZooError:
            raise
        except (ValueError, RuntimeError) as error:
            raise ZooError(f"{self.runtime} cannot run {self.path}: {_one_line(error)}") from error

    def close(self) -> None:
        """Gives the memory back; every later call is refused. Closing twice does nothing."""
        with UNFORKED, self.lock:
            self._interpreter = None

    def _reopen(self) -> None:
        """Makes the interpreter again after a fork, which leaves the threads of its pool behind: the old one would wait for them."""
        _left_behind.append(self._interpreter)
        self._interpreter = open_interpreter(self._content, self.path, self.threads, self.runtime, self.xnnpack)
        self._process = os.getpid()

    def _store(self, crop: np.ndarray) -> np.ndarray:
        crop = np.asarray(crop)
        expected = (self.input_size, self.input_size, 3)
        if crop.dtype != np.uint8 or crop.shape != expected:
            raise ZooError(f"the crop is {crop.dtype} {list(crop.shape)}; {self.path.name} takes uint8 {list(expected)}")
        if self._flip_top_bit:  # u - 128 as int8 is u with its top bit flipped
            return (crop ^ np.uint8(0x80)).view(np.int8)
        if self._stored_pixels is not None:
            return self._stored_pixels[crop]
        return crop.astype(np.float32)


def open_model(
    path: str | os.PathLike,
    threads: int = 1,
    runtime: str = "ai-edge-litert",
    xnnpack: bool = True,
    expected_size: int | None = None,
) -> Model:
    """Returns a landmark model that is ready to run.

    Args:
      path: a .tflite file of one image input (1, S, S, 3) and one output, maps (1, S / 4, S / 4, points), or three, points (1, points, 2),
        scores and spreads (1, points).
      threads: how many threads one call may use.
      runtime: "ai-edge-litert", or "tflite-runtime" (its last release, 2.14), where the delegate is made with the flags for int8.
      xnnpack: False leaves every operator to the interpreter's own kernels.
      expected_size: S where the caller knows what it must be.

    Raises:
      ZooError: the file is missing, empty, cut short, not a TFLite model or one of another kind; its metadata is another project's
        or contradicts its tensors; the runtime is not there.
    """
    path = Path(path)
    with UNFORKED:
        content = read_model(path)
        interpreter = open_interpreter(content, path, threads, runtime, xnnpack)
        try:
            model = Model(content, path, interpreter, runtime, threads, xnnpack)
        except ZooError:
            raise
        except Exception as error:  # a damaged file makes runtimes raise anything
            raise ZooError(f"{path} is damaged or of another kind ({type(error).__name__}: {_one_line(error)})") from error
    if expected_size is not None and model.input_size != expected_size:
        raise ZooError(
            f"{path} takes crops of {model.input_size} x {model.input_size} pixels; {expected_size} x {expected_size} is expected"
        )
    return model


def read_model(path: str | os.PathLike) -> bytes:
    """Returns a file's bytes once LiteRT's verifier has walked them, since tflite-runtime does not check and a cut file ends the process.

    Raises:
      ZooError: the file is missing, empty, cut short or not a TFLite model.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror or error}") from error
    if not content:
        raise ZooError(f"{path} is empty; a TFLite model is expected")
    if content[4:8] != b"TFL3":
        raise ZooError(f"{path} is not a TFLite model: bytes 4 to 7 are {content[4:8]!r}; b'TFL3' is expected")
    declared.check(content, path)
    checker = _module("ai-edge-litert")
    try:
        checker.Interpreter(model_content=content, experimental_op_resolver_type=checker.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    except (ValueError, RuntimeError) as error:
        if "flatbuffer" in str(error).lower():
            raise ZooError(f"{path} is cut short or damaged: its {len(content)} bytes are not a whole TFLite flatbuffer") from error
        raise ZooError(f"{path} cannot be opened: {_one_line(error)}") from error
    return content


def open_interpreter(content: bytes, path: Path, threads: int = 1, runtime: str = "ai-edge-litert", xnnpack: bool = True) -> Any:
    """Returns an interpreter with its tensors allocated, of any TFLite model.

    Args:
      content: what `read_model` returned.
      path: the name used in messages.
      threads: how many threads one call may use.
      runtime: a name among `RUNTIMES`.
      xnnpack: False leaves every operator to the interpreter's own kernels.

    Raises:
      ZooError: the runtime is unknown or not installed, or it refuses the model.
    """
    if threads < 1:
        raise ZooError(f"threads is {threads}; 1 or more are possible")
    module = _module(runtime)
    options: dict[str, Any] = {"model_content": content, "num_threads": threads}
    own_delegate = xnnpack and runtime == "tflite-runtime"
    if own_delegate or not xnnpack:
        options["experimental_op_resolver_type"] = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with _quiet(runtime) if xnnpack else contextlib.nullcontext():
            if own_delegate:  # the one that comes by default takes no int8 operator
                options["experimental_delegates"] = [_XnnpackDelegate(module, threads)]
            interpreter = module.Interpreter(**options)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ZooError(f"{runtime} refuses {path}: {_one_line(error)}") from error
    return interpreter


def installed_runtimes() -> tuple[str, ...]:
    """Returns the names of the runtimes that can be imported here."""
    return tuple(name for name in RUNTIMES if importlib.util.find_spec(_MODULES[name].split(".")[0]))


class _DelegateOptions(ctypes.Structure):
    _fields_ = [("threads", ctypes.c_int32), ("flags", ctypes.c_uint32), ("rest", ctypes.c_byte * 248)]  # longer than any release's


class _XnnpackDelegate:
    """tflite-runtime's XNNPACK delegate with int8 switched on; the interpreter that is given it keeps it alive."""

    def __init__(self, module: ModuleType, threads: int):
        library = ctypes.CDLL(module._interpreter_wrapper.__file__)
        library.TfLiteXNNPackDelegateOptionsDefault.restype = _DelegateOptions
        library.TfLiteXNNPackDelegateCreate.restype = ctypes.c_void_p
        library.TfLiteXNNPackDelegateCreate.argtypes = [ctypes.POINTER(_DelegateOptions)]
        library.TfLiteXNNPackDelegateDelete.restype = None
        library.TfLiteXNNPackDelegateDelete.argtypes = [ctypes.c_void_p]
        options = library.TfLiteXNNPackDelegateOptionsDefault()
        options.threads = threads
        options.flags |= _QS8_AND_QU8
        self._delete = library.TfLiteXNNPackDelegateDelete
        self._pointer = library.TfLiteXNNPackDelegateCreate(ctypes.byref(options))
        if not self._pointer:
            raise RuntimeError("the XNNPACK delegate could not be made")

    def _get_native_delegate_pointer(self) -> int:
        return self._pointer

    def __del__(self) -> None:
        pointer, self._pointer = getattr(self, "_pointer", None), None
        if pointer:
            self._delete(pointer)


def _module(runtime: str) -> ModuleType:
    if runtime not in RUNTIMES:
        raise unknown("runtime", runtime, RUNTIMES)
    try:
        return importlib.import_module(_MODULES[runtime])
    except ImportError as error:
        raise ZooError(f"{runtime} is not installed ({error}); pip install {runtime}") from error


@contextlib.contextmanager
def _quiet(runtime: str) -> Iterator[None]:
    """Hides the line that a runtime's C++ side writes on stderr when it makes its first delegate; no setting switches that off."""
    with _opening, without_stderr() if runtime not in _quietened else contextlib.nullcontext():
        _quietened.add(runtime)
        yield


def _geometry(image: TensorInfo, outputs: Sequence[TensorInfo], path: Path) -> tuple[int, int, int]:
    """Returns the input's side, the grid's side and the number of points, or refuses the file."""
    shape = image.shape
    if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] != 3:
        raise ZooError(f"{path} has input {list(shape)}; one square RGB image [1, S, S, 3] is expected")
    size, grid, given = shape[1], shape[1] // STRIDE, [tensor.shape for tensor in outputs]
    count = given[0][-1] if len(given) == 1 else given[1][1]
    expected = [(1, grid, grid, count)] if len(given) == 1 else [(1, count, 2), (1, count), (1, count)]
    if size % STRIDE or count < 1 or given != expected:
        maps = f"maps [1, {grid}, {grid}, points] are" if len(given) == 1 else "points [1, points, 2], scores and spreads [1, points] are"
        raise ZooError(f"{path} has output {', '.join(str(list(one)) for one in given)}; for its input of {size} pixels {maps} expected")
    for name, tensor in (("input", image), *(("output", tensor) for tensor in outputs)):
        possible = ("int8", "float32") if len(outputs) == 1 or name == "input" else ("float32",)
        if tensor.dtype not in possible:
            raise ZooError(f"{path} has {name} of type {tensor.dtype}; {' or '.join(possible)} is expected")
        if (tensor.dtype == "int8") != (tensor.scale > 0):
            raise ZooError(f"{path} has {name} {tensor}; an int8 tensor needs one scale and a float32 tensor none")
    return size, grid, count


def _precision(interpreter: Any, image: TensorInfo) -> str:
    if image.dtype == "int8":
        return "int8"
    dtypes = {np.dtype(detail["dtype"]).name for detail in interpreter.get_tensor_details()}
    return "float16" if "float16" in dtypes else "int8 weights" if "int8" in dtypes else "float32"


def _stored_pixels(image: TensorInfo, path: Path) -> np.ndarray | None:
    """Returns what stands in the input for each pixel value: int8 (256,), or None for a float input, which takes 0 to 255 as it is.

    A quantised input means either (u - 128) / 128 or u itself; the range that its scale and zero point span tells which.
    """
    if image.dtype != "int8":
        return None
    low, high = ((end - image.zero_point) * image.scale for end in (-128, 127))
    pixels = np.arange(256, dtype=np.float64)
    if abs(low + 1) < 0.05 and abs(high - 1) < 0.05:
        real = (pixels - 128) / 128
    elif abs(low) < 5 and abs(high - 255) < 5:
        real = pixels
    else:
        raise ZooError(f"{path} has an input that spans {low:.3g} to {high:.3g}; -1 to 1 or 0 to 255 is expected")
    return np.clip(np.round(real / image.scale) + image.zero_point, -128, 127).astype(np.int8)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or "it gives no reason"
