"""Rows are found again by their content, and by nothing else."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from sknoisy.encoders import _row_cache
from sknoisy.encoders._row_cache import (
    RowCache,
    digest_of_arrays,
    digest_of_module,
    digest_of_settings,
    row_key,
)

KEYS = [row_key("text", bytes([i])) for i in range(5)]
ROWS = np.arange(15, dtype=np.float32).reshape(5, 3)


def filled(folder, n_rows=5):
    cache = RowCache(folder, "model")
    for key, row in zip(KEYS[:n_rows], ROWS, strict=False):
        cache.add(key, row)
    cache.write()
    return cache


def test_rows_are_found_by_another_program(tmp_path):
    filled(tmp_path)
    found = RowCache(tmp_path, "model").find(KEYS[::-1])
    for key, row in zip(KEYS, ROWS, strict=True):
        np.testing.assert_array_equal(found[key], row)
    assert not RowCache(tmp_path, "other").find(KEYS)
    assert not RowCache(tmp_path, "model").find([row_key("file", b"\0")])


def test_many_rows_are_written_before_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(_row_cache, "_ROWS_PER_FILE", 2)
    cache = RowCache(tmp_path, "model")
    for key, row in zip(KEYS, ROWS, strict=True):
        cache.add(key, row)
    assert len(RowCache(tmp_path, "model").find(KEYS)) == 4
    cache.write()
    cache.write()
    assert len(RowCache(tmp_path, "model").find(KEYS)) == 5


def test_the_same_rows_make_one_file(tmp_path):
    for _ in range(2):
        folder = filled(tmp_path).folder
    assert len(list(folder.iterdir())) == 1


def test_a_damaged_file_is_said_and_not_used(tmp_path):
    (file,) = filled(tmp_path, 2).folder.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.warns(UserWarning, match="cannot be read .* encoded again. Delete it"):
        assert not RowCache(tmp_path, "model").find(KEYS)


def test_a_folder_that_cannot_be_written_to_costs_a_warning(tmp_path):
    cache = RowCache(tmp_path, "model")
    cache.add(KEYS[0], ROWS[0])
    cache.folder.rmdir()
    with pytest.warns(UserWarning, match="1 rows cannot be kept in the cache"):
        cache.write()
    assert not tmp_path.joinpath("model").exists()


@pytest.mark.parametrize(
    "rows", [ROWS.astype(np.float64), ROWS[:3], ROWS.reshape(5, 3, 1)]
)
def test_a_file_with_other_rows_is_said_and_not_used(tmp_path, rows):
    keys = np.frombuffer(b"".join(KEYS), np.uint8).reshape(5, -1)
    folder = RowCache(tmp_path, "model").folder
    save_file({"keys": keys, "rows": rows}, folder / "a.safetensors")
    with pytest.warns(UserWarning, match="holds no rows by keys"):
        assert not RowCache(tmp_path, "model").find(KEYS)


def test_a_file_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be made a folder"):
        RowCache(tmp_path / "file", "model")


PARTS = [(), (b"",), (b"", b""), (b"a",), (b"a", b""), (b"", b"a"), (b"aa",), (b"ab",)]


def test_keys_differ_where_the_parts_or_kinds_do():
    keys = {row_key(kind, *parts) for kind in ("a", "b") for parts in PARTS}
    assert len(keys) == 2 * len(PARTS)
    assert row_key("a", b"x") == row_key("a", memoryview(b"x"))


def test_digests_tell_names_types_shapes_and_values():
    zeros = np.zeros((2, 3), np.float32)
    others = [zeros.T.copy(), zeros.astype(np.int32), zeros + 1, zeros[:1]]
    digests = {digest_of_arrays([("a", array)]) for array in [zeros, *others]}
    assert len(digests | {digest_of_arrays([("b", zeros)])}) == 6
    assert digest_of_arrays([("a", zeros.T)]) == digest_of_arrays([("a", others[0])])
    assert digest_of_settings({"a": 1, "b": 2}) == digest_of_settings({"b": 2, "a": 1})


def test_a_module_is_told_by_parts_and_weights():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).to(torch.bfloat16)
    digest = digest_of_module(first)
    assert digest == digest_of_module(first)
    assert digest != digest_of_module(nn.Sequential(*first, nn.ReLU()))
    with torch.no_grad():
        first[0].bias[0] += 1
    assert digest != digest_of_module(first)
