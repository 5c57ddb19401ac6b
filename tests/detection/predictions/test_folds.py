"""Splitters and groups: no row is predicted by what has learnt it or its group."""

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import (
    AutoNoiseDetector,
    CleanedClassifier,
    ConfidentLearningDetector,
    FINEDetector,
    LossMixtureDetector,
    NetClassifier,
    NoisyLabelFilter,
    SmallLossDetector,
)

DETECTORS = [ConfidentLearningDetector, LossMixtureDetector, SmallLossDetector]
pytestmark = [
    pytest.mark.filterwarnings("ignore:the mixture finds no second"),
    pytest.mark.filterwarnings("ignore:the losses cannot be split"),
]


@pytest.fixture(autouse=True)
def no_routing():
    """Metadata are routed where a test says so."""
    with sklearn.config_context(enable_metadata_routing=False):
        yield


def proba_of(detector, y):
    """Return the probability of each given label."""
    if hasattr(detector, "losses_"):
        return np.exp(-detector.losses_)
    return detector.pred_probs_[np.arange(len(y)), y]


@pytest.fixture(scope="module")
def patients():
    """Three rows of each of 40 patients, all with the label of the patient.

    The label cannot be learnt, but the patient can be recognised.
    """
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(40), 3))
    label = rng.permutation(np.repeat([0, 1], 20))
    X = rng.normal(size=(40, 5))[groups] + rng.normal(0, 1e-3, (120, 5))
    return X, label[groups], groups


def by_lines(detector):
    return CleanedClassifier(detector, LogisticRegression(), action="relabel")


class Seen(ClassifierMixin, BaseEstimator):
    """Remembers on which rows each fit was, by the first column of X."""

    fits = []

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        Seen.fits.append((set(X[:, 0].astype(int)), sample_weight))
        return self

    def predict(self, X):
        return np.repeat(self.classes_[:1], len(X))

    def predict_proba(self, X):
        Seen.fits[-1] += (set(X[:, 0].astype(int)),)
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.mark.parametrize("make", DETECTORS)
class TestGroups:
    @pytest.mark.fast_cases(1)
    def test_a_memory_of_patients_leaks_without_groups_only(self, make, patients):
        X, y, groups = patients
        detector = make(KNeighborsClassifier(1), random_state=0)
        assert proba_of(detector.fit(X, y), y).mean() > 0.9
        for cv in (5, None, GroupKFold(4), StratifiedGroupKFold(3), LeaveOneGroupOut()):
            detector.set_params(cv=cv).fit(X, y, groups=groups)
            assert proba_of(detector, y).mean() < 0.7
        names = np.array([f"patient {group}" for group in groups])
        again = make(KNeighborsClassifier(1), cv=LeaveOneGroupOut(), random_state=0)
        again.fit(X, y, groups=names.tolist())
        np.testing.assert_array_equal(again.noise_scores_, detector.noise_scores_)

    def test_a_splitter_that_splits_groups_is_refused(self, make, patients):
        X, y, groups = patients
        splits = list(KFold(3).split(X))
        detector = make(LogisticRegression(), cv=splits)
        with pytest.raises(ValueError, match="rows of a group and predicts other"):
            detector.fit(X, y, groups=groups)

    def test_groups_of_other_length(self, make, patients):
        X, y, groups = patients
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            make(LogisticRegression()).fit(X, y, groups=groups[:-1])

    def test_a_class_of_one_group_is_not_judged(self, make, patients):
        X, y, groups = patients
        y = np.where(groups == 7, 2, y)
        detector = make(LogisticRegression(), random_state=0)
        detector.fit(X, y, groups=groups)
        assert detector.unjudged_.tolist() == np.flatnonzero(groups == 7).tolist()
        assert (detector.noise_scores_[groups == 7] == 0.5).all()
        # A label that occurs once is found first, and then the class of one group.
        y[np.flatnonzero(groups != 7)[3]] = 3
        detector.fit(X, y, groups=groups)
        assert detector.unjudged_.tolist() == np.flatnonzero(y > 1).tolist()
        with pytest.raises(ValueError, match=r"y has 1 such .* and 2 that are too"):
            detector.fit(X, np.where((y == 1) & (groups != 7), 0, y), groups=groups)

    def test_routed_through_a_pipeline(self, make, patients):
        X, y, groups = patients
        plain = make(LogisticRegression(), cv=GroupKFold(4), random_state=0)
        expected = plain.fit(StandardScaler().fit_transform(X), y, groups=groups)
        with sklearn.config_context(enable_metadata_routing=True):
            for cv in (GroupKFold(4), 4):
                pipe = make_pipeline(StandardScaler(), sklearn.clone(plain))
                pipe[-1].cv = cv
                pipe.fit(X, y, groups=groups)
                if cv != 4:
                    found = pipe[-1].noise_scores_
                    np.testing.assert_array_equal(found, expected.noise_scores_)
            with pytest.raises(TypeError, match="groups"):
                make(LogisticRegression(), cv=KFold(3)).fit(X, y, groups=groups)

    def test_other_metadata_needs_routing(self, make, patients):
        X, y, _ = patients
        weights = np.arange(len(y)) / len(y)
        with pytest.raises(ValueError, match="enable_metadata_routing=True"):
            make(LogisticRegression()).fit(X, y, sample_weight=weights)
        X = np.column_stack([np.arange(len(y)), X])
        with sklearn.config_context(enable_metadata_routing=True):
            estimator = Seen().set_fit_request(sample_weight=True)
            make(estimator, cv=3).fit(X, y, sample_weight=weights)
        for rows, given in [fit[:2] for fit in Seen.fits[-3:]]:
            assert set((given * len(y)).round().astype(int)) == rows


