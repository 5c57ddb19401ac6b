"""A file that was changed is refused, or makes an estimator, and does nothing else."""

import copy
import json
import os
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
import safetensors.numpy
from sealed_files import same, seal, unpack
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn

from sknoisy import MarginNoiseInjector, NetClassifier, load, save
from sknoisy.persistence import _format

# What no load may do. Reading the file and warming caches are no harm.
FORBIDDEN = (
    *("os.", "subprocess.", "socket.", "shutil.", "pickle.find_class", "ctypes."),
    *("webbrowser.", "urllib."),
)
HARMLESS = ("os.listdir", "os.scandir")
# For each of three files: a thousand damaged ones, and a thousand forged ones.
N_CHANGES = 334
WATCH = {"on": False, "seen": []}


def watch(event, args):
    if not WATCH["on"]:
        return
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if writes or (event.startswith(FORBIDDEN) and event not in HARMLESS):
        WATCH["seen"].append((event, args))


sys.addaudithook(watch)


def data():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    return rng.normal(size=(60, 4)) + 3 * np.eye(4)[y], np.array(["a", "b", "c"])[y]


def make_net():
    net = NetClassifier(module__hidden=2, max_epochs=2, random_state=0)
    return net.fit(*data())


def make_forest():
    forest = RandomForestClassifier(3, max_depth=3, random_state=0)
    pipe = make_pipeline(StandardScaler(), forest)
    return MarginNoiseInjector(estimator=pipe, random_state=0).fit(*data())


def make_text():
    texts = np.array(["a good day", "bad day", "so good", "so bad"] * 5, dtype=object)
    pipe = make_pipeline(TfidfVectorizer(), LogisticRegression())
    return pipe.fit(texts, np.arange(20) % 2)


