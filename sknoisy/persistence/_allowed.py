"""Which classes and functions a file may name."""

import functools
import importlib
import inspect
import sys
import types
from collections.abc import Iterable
from typing import Any

from sklearn.base import BaseEstimator

__all__ = ["find_names", "is_allowed", "is_allowed_layer", "is_plain", "name_of"]

# Listed one by one: they predict with numpy, or with code that checks its input, so
# that no array in a file can cause an access outside its memory. See _consistency for
# those that may only be unfitted.
_ENUMERATED = {
    "builtins": "bool float int object print str",
    "imblearn.pipeline": "Pipeline",
    # Private, and in fitted pipelines.
    "sknoisy._planting._common_scale": "CommonScaler",
    "sknoisy._tables._columns": "Columns",
    "sknoisy._tables._encoder": "TableEncoder _as_float32",
    "sknoisy._tables._texts": "TextFeatures",
    "numpy": (
        "bool bool_ bytes_ complex128 complex64 datetime64 float16 float32 float64 "
        "floating generic inexact int16 int32 int64 int8 integer intc intp longlong "
        "number object_ signedinteger str_ timedelta64 uint16 uint32 uint64 uint8 "
        "uintc uintp ulonglong unsignedinteger"
    ),
    "sklearn.compose": "ColumnTransformer",
    "sklearn.decomposition": "IncrementalPCA PCA TruncatedSVD",
    "sklearn.discriminant_analysis": (
        "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis"
    ),
    "sklearn.dummy": "DummyClassifier",
    "sklearn.ensemble": (
        "BaggingClassifier ExtraTreesClassifier ExtraTreesRegressor "
        "GradientBoostingClassifier HistGradientBoostingClassifier "
        "RandomForestClassifier RandomForestRegressor StackingClassifier "
        "VotingClassifier"
    ),
    "sklearn.feature_extraction.text": (
        "CountVectorizer HashingVectorizer TfidfTransformer TfidfVectorizer"
    ),
    "sklearn.feature_selection": (
        "SelectFromModel SelectKBest SelectPercentile VarianceThreshold chi2 f_classif "
        "mutual_info_classif"
    ),
    "sklearn.impute": "MissingIndicator SimpleImputer",
    "sklearn.linear_model": (
        "LinearRegression LogisticRegression LogisticRegressionCV Ridge RidgeCV "
        "RidgeClassifier RidgeClassifierCV SGDClassifier"
    ),
    "sklearn.mixture": "BayesianGaussianMixture GaussianMixture",
    "sklearn.naive_bayes": (
        "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB"
    ),
    "sklearn.pipeline": "FeatureUnion Pipeline",
    "sklearn.preprocessing": (
        "Binarizer FunctionTransformer LabelBinarizer LabelEncoder MaxAbsScaler "
        "MinMaxScaler Normalizer OneHotEncoder OrdinalEncoder PowerTransformer "
        "QuantileTransformer RobustScaler StandardScaler"
    ),
    "sklearn.svm": "LinearSVC",
    "sklearn.tree": (
        "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier "
        "ExtraTreeRegressor"
    ),
    # Without those that read pickles when a fit begins, or write to files or services.
    "skorch.callbacks": (
        "BatchScoring EarlyStopping EpochScoring EpochTimer Freezer "
        "GradientNormClipping LRScheduler PassthroughScoring PrintLog ProgressBar "
        "Unfreezer"
    ),
    # Each is compared with a layer built by its constructor: see _layers.
    "torch.nn": (
        "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d "
        "AdaptiveMaxPool2d AlphaDropout AvgPool1d AvgPool2d AvgPool3d BCELoss "
        "BCEWithLogitsLoss BatchNorm1d BatchNorm2d BatchNorm3d CELU Conv1d Conv2d "
        "Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d CrossEntropyLoss "
        "Dropout Dropout1d Dropout2d Dropout3d ELU Embedding Flatten GELU GLU "
        "GroupNorm Hardsigmoid Hardswish Hardtanh HuberLoss Identity InstanceNorm1d "
        "InstanceNorm2d KLDivLoss L1Loss LayerNorm LeakyReLU Linear LogSigmoid "
        "LogSoftmax MSELoss MaxPool1d MaxPool2d MaxPool3d Mish ModuleDict ModuleList "
        "NLLLoss PReLU RMSNorm ReLU ReLU6 SELU Sequential SiLU Sigmoid SmoothL1Loss "
        "Softmax Softplus Softsign Tanh Tanhshrink Unflatten Upsample ZeroPad2d"
    ),
    "torch.optim": (
        "ASGD Adadelta Adagrad Adam AdamW Adamax LBFGS NAdam RAdam RMSprop Rprop SGD"
    ),
    "torch.optim.lr_scheduler": (
        "ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR "
        "ExponentialLR LRScheduler LambdaLR LinearLR MultiStepLR MultiplicativeLR "
        "OneCycleLR PolynomialLR ReduceLROnPlateau StepLR"
    ),
    # Convolutional networks, whose blocks compute in Python with the layers above.
    "torchvision.models": (
        "AlexNet ConvNeXt DenseNet EfficientNet MNASNet MobileNetV2 MobileNetV3 RegNet "
        "ResNet ShuffleNetV2 SqueezeNet VGG"
    ),
    "torchvision.models.convnext": "CNBlock ConvNeXt LayerNorm2d",
    "torchvision.models.densenet": "DenseNet _DenseBlock _DenseLayer _Transition",
    "torchvision.models.efficientnet": "EfficientNet FusedMBConv MBConv",
    "torchvision.models.mnasnet": "MNASNet _InvertedResidual",
    "torchvision.models.mobilenetv2": "InvertedResidual MobileNetV2",
    "torchvision.models.mobilenetv3": "InvertedResidual MobileNetV3",
    "torchvision.models.regnet": (
        "AnyStage BottleneckTransform RegNet ResBottleneckBlock SimpleStemIN"
    ),
    "torchvision.models.resnet": "BasicBlock Bottleneck ResNet",
    "torchvision.models.shufflenetv2": "InvertedResidual ShuffleNetV2",
    "torchvision.models.squeezenet": "Fire SqueezeNet",
    "torchvision.ops": "Conv2dNormActivation Permute SqueezeExcitation StochasticDepth",
    "torchvision.ops.misc": "Conv2dNormActivation Permute SqueezeExcitation",
    "torchvision.ops.stochastic_depth": "StochasticDepth",
    "torch.utils.data": "DataLoader",
    "skorch.classifier": "NeuralNetBinaryClassifier NeuralNetClassifier",
    "skorch.dataset": "Dataset ValidSplit",
    "skorch.setter": "optimizer_setter",
    "skorch.utils": (
        "_indexing_dict _indexing_list_tuple_of_data _indexing_ndframe _indexing_none "
        "_indexing_other noop to_numpy to_tensor"
    ),
}
# Classes among them that are no estimators; a file may hold their attributes.
_PLAIN = {
    "sknoisy._tables._columns.Columns",
    "sknoisy._tables._texts.TextFeatures",
}
# Subpackages whose functions have no side effects.
_PURE = {"sknoisy.losses", "sknoisy.nets", "sknoisy.noise"}
# Files of earlier versions use the module names of that time.
_MOVED = {"sknoisy.detection._encoder": "sknoisy.detection._dynamics._encoder"}
_RENAMED = {
    "sknoisy.detection._cores.SieveNet": "sknoisy.classification.CORESClassifier"
}
# Limits of the unknown names in a message: their number, and their length.
_N_SHOWN, _LONGEST = 8, 80