@pytest.mark.parametrize("make", DETECTORS)
class TestSplitters:
    @pytest.mark.parametrize(
        "cv",
        [
            KFold(4),
            KFold(4, shuffle=True),
            StratifiedKFold(3),
            PredefinedSplit(np.arange(120) % 3),
            list(KFold(3).split(np.zeros(120))),
            [(np.arange(120) % 2 == k, np.arange(120) % 2 != k) for k in (0, 1)],
        ],
        ids=str,
    )
    def test_every_row_is_predicted_once_by_what_has_not_learnt_it(
        self, make, patients, cv
    ):
        X, y, _ = patients
        X = np.column_stack([np.arange(120), X])
        before = np.append(*np.random.get_state()[1:3])
        detector = make(Seen(), cv=cv, random_state=0)
        Seen.fits.clear()
        detector.fit(X, y)
        fits = Seen.fits
        assert sorted(row for _, _, test in fits for row in test) == list(range(120))
        assert all(not train & test for train, _, test in fits)
        np.testing.assert_array_equal(np.append(*np.random.get_state()[1:3]), before)
        if hasattr(cv, "random_state"):
            assert cv.random_state is None

    def test_of_repeated_folds_the_mean_counts(self, make, patients):
        X, y, _ = patients
        cv = RepeatedStratifiedKFold(n_splits=2, n_repeats=3, random_state=0)
        detector = make(LogisticRegression(), cv=cv).fit(X, y)
        proba = np.zeros(120)
        for train, test in cv.split(X, y):
            fitted = LogisticRegression().fit(X[train], y[train])
            proba[test] += fitted.predict_proba(X[test])[np.arange(len(test)), y[test]]
        np.testing.assert_allclose(proba_of(detector, y), proba / 3, rtol=1e-6)

    @pytest.mark.parametrize(
        ("cv", "message"),
        [
            (TimeSeriesSplit(3), "never predicts 30 of 120 rows, the first .* row 0"),
            (
                ShuffleSplit(2, random_state=0),
                "never predicts .* every row must be",
            ),
            ([([0, 1, 2], range(120))], "fits row 0 and predicts it, in split 0"),
            ([(range(60), range(60, 121))], "from 60 to 120, but there are 120 rows"),
            ([], "never predicts 120 of 120 rows"),
            (1, "'cv' parameter"),
            ("five", "'cv' parameter"),
        ],
        ids=str,
    )
    def test_splits_that_do_not_do(self, make, patients, cv, message):
        X, y, _ = patients
        with pytest.raises(ValueError, match=message):
            make(LogisticRegression(), cv=cv).fit(X, y)

    def test_a_class_that_is_not_learnt(self, make, patients):
        X, y, _ = patients
        order = np.argsort(y, kind="stable")
        message = r"class 0 in split 0 without any to learn it from"
        with pytest.raises(ValueError, match=message):
            make(LogisticRegression(), cv=KFold(2)).fit(X[order], y[order])


MEMORY = ConfidentLearningDetector(KNeighborsClassifier(1), random_state=0)
PIPELINE = make_pipeline(StandardScaler(), MEMORY)


