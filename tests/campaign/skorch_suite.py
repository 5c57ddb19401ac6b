"""Run skorch's own tests with `NetClassifier` in `NeuralNetClassifier`'s place.

    pip download skorch==1.4.0 --no-binary skorch --no-deps
    tar xf skorch-1.4.0.tar.gz
    python tests/campaign/skorch_suite.py skorch-1.4.0
    python tests/campaign/skorch_suite.py skorch-1.4.0 --only net helper
    python tests/campaign/skorch_suite.py skorch-1.4.0 --only net --logits

Each file of tests runs twice in a process of its own: as it is, and with our net. A
test that skorch's net passes and ours fails must stand in ``REASONS``; else the exit
status is 1. Tests that need packages which are not installed are skipped in both.
"""

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import types
from pathlib import Path

FILES = {
    "classifier": "test_classifier.py",
    "net": "test_net.py",
    "helper": "test_helper.py",
    "dataset": "test_dataset.py",
    "history": "test_history.py",
    "learning-rate schedulers": "callbacks/test_lr_scheduler.py",
    "regularization": "callbacks/test_regularization.py",
    "callbacks' scoring": "callbacks/test_scoring.py",
    "callbacks' training": "callbacks/test_training.py",
    "scoring": "test_scoring.py",
    "utils": "test_utils.py",
    "accelerate": "test_hf.py",
}

# Why a test that skorch's net passes may fail with ours, by kind and pattern.
_WORDS = "asserts skorch's words; ours says the same in other words"
_DATA = "X is an array, a frame or a Dataset: sparse rows, dicts and lists are refused"
_LABELS = "one label a row, known before the training, of two classes at least"
_PROBA = "its module returns no probabilities under NLLLoss, which is refused"
_PARAMETER = "a parameter of the wrong kind is refused before anything is trained"
_OUTPUTS = "its module has not one output for each class, which is refused"
_CODES = "classes that y does not have are refused; labels are what y says"
_TRIED = "counts calls of the module, which is also tried on a few rows"
_COPY = "a module instance is copied, so that a fit changes no parameter"
_DATASET = "dataset= is a class; an instance is given as X"
_NAMES = "the net predicts with module_"
_SEED = "weights are drawn from random_state, and not from torch's global generator"
_DEVICE = "the net moves its parts itself, to a device of torch that it has checked"
_ROWS = "a Dataset may yield rows alone, or rows and more; y is then given to fit"
_MOCK = "a Mock stands for a part of torch, which is refused or looked at"
_REPR = "asserts skorch's repr"
_BATCHES = "counts or mocks batches as plain pairs; ours know their rows"

