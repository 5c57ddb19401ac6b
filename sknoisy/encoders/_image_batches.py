"""Decoding and encoding of images, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import effective_n_jobs

from sknoisy.encoders._decoding import UnreadableImage, decode

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from sknoisy.encoders._image_models import ImageModel
    from sknoisy.encoders._image_source import ImageSource

__all__ = ["ImageRows", "decoded_batches", "in_threads"]

_ADVICE = (
    "repair it, leave it out, or pass on_error='nan', which makes a row of NaN of it"
)


def decoded_batches(
    source: ImageSource,
    index: Sequence[int],
    *,
    batch_size: int,
    size: int | None,
    resize: str,
    n_jobs: int | None,
    on_error: str,
) -> Iterator[tuple[list[int], list[int], NDArray[np.uint8]]]:
    """Yield the pixels of some images, batch by batch.

    Parameters
    ----------
    source : ImageSource
    index : sequence of int
        Which images, in this order.
    batch_size, size, resize, n_jobs, on_error
        Parameters of `ImageEncoder`; ``size`` is None for the images' own.

    Yields
    ------
    read, unreadable : list of int
        Of the index.
    pixels : ndarray of shape (n_read, 3, height, width), dtype uint8

    Raises
    ------
    TypeError, ValueError
        Which image is none or, with "raise", cannot be read, and why.
    """
    parts = [index[i : i + batch_size] for i in range(0, len(index), batch_size)]

    def read(i):
        try:
            return decode(source[i], size, resize)
        except UnreadableImage as error:
            if on_error == "raise":
                raise ValueError(f"{source.where(i)} {error}; {_ADVICE}.") from error
            return None
        except (TypeError, ValueError) as error:
            raise type(error)(f"{source.where(i)} {error}.") from error

    for part, images in zip(parts, _ahead(read, parts, n_jobs), strict=True):
        are_there = [image is not None for image in images]
        found = [i for i, there in zip(part, are_there, strict=True) if there]
        lost = [i for i, there in zip(part, are_there, strict=True) if not there]
        pixels = [image for image in images if image is not None]
        _check_sizes(source, found, pixels)
        yield found, lost, np.stack(pixels) if pixels else np.empty(0, np.uint8)


def in_threads(
    function: Callable[[int], Any], index: Sequence[int], n_jobs: int | None
) -> list[Any]:
    """Return the results of a function of each number, computed by threads.

    Parameters
    ----------
    function : callable
    index : sequence of int
    n_jobs : int or None
        Number of threads, as joblib counts them.

    Returns
    -------
    results : list
    """
    n_threads = effective_n_jobs(n_jobs)
    if n_threads == 1:
        return [function(i) for i in index]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, index))


def _ahead(
    read: Callable[[int], Any], parts: Sequence[Sequence[int]], n_jobs: int | None
) -> Iterator[list[Any]]:
    """Yield what is read of each part; threads read the next one meanwhile."""
    n_threads = effective_n_jobs(n_jobs)
    if n_threads == 1:
        yield from ([read(i) for i in part] for part in parts)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            waiting: list[Any] = []
            for part in parts:
                waiting.append([pool.submit(read, i) for i in part])
                if len(waiting) == 2:
                    yield [future.result() for future in waiting.pop(0)]
            for futures in waiting:
                yield [future.result() for future in futures]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check_sizes(source, index, pixels):
    sizes = [image.shape[1:] for image in pixels]
    for i, size in zip(index, sizes, strict=True):
        if size != sizes[0]:
            raise ValueError(
                f"{source.where(index[0])} has {sizes[0]} pixels, {source.where(i)} "
                f"has {size}: pass image_size=, to which all are resized."
            )


class ImageRows:
    """Rows of images by a network, on its device and in half precision there.

    Parameters
    ----------
    model : ImageModel
    device : torch.device
    mean, std : sequence of float or None
        Of the colours, from 0 to 1; None takes those of the model, if it has any.
    amp : "auto" or bool
    """

    def __init__(
        self,
        model: ImageModel,
        device: torch.device,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        amp: str | bool,
    ) -> None:
        import torch

        from sknoisy.nets._device_kinds import half_precision

        self.model = model
        self.device = device
        mean = (model.mean or (0.0,) * 3) if mean is None else mean
        std = (model.std or (1.0,) * 3) if std is None else std
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        self.dtype = half_precision(device, amp) or torch.float32

    def __call__(
        self, pixels: NDArray[np.uint8], view: Any = None
    ) -> NDArray[np.float32]:
        """Return the rows of some images.

        Parameters
        ----------
        pixels : ndarray of shape (n, 3, height, width), dtype uint8
        view : None, "flip" or callable, default=None
            What is done to the images before the network sees them; a function gets
            them as a float Tensor in [0, 1].

        Returns
        -------
        rows : ndarray of shape (n, n_features_out), dtype float32

        Raises
        ------
        ValueError
            If the network returns something else than a row for each image.
        """
        import torch

        from sknoisy.nets._device import isolated_rng, seed_torch
        from sknoisy.nets._layout import laid_out

        with isolated_rng(self.device), torch.inference_mode():
            seed_torch(self.device, 0)
            X = torch.from_numpy(pixels).to(self.device).float() / 255
            if view == "flip":
                X = X.flip(3)
            elif view is not None:
                X = view(X)
            mean, std = (X.new_tensor(v)[:, None, None] for v in (self.mean, self.std))
            X = laid_out((X - mean) / std, "channels_last")
            rows = self._rows(X, self.dtype)
            if self.dtype == torch.float16 and not np.isfinite(rows).all():
                # Some networks have activations beyond the range of float16.
                rows = self._rows(X, torch.float32)
        if not np.isfinite(rows).all():
            raise ValueError("model returns NaN or infinity for an image.")
        return rows

    def _rows(self, X, dtype):
        import torch

        is_half = dtype != torch.float32
        half = torch.autocast(X.device.type, dtype=dtype) if is_half else nullcontext()
        try:
            with half:
                output = self.model.run(X)
        except torch.OutOfMemoryError as error:
            raise torch.OutOfMemoryError(
                f"{error} Lower batch_size, which is {len(X)} here, or image_size."
            ) from error
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"model cannot take images of shape {tuple(X.shape)}: {error}. It may "
                "need another image_size."
            ) from error
        return _as_rows(output, len(X))


def _as_rows(output, n_images):
    """Return the output of a network as rows; the mean over the pixels of a map."""
    is_array = isinstance(output, np.ndarray)
    if not is_array and not hasattr(output, "detach"):
        raise ValueError(
            f"model returns a {type(output).__name__}; it must return a tensor of "
            "shape (n_images, n_features). Give a function that takes it out of the "
            "output."
        )
    if not is_array:
        output = output.detach().float().cpu().numpy()
    if output.ndim == 4:
        output = output.mean((2, 3))
    if output.ndim != 2 or len(output) != n_images:
        raise ValueError(
            f"model returns the shape {output.shape} for {n_images} images; it must "
            "return (n_images, n_features), or maps (n_images, n_features, height, "
            "width), of which the mean is taken. For tokens give a function such as "
            "lambda X: model(X)[:, 0]."
        )
    return np.ascontiguousarray(output, dtype=np.float32)