@pytest.mark.parametrize("is_routed", [False, True])
class TestHolders:
    @pytest.fixture(autouse=True)
    def routing(self, is_routed):
        with sklearn.config_context(enable_metadata_routing=is_routed):
            yield

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize("detector", [MEMORY, PIPELINE])
    @pytest.mark.parametrize("hold", [NoisyLabelFilter, by_lines])
    def test_groups_reach_the_detector(self, patients, is_routed, hold, detector):
        X, y, groups = patients
        plain = clone(MEMORY).fit(StandardScaler().fit_transform(X), y, groups=groups)
        leaking = hold(detector).fit(X, y)
        holder = hold(detector).fit(X, y, groups=groups)
        expected = roc_auc_score(plain.noise_mask_, holder.noise_scores_)
        assert expected == 1 or detector is MEMORY
        assert (holder.noise_scores_ != leaking.noise_scores_).any()
        assert leaking.noise_scores_.mean() < 0.1 < 0.3 < holder.noise_scores_.mean()

    @pytest.mark.parametrize(
        "detector", [LossMixtureDetector(max_epochs=2), FINEDetector()]
    )
    def test_detectors_without_folds_do_without(self, patients, is_routed, detector):
        X, y, groups = patients
        if is_routed:
            with pytest.raises(TypeError, match="groups"):
                NoisyLabelFilter(detector).fit(X, y, groups=groups)
        else:
            NoisyLabelFilter(detector).fit(X, y, groups=groups)

    @pytest.mark.fast_cases(1)
    def test_candidates_get_them(self, patients, is_routed):
        X, y, groups = patients
        candidates = [("memory", MEMORY), ("pipe", PIPELINE), ("fine", FINEDetector())]
        auto = AutoNoiseDetector(candidates, n_rounds=1, random_state=0)
        auto.fit(X, y, groups=groups)
        assert not any(auto.candidates_["error"])
        of_memory = auto.candidates_["auroc"][0]
        leaking = clone(auto).fit(X, y).candidates_["auroc"][0]
        assert of_memory < 0.75 < 0.9 < leaking
        pipe = make_pipeline(StandardScaler(), clone(auto))
        name = "groups" if is_routed else "autonoisedetector__groups"
        pipe.fit(X, y, **{name: groups})
        assert pipe[-1].candidates_["auroc"][0] == pytest.approx(of_memory, abs=0.1)

    def test_a_candidate_that_cannot_keep_groups_together_takes_no_part(
        self, patients, is_routed
    ):
        X, y, groups = patients
        split = clone(MEMORY).set_params(cv=list(KFold(3).split(X)))
        candidates = [("memory", MEMORY), ("split", split)]
        auto = AutoNoiseDetector(candidates, n_rounds=1, random_state=0)
        with pytest.warns(UserWarning, match=r"split \("):
            auto.fit(X, y, groups=groups)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            auto.fit(X, y, groups=groups[:-1])


def test_metadata_of_the_classifier_loses_what_is_dropped(patients):
    X, y, _ = patients
    X = np.column_stack([np.arange(120), X])
    weights = np.arange(120) / 120
    detector = ConfidentLearningDetector(KNeighborsClassifier(3), random_state=0)
    holder = CleanedClassifier(detector, Seen())
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        holder.fit(X, y, sample_weight=weights)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = Seen().set_fit_request(sample_weight=True)
        holder = CleanedClassifier(detector, estimator)
        holder.fit(X, y, sample_weight=weights)
        rows, given = Seen.fits[-1][:2]
        assert len(rows) < 120
        assert set((given * 120).round().astype(int)) == rows
        holder.set_params(action="reweight")
        with pytest.raises(ValueError, match="'reweight' sets the classifier's sample"):
            holder.fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("make", DETECTORS[1:])
def test_groups_mean_nothing_to_a_network(make, patients):
    X, y, groups = patients
    with pytest.raises(ValueError, match="groups would have no effect: a network"):
        make(NetClassifier()).fit(X, y, groups=groups)
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="groups would have no effect"),
    ):
        make().fit(X, y, groups=groups)


def test_nothing_is_fitted_beside_probabilities(patients):
    _, y, groups = patients
    detector = ConfidentLearningDetector()
    with pytest.raises(ValueError, match="groups would have no effect beside pred_p"):
        detector.fit(None, y, pred_probs=np.full((120, 2), 0.5), groups=groups)


def test_distances_between_rows_are_cut_along_both_axes(patients):
    X, y, _ = patients
    distances = np.abs(X[:, None] - X[None]).sum(-1)
    precomputed = KNeighborsClassifier(5, metric="precomputed")
    found = ConfidentLearningDetector(precomputed, random_state=0).fit(distances, y)
    plain = KNeighborsClassifier(5, metric="manhattan")
    expected = ConfidentLearningDetector(plain, random_state=0).fit(X, y)
    np.testing.assert_array_equal(found.pred_probs_, expected.pred_probs_)


@pytest.mark.parametrize("cv", [{1}, [5], [(0, 1, 2)], ["ab"]], ids=repr)
def test_a_list_of_folds_holds_pairs(cv):
    detector = ConfidentLearningDetector(cv=cv)
    with pytest.raises(TypeError, match="or a list of pairs of row numbers, those to"):
        detector.fit(np.zeros((6, 1)), [0, 1] * 3)