REASONS = {
    "classifier": {
        "*test_non_binary_classes_set_by_default": _OUTPUTS,
        "*test_classes_data_torch_tensor": _OUTPUTS,
        "*test_classes_with_gaps": _OUTPUTS,
        "*test_classes_are_set_with_tensordataset_*": _OUTPUTS,
        "*test_pass_classes_explicitly_overrides": _CODES,
        "*test_pass_empty_classes_raises*": _CODES,
        "*test_error_when_classes_could_not_be_inferred": _PARAMETER,
    },
    "net": {
        "*test_net_init_one_unknown_argument": _WORDS,
        "*test_net_init_two_unknown_arguments": _WORDS,
        "*test_net_init_missing_dunder_*": _WORDS,
        "*test_compile_missing_dunder_*": _WORDS,
        "*test_predefined_split": "arrays of a Dataset are taken out of it",
        "*test_fit_with_dataset_one_item_error": _ROWS,
        "*test_fit_with_dataset_three_items_error": _ROWS,
        "*test_predict_with_dataset_*_error": _ROWS,
        "*test_fit_with_dataset_stratified_without_explicit_y_raises": (
            "labels are read from the Dataset, so that there is a stratified split"
        ),
        "*test_pickle_save_load_device_is_none": (
            "device=None takes what there is, on another machine too: no warning"
        ),
        "*test_predict_nonlinearity_type_error": _PARAMETER,
        "*test_predict_nonlinearity_is_identity_with_multiple_criteria": (
            "predict_proba returns probabilities under any number of criteria"
        ),
        "*test_callback_with_name_init_with_params": _MOCK,
        "*test_callback_set_params": _MOCK,
        "*test_with_initialized_module_other_params": _PROBA,
        "*test_pipeline_with_routing_enabled": _PROBA,
        "*test_fit_params_passed_to_*": _PROBA,
        "*test_*fit_with_extra_params_*": _PROBA,
        "*test_groups_routed_to_train_split": _PROBA,
        "*test_backward_compat_fit_params_to_train_split": _PROBA,
        "*test_net_initialized_with_initalized_dataset_and_kwargs_raises": _DATASET,
        "*test_repr_*": _REPR,
        "*test_data_dict_and_fit_params*": _DATA,
        "*test_net_variable_*_lengths": _LABELS,
        "*test_custom_non_default_module_with_check_is_fitted": _NAMES,
        "*test_modules_reinit_when_both_initialized_but_custom_*": _COPY,
        "*test_criteria_reinit_when_both_initialized_but_custom_*": _COPY,
        "*test_custom_module_is_init_when_default_module_already_is": _COPY,
        "*test_custom_criterion_is_init_when_default_criterion_already_is": _COPY,
        "*test_moving_custom_modules_to_device": _DEVICE,
        "*test_set_params_on_custom_module_preserves_its_device": _DEVICE,
        "*test_fit_sparse_csr_learns": _DATA,
    },
    "helper": {
        "*test_fit_with_slds_without_valid_works*": _PARAMETER,
        "*test_grid_search_with_slds_works*": _PARAMETER,
        "*test_grid_search_with_slds_X_and_slds_y*": _PARAMETER,
        "*test_grid_search_with_slds_and_internal_split_works*": _DATA,
        "*test_grid_search_with_dict_works": _DATA,
        "*test_fit_and_predict_with_pipeline": _DATA,
    },
    "dataset": {
        "*test_net_*d_custom_loader*": _LABELS,
        "TestNetWithDict::test_fit_predict_proba": _DATA,
        "TestNetWithList::test_fit_predict_proba": _DATA,
        "TestNetWithPandas::test_fit_predict_proba": _DATA,
        "*test_steps_called_with_split_data": _BATCHES,
    },
    "callbacks' scoring": {
        "*test_net_overrides_caching*": _TRIED,
        "*test_net_use_caching_wrong_value_raises": _PARAMETER,
        "*test_correct_*_pass_through_scores": _LABELS,
    },
    "callbacks' training": {
        "*test_weights_restore": _SEED,
        "*test_freezing_is_effective*": _PROBA,
        "TestInputShapeSetter::test_one_dimensional_x_raises": _DATA,
        "TestInputShapeSetter::*": _PROBA,
    },
    "accelerate": {
        "*test_gradient_accumulation_with_accelerate": (
            "accelerate finds the end of an epoch in its own loaders only: refused"
        ),
    },
}


def adapter():
    """Return a subclass of our net with skorch's defaults, and nothing else changed."""
    import torch
    from skorch.dataset import ValidSplit

    from sknoisy import NetClassifier
    from sknoisy.nets import LoaderBatches, _loop, _slots

    # Their batches of validation are no larger than those of training.
    _slots.EVAL_BATCH_SIZE = 1
    # Nor has their SGD momentum and weight decay.
    _loop.default_optimizer_params = lambda optimizer, params, device: params
    stratified = ValidSplit(5, stratified=True)
    # Some of their modules return no probabilities, which our net refuses under
    # NLLLoss: with --logits one sees what else these tests claim.
    loss = torch.nn.CrossEntropyLoss if "SKORCH_SUITE_LOGITS" in os.environ else None
    loss = loss or torch.nn.NLLLoss

    class NeuralNetClassifier(NetClassifier):
        def __init__(
            self,
            module,
            criterion=loss,
            optimizer=torch.optim.SGD,
            lr=0.01,
            max_epochs=10,
            iterator_train=LoaderBatches,
            iterator_valid=LoaderBatches,
            train_split=stratified,
            verbose=1,
            device="cpu",
            lr_schedule=None,
            **kwargs,
        ):
            super().__init__(
                module,
                criterion=criterion,
                optimizer=optimizer,
                lr=lr,
                max_epochs=max_epochs,
                iterator_train=iterator_train,
                iterator_valid=iterator_valid,
                train_split=train_split,
                verbose=verbose,
                device=device,
                lr_schedule=lr_schedule,
                **kwargs,
            )

    # Where it is looked up when it is unpickled.
    NeuralNetClassifier.__module__ = "skorch"
    NeuralNetClassifier.__qualname__ = "NeuralNetClassifier"
    return NeuralNetClassifier