@pytest.fixture(scope="module", params=[make_net, make_forest, make_text])
def original(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "original"
    estimator = request.param()
    save(estimator, path)
    return load(path), path.read_bytes()


def try_load(content, path):
    """Return what is loaded, or None for a ValueError; all else fails the test."""
    path.write_bytes(content)
    WATCH["seen"].clear()
    WATCH["on"] = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return load(path)
    except ValueError as error:
        assert "cannot be loaded" in str(error)
        assert len(str(error)) < 2000
        return None
    finally:
        WATCH["on"] = False
        assert not WATCH["seen"]


def mutate(content, rng):
    """Return a file with flipped, lost, added, repeated or exchanged bytes."""
    content = bytearray(content)
    place = int(rng.integers(len(content)))
    if rng.random() < 0.5:
        # The header is short and decides most.
        place = int(rng.integers(8 + int.from_bytes(content[:8], "little")))
    match rng.integers(7):
        case 0:
            content[place] ^= 1 << int(rng.integers(8))
        case 1:
            del content[place:]
        case 2:
            content[place:place] = rng.bytes(int(rng.integers(1, 20)))
        case 3:
            del content[place : place + int(rng.integers(1, 20))]
        case 4:
            content[place : place + 8] = content[:8]
        case 5:
            content[:8] = rng.bytes(8)
        case 6:
            other = int(rng.integers(len(content)))
            content[place], content[other] = content[other], content[place]
    return bytes(content)


@pytest.mark.fast_cases(1)
def test_damaged_files(original, tmp_path):
    estimator, content = original
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(N_CHANGES):
        loaded = try_load(mutate(content, rng), tmp_path / "file")
        n_refused += loaded is None
        assert loaded is None or same(loaded, estimator)
    # Only changes to nothing go through: a byte for the same one, a blank in JSON.
    assert n_refused > 0.95 * N_CHANGES


HOSTILE = [
    *(
        "os.system",
        "builtins.eval",
        "builtins.exec",
        "subprocess.Popen",
        "pickle.loads",
    ),
    *("sklearn.linear_model.LogisticRegression", "torch.nn.Linear", "numpy.float64"),
    *("sknoisy.persistence.save", "importlib.import_module", "__class__", "../../x"),
    *(None, True, -1, 0, 3, 10**18, -(10**30), 0.5, "", [], {}, [[]], "nan", "O", "F"),
    *("<U1000000000", "|V8", "uint8", "cuda:99", "meta", [10**9, 10**9], "a" * 5000),
    {"type": "ref", "id": 0},
    {"type": "ref", "id": 10**9},
    {"type": "name", "name": "os.system"},
    {"type": "partial", "items": [{"type": "name", "name": "builtins.print"}, [], {}]},
    {"type": "set", "items": [[1]]},
    {"type": "float", "value": "nan"},
]


def places(value, path=()):
    """Return the way to each part of a JSON value."""
    yield path
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from places(value[key], (*path, key))


def forge(manifest, arrays, rng):
    """Return a manifest and arrays with one or two lies."""
    manifest = copy.deepcopy(manifest)
    arrays = dict(arrays)
    ways = [way for way in places(manifest) if way]
    for _ in range(rng.integers(1, 3)):
        way = ways[rng.integers(len(ways))]
        holder = manifest
        try:
            for key in way[:-1]:
                holder = holder[key]
            other = ways[rng.integers(len(ways))]
            match rng.integers(6):
                case 0 | 1:
                    holder[way[-1]] = HOSTILE[rng.integers(len(HOSTILE))]
                case 2:
                    del holder[way[-1]]
                case 3:
                    holder["extra"] = 1
                case 4:
                    value = manifest
                    for key in other:
                        value = value[key]
                    holder[way[-1]] = copy.deepcopy(value)
                case 5:
                    forge_array(arrays, rng)
        except (KeyError, IndexError, TypeError):
            pass
    return manifest, arrays


def forge_array(arrays, rng):
    names = sorted(arrays)
    if not names:
        return
    name = names[rng.integers(len(names))]
    array = arrays[name]
    match rng.integers(7):
        case 0:
            del arrays[name]
        case 1:
            arrays["extra"] = array
        case 2:
            arrays[name] = array.ravel()[:-1]
        case 3:
            arrays[name] = array.astype(np.float16)
        case 4:
            arrays[name] = array[None]
        case 5:
            arrays[name] = np.empty((0, 2**40), array.dtype)
        case 6:
            flat = np.frombuffer(rng.bytes(array.nbytes), np.uint8)
            arrays[name] = flat.view(array.dtype).reshape(array.shape)


@pytest.mark.slow
def test_forged_files_with_a_right_checksum(original, tmp_path):
    manifest, arrays = unpack(original[1])
    rng = np.random.default_rng(1)
    rows = np.array(["good day"]) if "Tfidf" in str(original[0]) else data()[0]
    n_refused = 0
    for _ in range(N_CHANGES):
        loaded = try_load(seal(*forge(manifest, arrays, rng)), tmp_path / "file")
        n_refused += loaded is None
        if loaded is None:
            continue
        assert isinstance(loaded, BaseEstimator)
        # What was forged may fail, but not crash.
        judge = getattr(loaded, "estimator_", loaded)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                judge.predict_proba(rows)
        except Exception:
            pass
    assert n_refused > 0.3 * N_CHANGES


def test_trees_whose_nodes_point_outside_are_refused(tmp_path):
    save(make_forest(), tmp_path / "file")
    manifest, arrays = unpack((tmp_path / "file").read_bytes())
    tree = next(entry for entry in manifest["objects"] if entry["type"] == "tree")
    rng = np.random.default_rng(0)

    def stored(name):
        return manifest["objects"][tree["nodes"][name]["id"]]["array"]

    for name in ("left_child", "right_child", "feature"):
        for value in (-5, 2**40, 0, 10**6):
            forged = arrays[stored(name)].copy()
            forged[0] = value
            if name == "feature" and value == 0:
                continue
            lie = seal(manifest, {**arrays, stored(name): forged})
            assert try_load(lie, tmp_path / "file") is None, (name, value)
    for field, value in {"max_depth": 0, "n_features": 9, "n_outputs": 2}.items():
        lie = copy.deepcopy(manifest)
        next(e for e in lie["objects"] if e["type"] == "tree")[field] = value
        assert try_load(seal(lie, arrays), tmp_path / "file") is None
    noise = rng.integers(0, 9, arrays[stored("left_child")].shape)
    lie = seal(manifest, {**arrays, stored("left_child"): noise})
    assert try_load(lie, tmp_path / "file") is None


def edited(content, edit):
    manifest, arrays = unpack(content)
    edit(manifest, arrays)
    return seal(manifest, arrays)


def first(manifest, kind, **fields):
    return next(
        entry
        for entry in manifest["objects"]
        if entry["type"] == kind and all(entry[k] == v for k, v in fields.items())
    )


def of_class(manifest, name):
    return next(e for e in manifest["objects"] if e.get("class", "").endswith(name))


def rename(manifest, old, new):
    text = json.dumps(manifest).replace(old, new)
    manifest.clear()
    manifest.update(json.loads(text))


@pytest.fixture(scope="module")
def net_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "file"
    save(make_net(), path)
    return path.read_bytes()


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda m, a: rename(m, "torch.nn.Linear", "os.system"),
            r"it names os.system; that is not allowed by default",
        ),
        (
            lambda m, a: rename(m, "torch.nn.Linear", "sklearn.svm.SVC"),
            r"it names sklearn.svm.SVC",
        ),
        (
            lambda m, a: rename(m, "torch.nn.Linear", "torch.nn.os.system"),
            r"it names torch.nn.os.system",
        ),
        (
            lambda m, a: rename(m, "torch.nn.Linear", "sknoisy.nets._device.torch"),
            r"it names sknoisy.nets._device.torch",
        ),
        (
            lambda m, a: rename(m, "torch.nn.Linear", "torch.optim.SGD"),
            r"torch.optim.SGD is of another kind",
        ),
        (
            lambda m, a: rename(m, "torch.nn.Linear", "skorch.callbacks.Checkpoint"),
            r"it names skorch.callbacks.Checkpoint",
        ),
        (lambda m, a: m.update(names=[]), "a name is not in the list of names"),
        (lambda m, a: m.update(names=None), "its manifest has no names"),
        (lambda m, a: m.update(names=[1]), "its names must be strings"),
        (lambda m, a: m.update(objects={}), "its manifest has no objects"),
        (lambda m, a: m.update(versions=[]), "its manifest has no versions"),
        (lambda m, a: m.update(estimator=None), "it holds no estimator"),
        (lambda m, a: m["objects"].append(3), "expected a JSON object"),
        (lambda m, a: m["objects"].append({}), "a type must be a string"),
        (lambda m, a: m["objects"][0].update(type="code"), "'code' is an unknown type"),
        (lambda m, a: m["objects"][0].update(more=1), "must have the fields"),
        (lambda m, a: a.update(more=np.ones(2)), "an array belongs to no object"),
        (lambda m, a: a.pop("0"), "an array is missing or used twice"),
        (
            lambda m, a: first(m, "estimator")["params"].update(checkpoint="/x"),
            "checkpoint may not come from a file",
        ),
        (
            lambda m, a: first(m, "estimator")["params"].update(memory="/x"),
            "memory may not come from a file",
        ),
        (
            lambda m, a: first(m, "estimator")["attributes"].update(predict=1),
            "an attribute cannot be named 'predict'",
        ),
        (
            lambda m, a: first(m, "estimator")["attributes"].update(__class__=1),
            "an attribute cannot be named '__class__'",
        ),
        (
            lambda m, a: first(m, "estimator")["attributes"].update(lr=1),
            "cannot have the learnt attribute 'lr'",
        ),
        (
            lambda m, a: first(m, "estimator").update(params=[]),
            "attributes must be a JSON object",
        ),
        (
            lambda m, a: of_class(m, "Linear")["attributes"].update(forward=1),
            "an attribute cannot be named 'forward'",
        ),
        (
            lambda m, a: of_class(m, "Linear")["attributes"].update(_modules=None),
            "an attribute is reserved by torch",
        ),
        (
            lambda m, a: of_class(m, "Linear")["parameters"].update(forward=None),
            "a part has an invalid name",
        ),
        (
            lambda m, a: of_class(m, "Linear")["parameters"].update(weight=1),
            "a parameter must be a Parameter",
        ),
        (
            lambda m, a: of_class(m, "Linear")["buffers"].update(x=1),
            "a buffer must be a tensor",
        ),
        (
            lambda m, a: of_class(m, "Linear")["modules"].update(x=1),
            "a submodule must be a module",
        ),
        (
            lambda m, a: of_class(m, "Linear").update(unsaved_buffers=["x"]),
            "an unsaved buffer does not exist",
        ),
        (lambda m, a: first(m, "tensor").update(dtype="int8"), "has another dtype"),
        (
            lambda m, a: first(m, "tensor").update(dtype="code"),
            "'code' is not a supported torch dtype",
        ),
        (lambda m, a: first(m, "tensor").update(requires_grad=2), "must be a bool"),
        (
            lambda m, a: first(m, "optimizer")["groups"].append(
                first(m, "optimizer")["groups"][0]
            ),
            "the optimizer's parameters are inconsistent",
        ),
        (
            lambda m, a: first(m, "optimizer")["state"][0].__setitem__(0, 1),
            "the state of an optimizer must",
        ),
        (
            lambda m, a: first(m, "optimizer")["state"].__setitem__(
                0,
                [
                    first(m, "optimizer")["state"][0][0],
                    first(m, "optimizer")["state"][1][1],
                ],
            ),
            "the optimizer's state has a wrong shape",
        ),
        (
            lambda m, a: rename(
                m,
                '"type": "dict", "items": [["train_batch',
                '"type": "set", "items": [["',
            ),
            "TypeError",
        ),
    ],
)
def test_lies_are_told(edit, message, net_file, tmp_path):
    (tmp_path / "file").write_bytes(edited(net_file, edit))
    with pytest.raises(ValueError, match=r"cannot be loaded: .*" + message):
        load(tmp_path / "file")


