"""Models that turn texts into rows: by name, or the user's own."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sknoisy.encoders._encoder import device_of
from sknoisy.encoders._row_cache import (
    digest_of_arrays,
    digest_of_module,
    digest_of_settings,
)

if TYPE_CHECKING:
    import torch

__all__ = ["TextModel", "load_text_model"]

_NAMES = "'sentence-transformers:NAME', 'model2vec:NAME' or 'wordllama'"


@dataclass
class TextModel:
    """A function from texts to rows, and what it is.

    Attributes
    ----------
    run : callable
        From a list of str to an array of shape (n_texts, n_features).
    digest : callable or None
        Returns a digest of its content; None for a function.
    packages : tuple of str
        Names of the packages that it is from.
    precision : str
        In which it computes.
    """

    run: Callable[[list[str]], Any]
    digest: Callable[[], str] | None = None
    packages: tuple[str, ...] = ()
    precision: str = "float32"


def load_text_model(
    model: Any,
    *,
    download: bool,
    batch_size: int,
    device: str | torch.device | None,
    amp: str | bool,
) -> TextModel:
    """Return the model of a name, or one that calls the user's.

    Parameters
    ----------
    model, download, batch_size, device, amp
        Parameters of `TextEncoder`.

    Returns
    -------
    model : TextModel

    Raises
    ------
    ImportError
        If a package is not installed.
    ValueError
        If there is no such model, or it is not there.
    """
    if isinstance(model, str):
        library, _, name = model.partition(":")
        if library == "sentence-transformers" and name:
            return _of_sentences(
                _load_sentences(name, download, device), batch_size, device, amp
            )
        if library == "model2vec" and name:
            return _static(_load_static(name, download))
        if model == "wordllama":
            return _wordllama()
        raise ValueError(
            f"model={model!r} is not known; give {_NAMES}, an object with encode(list "
            "of texts), or a function."
        )
    if isinstance(model, type):
        raise ValueError(
            f"model={model.__name__} is a class; give an instance of it, loaded."
        )
    if not hasattr(model, "encode"):
        return TextModel(model)
    if hasattr(model, "state_dict"):
        # The user's own keeps its device and modes.
        return _of_sentences(copy.deepcopy(model), batch_size, device, amp)
    if hasattr(model, "embedding") and hasattr(model, "tokenizer"):
        return _static(model)
    return TextModel(model.encode)


def _load_sentences(name, download, device):
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise _not_installed(
            f"sentence-transformers:{name}", "sentence-transformers"
        ) from error
    from sknoisy.nets._device import isolated_rng

    device = device_of(device)
    try:
        with isolated_rng(device):
            # Code in the folder of a model is not run.
            return SentenceTransformer(
                name,
                device=str(device),
                local_files_only=not download,
                trust_remote_code=False,
            )
    except OSError as error:
        raise _not_there(f"sentence-transformers:{name}", download, error) from error


def _of_sentences(model, batch_size, device, amp):
    import torch

    from sknoisy.nets._device import isolated_rng
    from sknoisy.nets._device_kinds import half_precision

    device = device_of(device)
    model.eval().to(device)
    dtype = half_precision(device, amp)

    def run(texts):
        half = torch.autocast(device.type, dtype=dtype) if dtype else nullcontext()
        with isolated_rng(device), torch.inference_mode(), half:
            rows = model.encode(
                texts,
                batch_size=batch_size,
                show_progress_bar=False,
                convert_to_numpy=False,
                convert_to_tensor=True,
            )
        return rows.float().cpu().numpy()

    def digest():
        seen = {"length": str(getattr(model, "max_seq_length", None))}
        tokenizer = getattr(model, "tokenizer", None)
        if hasattr(tokenizer, "get_vocab"):
            seen["tokens"] = digest_of_settings(dict(tokenizer.get_vocab()))
        return digest_of_settings({**seen, "module": digest_of_module(model)})

    packages = ("torch", "sentence-transformers", "transformers")
    precision = f"{dtype or torch.float32} {device.type}"
    return TextModel(run, digest, packages, precision)


def _load_static(name, download):
    try:
        from model2vec import StaticModel
    except ImportError as error:
        raise _not_installed(f"model2vec:{name}", "model2vec") from error
    if not Path(name).is_dir():
        from huggingface_hub import snapshot_download

        try:
            name = snapshot_download(name, local_files_only=not download)
        except (OSError, ValueError) as error:
            raise _not_there(f"model2vec:{name}", download, error) from error
    return StaticModel.from_pretrained(name, force_download=False)


def _static(model):
    """Return a model of token vectors, of model2vec or wordllama."""
    is_wordllama = hasattr(model, "embed")

    def run(texts):
        if is_wordllama:
            return model.embed(texts)
        # It would start processes from 10,000 texts on.
        return model.encode(texts, use_multiprocessing=False, show_progress_bar=False)

    def digest():
        arrays = [("embedding", model.embedding)]
        weights = getattr(model, "weights", None)
        if weights is not None:
            arrays.append(("weights", weights))
        mapping = getattr(model, "token_mapping", None)
        if mapping is not None:
            arrays.append(("mapping", mapping))
        seen = {
            "tokens": model.tokenizer.get_vocab(),
            "length": str(getattr(model, "max_length", None)),
            "normalize": bool(getattr(model, "normalize", False)),
            "arrays": digest_of_arrays(arrays),
        }
        return digest_of_settings(seen)

    return TextModel(run, digest, ("wordllama" if is_wordllama else "model2vec",))


def _wordllama():
    try:
        with _root_logger_kept():
            import wordllama
    except ImportError as error:
        raise ImportError(
            "model='wordllama' needs a small package, which holds its weights, too: "
            "pip install 'sknoisy[encoders]'."
        ) from error
    # With the folder of the package as cache it finds its tokenizer, which it looks
    # for on the internet otherwise.
    folder = Path(wordllama.__file__).parent
    return _static(wordllama.WordLlama.load(cache_dir=folder, disable_download=True))


@contextmanager
def _root_logger_kept():
    """Undo what an import sets on the logger of the whole program."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def _not_installed(model, package):
    return ImportError(
        f"model={model!r} needs {package}, which is not installed: pip install "
        f"{package}."
    )


def _not_there(model, download, error):
    if download:
        return ValueError(f"model={model!r} is not to be found: {error}")
    return ValueError(
        f"model={model!r} is neither a folder nor in the cache of Hugging Face. "
        "download=True fetches it once, from the internet."
    )