def put_in_place():
    import skorch

    # Not in skorch.classifier: our net's own base class finds itself by name there.
    skorch.NeuralNetClassifier = adapter()


class Recorder:
    """Collects the outcome of each test, and the last line of its error."""

    def __init__(self):
        self.outcomes = {}

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.partition("::")[2]
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash else str(report.longrepr)[-300:]
            self.outcomes[name] = "failed", text
        elif report.skipped:
            self.outcomes.setdefault(name, ("skipped", ""))
        elif report.when == "call":
            self.outcomes.setdefault(name, ("passed", ""))


def run_here(whose, path, out):
    """Run one file in this process; the child's part of `run`."""
    import pytest

    try:
        import flaky  # noqa: F401
    except ImportError:
        # Their marker of tests that may be tried twice.
        sys.modules["flaky"] = types.SimpleNamespace(flaky=lambda **_: lambda f: f)
    if whose == "ours":
        put_in_place()
    recorder = Recorder()
    root = str(Path(path).parents[2])
    options = ["-q", "-o", "addopts=", "-p", "no:cacheprovider", "--rootdir", root]
    pytest.main([*options, "--tb=short", path], plugins=[recorder])
    Path(out).write_text(json.dumps(recorder.outcomes))


def run(source, file, whose):
    path = source / "skorch" / "tests" / file
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "outcomes.json"
        paths = [str(source), os.environ.get("PYTHONPATH", "")]
        here = Path(__file__).resolve()
        done = subprocess.run(
            [sys.executable, here, "--run", whose, path, out],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            cwd=folder,
            capture_output=True,
            text=True,
        )
        if not out.exists():
            raise SystemExit(f"{file}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return json.loads(out.read_text()), done.stdout


def reason_for(kind, test):
    for pattern, reason in REASONS.get(kind, {}).items():
        if fnmatch.fnmatchcase(test, pattern):
            return reason
    return None


def main():
    if sys.argv[1:2] == ["--run"]:
        run_here(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="unpacked source of skorch")
    parser.add_argument("--only", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument(
        "--logits", action="store_true", help="cross-entropy as our net's default loss"
    )
    parser.add_argument("--log", type=Path, help="folder for what pytest prints")
    options = parser.parse_args()
    if options.logits:
        os.environ["SKORCH_SUITE_LOGITS"] = "1"
    n_unexplained = 0
    for kind in options.only:
        theirs, _ = run(options.source.resolve(), FILES[kind], "stock")
        ours, log = run(options.source.resolve(), FILES[kind], "ours")
        if options.log:
            options.log.mkdir(exist_ok=True)
            (options.log / Path(FILES[kind]).name).with_suffix(".txt").write_text(log)
        passed = [name for name, (outcome, _) in theirs.items() if outcome == "passed"]
        failed = [name for name in passed if ours.get(name, [None])[0] != "passed"]
        print(f"{kind:<26}{len(passed):>5}{len(passed) - len(failed):>5}", flush=True)
        for name in failed:
            reason = reason_for(kind, name)
            n_unexplained += reason is None
            text = ours.get(name, ["", "not run"])[1].splitlines() or [""]
            print(f"    {name}: {reason or 'UNEXPLAINED ' + text[0][:150]}")
    return int(n_unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