class Holder(BaseEstimator):
    def __init__(self, value=None):
        self.value = value


class Other:
    pass


def bits(array, **fields):
    return {
        "type": "array",
        "array": "0",
        "dtype": "<f8",
        "order": "C",
        **fields,
    }, array


@pytest.mark.parametrize(
    ("entry", "array", "message"),
    [
        (*bits(np.ones(2), order="X"), "must be C or F"),
        (*bits(np.ones(2), dtype="<f4"), "an array has another dtype"),
        (*bits(np.ones(2), dtype="|O"), "unsupported dtype"),
        (*bits(np.ones(2), dtype=8), "unsupported dtype"),
        (*bits(np.ones(2, "u4"), dtype="<U9"), "an array has another dtype"),
        (*bits(np.array(1, "u4"), dtype="<U1"), "an array has another dtype"),
        (*bits(np.array([[2**31]], "u4"), dtype="<U1"), "invalid code point"),
        (*bits(np.array([2], "u1").view(bool), dtype="|b1"), "neither 0 nor 1"),
        (
            {"type": "object array", "shape": [9], "items": []},
            None,
            "does not match its items",
        ),
        (
            {"type": "object array", "shape": [-1], "items": []},
            None,
            "does not match its items",
        ),
        ({"type": "slice", "items": [1]}, None, "a slice must have three parts"),
        (
            {"type": "partial", "items": [1, 2, 3]},
            None,
            "a partial must have a function",
        ),
        ({"type": "dict", "items": [[1]]}, None, "an entry must be a pair"),
        ({"type": "dict", "items": [[1, 2], [1, 3]]}, None, "a key occurs twice"),
        ({"type": "dict", "items": 3}, None, "items must be a list"),
        ({"type": "float", "value": "1e5"}, None, "a float must be nan"),
        (
            {"type": "scalar", "dtype": "void", "value": 3},
            None,
            "unknown type of scalar",
        ),
        ({"type": "scalar", "dtype": "int8", "value": "3"}, None, "has the wrong type"),
        ({"type": "scalar", "dtype": "int8", "value": 300}, None, "OverflowError"),
        ({"type": "ref", "id": 5}, None, "an object that does not exist"),
        ({"type": "torch.Size", "items": ["a"]}, None, "sizes of a torch.Size"),
        ({"type": "History", "items": [1]}, None, "each row of a History"),
        ({"type": "torch.device", "value": "moon"}, None, "RuntimeError"),
        (
            {"type": "instance", "class": "sklearn.svm.LinearSVC", "attributes": {}},
            None,
            "an object is of a class that is not in known",
        ),
        (
            {
                "type": "part of a net",
                "class": "sklearn.svm.LinearSVC",
                "attributes": 1,
            },
            None,
            "is of another kind",
        ),
        (
            {"type": "generator", "state": {"type": "dict", "items": []}},
            None,
            "KeyError",
        ),
        (
            {
                "type": "random state",
                "state": {
                    "type": "dict",
                    "items": [
                        ["bit_generator", "MT19937"],
                        ["state", {"type": "dict", "items": [["pos", 10**6]]}],
                    ],
                },
            },
            None,
            "a generator's position is outside its buffer",
        ),
        (
            {
                "type": "generator",
                "state": {"type": "dict", "items": [["bit_generator", "os"]]},
            },
            None,
            "an unknown bit generator",
        ),
    ],
)
def test_values_that_no_estimator_has(entry, array, message, tmp_path):
    holder = {
        "type": "estimator",
        "class": f"{__name__}.Holder",
        "params": {"value": {"type": "ref", "id": 0}},
        "attributes": {},
    }
    objects = [entry, holder]
    inline = (
        *("slice", "partial", "dict", "float", "scalar", "ref"),
        *("torch.Size", "History", "torch.device"),
    )
    if entry["type"] in inline:
        holder["params"]["value"] = entry
        objects = [holder]
    manifest = {
        "versions": {},
        "names": [f"{__name__}.Holder", "sklearn.svm.LinearSVC"],
        "objects": objects,
        "estimator": {"type": "ref", "id": len(objects) - 1},
    }
    arrays = {} if array is None else {"0": array}
    (tmp_path / "file").write_bytes(seal(manifest, arrays))
    with pytest.raises(ValueError, match=r"cannot be loaded: .*" + message):
        load(tmp_path / "file", known=[Holder])


