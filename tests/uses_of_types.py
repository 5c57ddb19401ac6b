"""Uses of the public names, read by mypy and never run: what it must see of them."""

from typing import assert_type

import numpy as np

import sknoisy
from sknoisy import (
    BMMLossSplitter,
    DynaCorDetector,
    FlywheelClassifier,
    SymmetricNoiseInjector,
    label_report,
)
from sknoisy.cleaning import LabelReport
from sknoisy.detection import AUMDetector
from sknoisy.nets import NetClassifier, Step

X, y = [[0.0], [1.0]], ["a", "b"]

# Names that load on first use are the classes themselves.
assert_type(sknoisy.BMMLossSplitter(), BMMLossSplitter)
assert_type(AUMDetector(max_epochs=3, module__hidden=8), AUMDetector)

# fit returns the estimator, of the class that was fitted.
net = NetClassifier(lr=0.1, max_epochs=2, device="cpu", random_state=0)
assert_type(net.fit(X, y), NetClassifier)
assert_type(FlywheelClassifier(lam=1.0).fit(X, y), FlywheelClassifier)
assert_type(BMMLossSplitter().fit([0.1, 2.0]), BMMLossSplitter)
injector = SymmetricNoiseInjector(0.3, selection="exact")
assert_type(injector.fit(X, y), SymmetricNoiseInjector)

# What was learnt has a dtype.
detector = DynaCorDetector(random_state=np.random.RandomState(0)).fit(X, y)
assert_type(detector.predict_noisy(), np.typing.NDArray[np.bool_])
assert_type(detector.ranking(), np.typing.NDArray[np.int64])
assert_type(detector.noise_rate_, float)
assert_type(label_report(detector, X, y), LabelReport)


class Method(NetClassifier):
    """A method of another package."""

    def training_loss(self, X, y, index) -> Step:  # type: ignore[no-untyped-def]
        """Return the step of the base."""
        return super().training_loss(X, y, index)


# Each of these is refused; mypy says so if one is not.
FlywheelClassifier(lam="large")  # type: ignore[arg-type]
SymmetricNoiseInjector(0.3, selection="some")  # type: ignore[arg-type]
sknoisy.NoSuchName  # type: ignore[attr-defined]  # noqa: B018