def name_of(value: Any) -> str:
    """Return the name under which a file refers to a class or function.

    Parameters
    ----------
    value : class or function

    Returns
    -------
    name : str
        With the public module, as in "torch.nn.Linear", if there is one.

    Raises
    ------
    ValueError
        If it cannot be found by a name.
    """
    own = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
    if not own or "<lambda>" in own:
        raise ValueError("a lambda has no name to find it by")
    owner = getattr(value, "__self__", None)
    if not isinstance(owner, types.ModuleType | type | None):
        raise ValueError("it is bound to an object")
    module = getattr(value, "__module__", None) or "builtins"
    room = _room_of(module)
    if room and vars(sys.modules.get(room, types)).get(own) is value:
        return f"{room}.{own}"
    return f"{module}.{own}"


def find_names(names: Iterable[str], known: Iterable[Any]) -> dict[str, Any]:
    """Find the classes and functions that a file names; imports nothing by these names.

    Parameters
    ----------
    names : iterable of str
    known : iterable of classes and functions
        Passed by the caller, and trusted.

    Returns
    -------
    found : dict of str to class or function

    Raises
    ------
    ValueError
        If a name is neither allowed nor known.
    """
    vouched = _by_name(known)
    found = {}
    for name in names:
        value = _find(name)
        found[name] = vouched.get(name) if value is None else value
    missing = sorted(name for name, value in found.items() if value is None)
    if missing:
        raise ValueError(
            f"it names {_shown(missing)}; that is not allowed by default. If you "
            "trust the file, pass these classes and functions: "
            f"load(path, known=[{_shown(n.rpartition('.')[2] for n in missing)}])."
        )
    return found