def test_words_and_categories_that_point_outside(tmp_path):
    save(TfidfVectorizer().fit(["a word and another"]), tmp_path / "file")
    manifest, arrays = unpack((tmp_path / "file").read_bytes())
    words = manifest["objects"][-1]["attributes"]["vocabulary_"]
    words["items"][0][1] = 99
    (tmp_path / "file").write_bytes(seal(manifest, arrays))
    with pytest.raises(ValueError, match="vocabulary_ is inconsistent with the other"):
        load(tmp_path / "file")
    save(OneHotEncoder().fit([["a"], ["b"]]), tmp_path / "file")
    manifest, arrays = unpack((tmp_path / "file").read_bytes())
    manifest["objects"][-1]["attributes"]["_n_features_outs"] = [1]
    (tmp_path / "file").write_bytes(seal(manifest, arrays))
    with pytest.raises(ValueError, match="categories_ is inconsistent with the other"):
        load(tmp_path / "file")
    manifest["objects"][-1]["params"]["drop"] = "first"
    (tmp_path / "file").write_bytes(seal(manifest, arrays))
    with pytest.raises(ValueError, match="OneHotEncoder with drop, min_frequency"):
        load(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated, or was not written"),
        (b"hello world", "truncated, or was not written"),
        (b"\x80\x04K\x01.", "truncated, or was not written"),
        (b"\xff" * 100, "truncated, or was not written"),
        (b"\x03" + bytes(7) + b"[1]", "its JSON must be an object"),
        (b"\x02" + bytes(7) + b"{}", "was not written by sknoisy.save"),
        (b"\x04" + bytes(7) + b"{x}}", "its JSON cannot be read"),
        (b"\x04" + bytes(7) + b"\xff\xff{}", "its JSON cannot be read"),
        (safetensors.numpy.save({"x": np.ones(2)}), "not written by sknoisy.save"),
        (seal({}, {}, stamp="2 {}"), "has version 2 of the format.*upgrade sknoisy"),
        (seal({}, {}, stamp="1 0{}"), "does not match its checksum"),
        (seal(b'{"a": 1, "a": 2}', {}), "a name occurs twice"),
        (seal(b'{"a": NaN}', {}), "NaN is not JSON"),
        (seal(b"[" * 100_000, {}), "nested too deeply"),
        (seal(b"\xff", {}), "its JSON cannot be read"),
        (seal(b'{"a": ' + b"9" * 5000 + b"}", {}), "its JSON cannot be read"),
        (seal({"names": []}, {}), "its manifest has no objects"),
    ],
)
def test_foreign_files(content, message, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=r"file' cannot be loaded: .*" + message):
        load(tmp_path / "file")


