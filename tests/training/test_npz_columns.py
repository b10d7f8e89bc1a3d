"""An archive that is written column by column is the one NumPy would have written, or is not written at all."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from training.data.npz_columns import Column, write_columns


def column(array: np.ndarray, rows: int = 3) -> Column:
    return Column(array.dtype, array.shape[1:], lambda: (array[i : i + rows] for i in range(0, len(array), rows)))


def test_numpy_reads_what_was_written(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "points": rng.normal(0, 9, (10, 106, 2)).astype(np.float32),
        "names": np.array([f"ä{i}.jpg" for i in range(10)]),
        "disagreement": rng.random(10),
        "empty": np.zeros((10, 0), np.int64),
    }
    path = write_columns(tmp_path / "a.npz", {"root": np.array("here")}, 10, {name: column(array) for name, array in arrays.items()})
    with np.load(path, allow_pickle=False) as found:
        assert found.files == ["root", *arrays] and str(found["root"]) == "here"
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("count", "shape", "fault"), [(9, (2,), "has 10 rows; 9"), (11, (2,), "has 10 rows; 11"), (10, (3,), r"shape \(2,\); \(3,\) is")]
)
def test_nothing_is_written_of_columns_that_do_not_fit(tmp_path, count, shape, fault):
    array = np.zeros((10, 2))
    with pytest.raises(ValueError, match=fault):
        write_columns(tmp_path / "a.npz", {}, count, {"a": Column(array.dtype, shape, lambda: iter([array]))})
    assert not list(tmp_path.iterdir())


def test_a_block_at_a_time_is_in_memory(tmp_path):
    block = np.random.default_rng(0).random((64, 478, 3)).astype(np.float32)  # 0.37 MB, of 22 MB in all
    tracemalloc.start()
    write_columns(tmp_path / "a.npz", {}, 60 * 64, {"mesh": Column(block.dtype, (478, 3), lambda: (block.copy() for _ in range(60)))})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * block.nbytes