def is_allowed(name: str) -> bool:
    """Return whether a file may name a class or function without ``known``.

    Parameters
    ----------
    name : str

    Returns
    -------
    is_allowed : bool
    """
    return _find(name) is not None


def is_plain(name: str) -> bool:
    """Return whether a file may hold objects of a class that is no estimator.

    Parameters
    ----------
    name : str

    Returns
    -------
    is_plain : bool
    """
    return name in _PLAIN


def is_allowed_layer(kind: type) -> bool:
    """Return whether a class is one of the torch layers that a file may name.

    Parameters
    ----------
    kind : type

    Returns
    -------
    is_allowed : bool
    """
    name = kind.__name__
    is_torch = kind.__module__.startswith("torch.nn.")
    return is_torch and name in _ENUMERATED["torch.nn"].split()


def _shown(names: Iterable[str]) -> str:
    """Return the first names, shortened and escaped, since the file is untrusted."""
    names = list(names)
    shown = [
        name[:_LONGEST] + "…" * (len(name) > _LONGEST)
        if name.replace(".", "a").isidentifier()
        else f"{name!a:.{_LONGEST}}"
        for name in names[:_N_SHOWN]
    ]
    more = [f"and {len(names) - _N_SHOWN} more"] * (len(names) > _N_SHOWN)
    return ", ".join([*shown, *more])


def _by_name(known: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in known:
        if not callable(value):
            raise TypeError(
                f"known must be a list of classes and functions; it holds {value!r}."
            )
        name = name_of(value)
        if found.setdefault(name, value) is not value:
            raise TypeError(f"known holds two different {name}.")
    return found


@functools.lru_cache(maxsize=512)
def _find(name: str) -> Any:
    """Return an allowed class or function, or None. Imports allowed modules only."""
    module, _, own = _RENAMED.get(name, name).rpartition(".")
    module = _MOVED.get(module, module)
    room = _room_of(module)
    if not room or not own.isidentifier():
        return None
    try:
        importlib.import_module(room)
    except ImportError:
        return None
    holder = sys.modules.get(module, types)
    if own in vars(holder).get("__all__", ()) and room not in _ENUMERATED:
        # These modules import their public names lazily.
        value = getattr(holder, own)
    else:
        value = vars(holder).get(own)
    if room in _ENUMERATED:
        return value if module == room and own in _ENUMERATED[room].split() else None
    return value if _is_ours(value, room, own) else None


def _is_ours(value: Any, room: str, own: str) -> bool:
    """Return whether it is an estimator, a part of a net, or a pure function."""
    if not getattr(value, "__module__", "").startswith(room):
        return False
    is_public = own in getattr(sys.modules[room], "__all__", ())
    if not inspect.isclass(value):
        return is_public and room in _PURE
    kinds: tuple[type, ...] = (BaseEstimator,)
    if "torch" in sys.modules:
        from skorch.callbacks import Callback
        from torch import nn

        kinds += (nn.Module, Callback)
    return issubclass(value, kinds) or (is_public and room == "sknoisy.nets")


@functools.cache
def _rooms() -> list[str]:
    """Return the modules that a file may refer to, the longest names first."""
    from sknoisy import _HOME

    ours = {*_HOME.values(), *_PURE} - {"sknoisy", "sknoisy.persistence"}
    return sorted({*_ENUMERATED, *ours}, key=len, reverse=True)


def _room_of(module: str) -> str | None:
    return next(
        (room for room in _rooms() if module == room or module.startswith(room + ".")),
        None,
    )