def test_a_file_without_a_manifest(tmp_path, net_file):
    import hashlib

    digest = hashlib.sha256(b"x float64 [1]\n" + np.ones(1).tobytes()).hexdigest()
    content = safetensors.numpy.save({"x": np.ones(1)}, {"sknoisy": f"1 {digest}"})
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="it has no manifest"):
        load(tmp_path / "file")
    size = int.from_bytes(net_file[:8], "little")
    header = net_file[8 : 8 + size].replace(b'"F32"', b'"F99"')
    (tmp_path / "file").write_bytes(net_file[:8] + header + net_file[8 + size :])
    with pytest.raises(ValueError, match="it is damaged"):
        load(tmp_path / "file")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_huge_sizes_allocate_nothing(net_file, tmp_path):
    def enlarge(manifest, arrays):
        params = first(manifest, "estimator")["params"]
        params.update(module__hidden=10**12, batch_size=10**15, max_epochs=10**15)
        attributes = first(manifest, "estimator")["attributes"]
        attributes["rows_fitted_"]["items"] = [10**15, 0]

    (tmp_path / "file").write_bytes(edited(net_file, enlarge))
    tracemalloc.start()
    loaded = load(tmp_path / "file")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded.module__hidden == 10**12
    assert peak < 50 * len(net_file) + 10**6
    n_weights = sum(weight.numel() for weight in loaded.module_.parameters())
    assert n_weights < 1000


