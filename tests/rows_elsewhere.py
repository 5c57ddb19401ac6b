"""The same rows in each container that is not an array in memory, for tests."""

import numpy as np
import pytest
from torch.utils.data import Dataset


def hugging_face_module():
    """Skip without it; a folder of tests has the same name."""
    pytest.importorskip("datasets.arrow_dataset", reason="datasets is not installed")
    import datasets

    return datasets


class Items(Dataset):
    """Yields rows, or pairs of a row and a label."""

    def __init__(self, rows, labels=None):
        self.rows, self.labels = rows, labels

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        row = self.rows[number]
        return row if self.labels is None else (row, self.labels[number])


def memmap(rows, folder):
    np.save(folder / "rows.npy", rows)
    return np.load(folder / "rows.npy", mmap_mode="r")


def dask(rows, folder):
    array = pytest.importorskip("dask.array", reason="dask is not installed")
    return array.from_array(rows, chunks=(7, *rows.shape[1:]))


def zarr(rows, folder):
    module = pytest.importorskip("zarr", reason="zarr is not installed")
    chunks = (7, *(max(1, size // 2) for size in rows.shape[1:]))
    store = folder / "rows.zarr"
    how = {"shape": rows.shape, "dtype": rows.dtype, "chunks": chunks}
    array = module.create_array(store, **how)
    array[:] = rows
    return array


def hugging_face(rows, folder):
    module = hugging_face_module()
    return module.Dataset.from_dict({"row": list(rows)})


def pictures(rows, folder):
    module = hugging_face_module()
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    columns = {
        "image": [image.fromarray(row.transpose(1, 2, 0)) for row in rows],
        "label": [0] * len(rows),
    }
    kinds = {"image": module.Image(), "label": module.ClassLabel(names=["one"])}
    return module.Dataset.from_dict(columns, features=module.Features(kinds))


def items(rows, folder):
    return Items(rows)


def pairs(rows, folder):
    return Items(rows, np.zeros(len(rows)))


def parquet(rows, folder):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow.parquet import write_table

    from sknoisy.datasets import ParquetRows

    columns = [f"x{j}" for j in range(rows.shape[1])]
    table = arrow.table(dict(zip(columns, rows.T, strict=True)))
    write_table(table, folder / "rows.parquet", row_group_size=7)
    return ParquetRows(folder / "rows.parquet")


TABLES = (memmap, dask, zarr, hugging_face, items, pairs, parquet)
IMAGES = (memmap, dask, zarr, pictures, items, pairs)