def test_other_versions_warn_and_ours_are_silent(net_file, tmp_path):
    (tmp_path / "file").write_bytes(net_file)
    load(tmp_path / "file")
    older = edited(net_file, lambda m, a: m["versions"].update(numpy="1.0", torch="2"))
    (tmp_path / "file").write_bytes(older)
    with pytest.warns(UserWarning, match=r"saved with numpy 1.0 \(here .*torch 2"):
        loaded = load(tmp_path / "file")
    assert isinstance(loaded.module_, nn.Module)


def test_what_a_caller_trusts_is_still_of_its_kind(net_file, tmp_path):
    def swap(manifest, arrays):
        rename(manifest, "torch.nn.Linear", f"{__name__}.Other")

    (tmp_path / "file").write_bytes(edited(net_file, swap))
    with pytest.raises(ValueError, match="Other is of another kind"):
        load(tmp_path / "file", known=[Other])


def test_a_file_is_as_long_as_it_says(net_file, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(net_file + b"x")
    with pytest.raises(
        ValueError, match="its length differs from the one in its header"
    ):
        load(path)
    # A gigabyte that is not there: nothing of it is read.
    with open(path, "r+b") as file:
        file.truncate(2**30)
    tracemalloc.start()
    with pytest.raises(
        ValueError, match="its length differs from the one in its header"
    ):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


@pytest.mark.parametrize("kind", ["/dev/zero", "fifo", "folder"])
def test_what_is_no_file_is_not_read(kind, tmp_path):
    path = tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)
    if kind == "folder":
        path.mkdir()
    before = path.stat().st_mode
    with pytest.raises(ValueError, match=r"cannot be loaded: it is a .*; give a file"):
        load(path)
    with pytest.raises(ValueError, match=r"path '.*' is a .*; give a file"):
        save(StandardScaler(), path)
    assert path.stat().st_mode == before


@pytest.mark.parametrize("quoted", [False, True])
def test_json_is_nested_as_deeply_as_it_may(quoted, monkeypatch):
    deep = b"[" * 199 + b"]" * 199
    assert _format._parse(b'{"a":' + deep + b"}")
    text = b'{"a":[' + deep + b"]}"
    if quoted:
        # Brackets in a text are letters, also behind quotes that end nothing.
        text = json.dumps({"a": "[" * 300 + '\\\\"' + "[" * 300 + "\\"}).encode()
        monkeypatch.setattr(_format, "_CHUNK", 7)
        assert _format._parse(text)
        return
    with pytest.raises(ValueError, match="its JSON is nested too deeply"):
        _format._parse(text)


def test_a_manifest_that_is_too_large_or_deep_is_neither_read_nor_written(
    net_file, tmp_path, monkeypatch
):
    value = 1
    for _ in range(80):
        value = {"a": value}
    path = tmp_path / "file"
    with pytest.raises(ValueError, match="cannot be written: its JSON is nested too"):
        save(Holder(value), path)
    path.write_bytes(net_file)
    monkeypatch.setattr(_format, "_MAX_MANIFEST", 5000)
    with pytest.raises(ValueError, match=r"its JSON has \d+ bytes; at most 5000"):
        load(path)
    with pytest.raises(ValueError, match=r"cannot be written: its JSON has \d+ bytes"):
        save(Holder("x" * 5000), path)


@pytest.mark.slow
def test_unknown_names_are_cut_and_shown_without_escapes(net_file, tmp_path):
    names = [f"name{i}.{'x' * 3000}" for i in range(3000)] + ["\x1b[2J.evil\n"]
    path = tmp_path / "file"
    path.write_bytes(edited(net_file, lambda m, a: m["names"].extend(names)))
    with pytest.raises(ValueError, match=r"it names .*x…, .* and 2993 more") as caught:
        load(path)
    text = str(caught.value)
    assert len(text) < 2500 and text.isprintable() and r"'\x1b[2J.evil\n'" in text
    version = "9" * 3000 + "\x1b"
    path.write_bytes(edited(net_file, lambda m, a: m["versions"].update(numpy=version)))
    with pytest.warns(UserWarning, match="numpy 9{40} ") as caught:
        load(path)


@pytest.mark.parametrize("damage", ["dtype", "shape"])
def test_the_state_of_fused_optimizers_is_like_the_weights(damage, net_file, tmp_path):
    def edit(manifest, arrays):
        pair = first(manifest, "optimizer")["state"][0]
        state = manifest["objects"][pair[1]["items"][0][1]["id"]]
        array = arrays[state["array"]]
        if damage == "dtype":
            state["dtype"] = "float64"
            array = array.astype(float)
        arrays[state["array"]] = array if damage == "dtype" else array[:-1]

    (tmp_path / "file").write_bytes(edited(net_file, edit))
    with pytest.raises(ValueError, match="optimizer's state has a wrong shape"):
        load(tmp_path / "file")
