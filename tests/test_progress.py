"""Bars: what a terminal, a log and a notebook get to see, and that nobody else does."""

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
import threading
import types
import warnings

import joblib
import numpy as np
import pytest
import tqdm.notebook
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from sknoisy import (
    AUMDetector,
    CleanedClassifier,
    ConfidentLearningDetector,
    FINEDetector,
    LossMixtureDetector,
    NeighborVoteDetector,
    NetClassifier,
)
from sknoisy import _progress_display as display
from sknoisy._progress import current, progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and keeps all that it is given."""

    def isatty(self):
        return True

    @property
    def frames(self):
        """What stood on the line, one after the other."""
        return [frame for frame in re.split(r"[\r\n]+", self.getvalue()) if frame]


class Clock:
    """Time that goes on only when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("sknoisy._progress.time", clock)
    monkeypatch.setattr("sknoisy._progress_display.time", clock)
    return clock


def put_in_place_of_stderr(stream, monkeypatch):
    # pytest sets sys.stderr itself between a fixture and its test.
    own = types.SimpleNamespace(stderr=stream, modules=sys.modules)
    monkeypatch.setattr(display, "sys", own)
    return stream


@pytest.fixture
def terminal(monkeypatch):
    return put_in_place_of_stderr(Terminal(), monkeypatch)


@pytest.fixture
def log(monkeypatch):
    return put_in_place_of_stderr(io.StringIO(), monkeypatch)


@pytest.fixture(autouse=True)
def no_bar_is_left():
    yield
    assert current() is None


def count(clock, n_steps=20, seconds=1.0, **options):
    with progress(n_steps, "Fit", unit="epoch", **options) as bar:
        for step in range(n_steps):
            clock.now += seconds
            bar.advance(train_loss=1 / (step + 1))


class TestTerminal:
    def test_a_frame_has_count_value_and_times(self, terminal, clock):
        count(clock, 4)
        frames = terminal.frames
        assert frames[-1].startswith("Fit: 100%|")
        assert re.search(
            r"\[\d\d:\d\d<00:00, epoch 4/4, train loss 0.25\]$", frames[-1]
        )
        assert any("epoch 2/4, train loss 0.5]" in frame for frame in frames)
        # One line, written over, and left at the end.
        assert terminal.getvalue().count("\n") == 1
        assert terminal.getvalue().endswith("\n")

    def test_time_left_is_what_the_rest_takes_at_the_same_pace(self, terminal, clock):
        with progress(4, "Fit") as bar:
            inner = bar._display._bar
            inner._time = clock.monotonic
            inner.start_t = clock.now
            clock.now += 30
            bar.advance()
        assert "[00:30<01:30" in terminal.frames[-1]

    def test_a_bar_that_shall_not_stay_leaves_nothing(self, terminal, clock):
        count(clock, leave=False)
        assert "\n" not in terminal.getvalue()
        assert terminal.getvalue().endswith(" \r")

    def test_it_is_drawn_ten_times_a_second_at_most(self, terminal, clock):
        count(clock, 1000, 0.001)
        assert len(terminal.frames) < 16

    @pytest.mark.parametrize("columns", [20, 40, 60, 80, 120, 300])
    def test_no_frame_is_wider_than_the_terminal(
        self, terminal, clock, monkeypatch, columns
    ):
        size = os.terminal_size((columns, 24))
        monkeypatch.setattr(terminal, "fileno", lambda: 2)
        monkeypatch.setattr(os, "get_terminal_size", lambda number: size)
        with progress(10, "DynaCorDetector", unit="training") as bar:
            for _ in range(10):
                clock.now += 100
                bar.advance(AUROC=0.9, train_loss=0.25, valid_loss=0.125)
        assert max(map(len, terminal.frames)) < columns
        wide = "training 10/10, AUROC 0.9, train loss 0.25, valid loss 0.125"
        assert (wide in terminal.frames[-1]) == (columns >= 120)
        assert ("training 10/10" in terminal.frames[-1]) == (columns >= 80)

    def test_a_terminal_of_unknown_size_is_taken_as_80_wide(self, terminal, clock):
        count(clock)
        assert {len(frame) for frame in terminal.frames} == {80}

    def test_lines_stand_above_the_bar(self, terminal, clock):
        with progress(2, "Fit") as bar:
            clock.now += 1
            bar.advance()
            bar.write("half of it")
            clock.now += 1
            bar.advance()
        text = terminal.getvalue()
        assert re.search(r"\r +\r+half of it\n+\r?Fit: +50%", text)
        assert "half of it" in terminal.frames

    def test_lines_for_stdout_stand_above_the_bar(self, terminal, clock, monkeypatch):
        # Both are the same screen.
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        with progress(2, "Fit") as bar:
            bar.advance()
            bar.write("a row", sys.stdout)
            n_before = len(terminal.frames)
        assert sys.stdout.getvalue() == "a row\n"
        assert not terminal.frames[n_before - 2].strip()

    def test_no_thread_watches(self, terminal, clock):
        count(clock)
        kinds = {type(thread).__name__ for thread in threading.enumerate()}
        assert "TMonitor" not in kinds


class TestLog:
    def test_lines_are_whole_few_and_plain(self, log, clock):
        count(clock, 1000, seconds=1)
        lines = log.getvalue().splitlines()
        assert "\r" not in log.getvalue() and "\x1b" not in log.getvalue()
        # The first after ten seconds, one a tenth, the last.
        assert len(lines) == 11
        assert lines[0] == (
            "Fit: 1%, epoch 10/1000, train loss 0.1, 0:00:10, 0:16:30 left"
        )
        assert lines[5].startswith("Fit: 50%, epoch 500/1000")
        assert lines[-1] == "Fit: 100%, epoch 1000/1000, train loss 0.001, took 0:16:40"

    def test_what_is_quick_gets_its_last_line_only(self, log, clock):
        count(clock, 20, 0.4)
        assert (
            log.getvalue() == "Fit: 100%, epoch 20/20, train loss 0.05, took 0:00:08\n"
        )

    def test_lines_are_ten_seconds_apart(self, log, clock):
        count(clock, 25, 1)
        times = re.findall(r", 0:00:(\d\d),", log.getvalue())
        assert [int(time) for time in times] == [10, 20]

    def test_what_takes_hours_is_heard_of_every_ten_minutes(self, log, clock):
        count(clock, 100_000, 0.36)
        lines = log.getvalue().splitlines()
        assert 60 <= len(lines) <= 72

    def test_what_shall_not_stay_is_silent_if_quick(self, log, clock):
        count(clock, 20, 0.4, leave=False)
        assert log.getvalue() == ""
        count(clock, 20, 1, leave=False)
        assert log.getvalue().splitlines()[-1].endswith("took 0:00:20")

    def test_an_end_before_the_end_is_told(self, log, clock):
        with progress(20, "Fit", unit="epoch") as bar:
            clock.now += 3
            bar.advance(7)
        assert log.getvalue() == "Fit: 35%, epoch 7/20, stopped after 0:00:03\n"

    def test_steps_done_before_take_no_time(self, log, clock):
        with progress(20, "Fit", unit="epoch", done=10) as bar:
            clock.now += 10
            bar.advance(5)
        assert log.getvalue().splitlines()[0] == (
            "Fit: 75%, epoch 15/20, 0:00:10, 0:00:10 left"
        )

    def test_lines_are_written_at_once(self, log, clock):
        with progress(2, "Fit") as bar:
            bar.write("row")
            assert log.getvalue() == "row\n"

    def test_another_process_than_the_main_one_writes_lines(
        self, terminal, clock, monkeypatch
    ):
        monkeypatch.setattr(display.multiprocessing, "parent_process", object)
        count(clock)
        assert "\r" not in terminal.getvalue()
        assert "Fit: 100%, epoch 20/20" in terminal.getvalue()


class TestNested:
    def test_a_bar_inside_refines_and_shows_nothing_of_its_own(self, log, clock):
        with progress(4, "Race", unit="training") as outer:
            for _ in range(4):
                with progress(10, "Net", verbose=0, unit="epoch") as inner:
                    for _ in range(10):
                        clock.now += 5
                        inner.advance(train_loss=0.5)
                outer.advance(AUROC=0.9)
        lines = log.getvalue().splitlines()
        assert all(line.startswith("Race: ") for line in lines)
        assert lines[0] == (
            "Race: 5%, training 1/4, epoch 2/10, train loss 0.5, 0:00:10, 0:03:10 left"
        )
        assert "Race: 30%, training 2/4, epoch 2/10, AUROC 0.9, train loss 0.5" in (
            log.getvalue()
        )
        assert lines[-1] == "Race: 100%, training 4/4, AUROC 0.9, took 0:03:20"

    def test_silence_outside_leaves_a_bar_to_itself(self, log, clock):
        with progress(4, "Race", verbose=0), progress(2, "Net") as inner:
            inner.advance(2)
        assert log.getvalue() == "Net: 100%, step 2/2, took 0:00:00\n"

    def test_silence_all_around(self, log, clock):
        with progress(4, "Race", verbose=0) as outer, progress(2, "Net", 0) as inner:
            assert current() is None
            clock.now += 1000
            inner.advance()
            inner.write("row")
            outer.advance()
        assert log.getvalue() == ""

    @given(
        steps=st.lists(
            st.tuples(st.integers(1, 5), st.lists(st.integers(1, 4), max_size=3)),
            min_size=1,
            max_size=5,
        )
    )
    def test_the_share_never_falls_and_ends_at_one(self, steps):
        stream = io.StringIO()
        shares = []
        with contextlib.redirect_stderr(stream):
            with progress(sum(size for size, _ in steps), "Fit") as outer:
                for size, inner_totals in steps:
                    outer.begin(size)
                    for total in inner_totals:
                        with progress(total, "Part", 0) as inner:
                            for _ in range(total):
                                inner.advance()
                                shares.append(outer._fraction())
                    outer.advance(size)
                    shares.append(outer._fraction())
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1)
        assert "100%" in stream.getvalue()

    def test_a_part_of_several_steps_is_refined_as_a_whole(self):
        with contextlib.redirect_stderr(io.StringIO()):
            with progress(10, "Fit") as outer:
                outer.begin(8, now="detecting")
                with progress(4, "Part", 0) as inner:
                    inner.advance()
                    assert outer._fraction() == pytest.approx(0.2)
                outer.advance(8)
                assert outer._fraction() == pytest.approx(0.8)
                with progress(2, "Part", 0) as inner:
                    inner.advance()
                    assert outer._fraction() == pytest.approx(0.85)

    def test_an_error_closes_all_bars(self, log, clock):
        with pytest.raises(ZeroDivisionError):
            with progress(4, "Race"), progress(2, "Net") as inner:
                inner.advance()
                1 / 0  # noqa: B018
        assert current() is None
        assert log.getvalue() == "Race: 12%, step 0/4, stopped after 0:00:00\n"

    def test_a_bar_that_was_forgotten_goes_with_the_one_outside(self, log, clock):
        with progress(2, "Race"):
            forgotten = progress(2, "Net")
            forgotten.open()
        assert current() is None
        forgotten.close()
        assert current() is None
        assert log.getvalue().count("\n") == 1

    def test_threads_have_bars_of_their_own(self, log, clock):
        seen = []
        with progress(2, "Fit"):
            thread = threading.Thread(target=lambda: seen.append(current()))
            thread.start()
            thread.join()
        assert seen == [None]

    def test_a_smaller_total_leaves_less_to_do(self, log, clock):
        with progress(8, "Race", unit="training") as bar:
            bar.advance(4)
            bar.total = 5
            bar.advance()
        assert "Race: 100%, training 5/5" in log.getvalue()


class TestValues:
    def test_numbers_texts_and_what_is_done_now(self, log, clock):
        with progress(100, "Fit", unit=None) as bar:
            bar.begin(now="looking around")
            clock.now += 10
            bar.advance(50, n_found=3, valid_loss=1234.5678, kind="linear")
        first, last = log.getvalue().splitlines()
        assert "50%, now looking around, n found 3, valid loss 1.23e+03, kind" in first
        assert last.startswith("Fit: 50%, n found 3, ") and "now" not in last


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError("nobody reads")


class BrokenTerminal(Broken):
    def isatty(self):
        return True


class Unruly(io.StringIO):
    def write(self, text):
        raise RuntimeError("the queue has been closed")


class Interrupting(Terminal):
    is_calm = False

    def write(self, text):
        if not self.is_calm and "step" in text:
            self.is_calm = True
            raise KeyboardInterrupt
        return super().write(text)


class WriteOnly:
    """What people put in place of stderr to send it to their logger."""

    def __init__(self):
        self.parts = []

    def write(self, text):
        self.parts.append(text)


class TestNoStream:
    @pytest.mark.parametrize("kind", [Broken, BrokenTerminal])
    def test_work_goes_on_when_nobody_reads(self, monkeypatch, clock, kind):
        put_in_place_of_stderr(kind(), monkeypatch)
        count(clock)

    @pytest.mark.parametrize("kind", [io.StringIO, Terminal])
    def test_work_goes_on_when_the_stream_is_closed(self, monkeypatch, clock, kind):
        stream = put_in_place_of_stderr(kind(), monkeypatch)
        with progress(3, "Fit") as bar:
            stream.close()
            clock.now += 20
            bar.advance()
            bar.write("row")

    def test_work_goes_on_without_a_stream(self, monkeypatch, clock):
        put_in_place_of_stderr(None, monkeypatch)
        count(clock)

    def test_work_goes_on_whatever_the_stream_raises(self, monkeypatch, clock):
        put_in_place_of_stderr(Unruly(), monkeypatch)
        count(clock)

    def test_what_can_do_no_more_than_write_gets_lines(self, monkeypatch, clock):
        stream = put_in_place_of_stderr(WriteOnly(), monkeypatch)
        count(clock, 2)
        assert "".join(stream.parts).startswith("Fit: 100%, epoch 2/2")

    @pytest.mark.parametrize("kind", [type(None), Broken])
    def test_lines_for_another_stream_get_there(self, monkeypatch, clock, kind):
        put_in_place_of_stderr(kind(), monkeypatch)
        other = io.StringIO()
        with progress(2, "Fit") as bar:
            clock.now += 20
            bar.advance()
            bar.write("a row", other)
        assert other.getvalue() == "a row\n"

    def test_an_interrupt_while_it_is_opened_leaves_no_bar(self, monkeypatch, clock):
        put_in_place_of_stderr(Interrupting(), monkeypatch)
        with pytest.raises(KeyboardInterrupt), progress(2, "Fit"):
            pass
        assert current() is None


class Widget:
    """As much of a widget as tqdm touches."""

    def __init__(self, children=(), **values):
        self.children = children
        self.layout = types.SimpleNamespace()
        self.style = types.SimpleNamespace(bar_color=None)
        self.value, self.bar_style, self.max = "", "", None
        vars(self).update(values)

    def close(self):
        self.is_closed = True


class ZMQInteractiveShell:
    pass


class Shell(ZMQInteractiveShell):
    """Colab's."""


@pytest.fixture(params=[ZMQInteractiveShell, Shell])
def notebook(request, monkeypatch, log):
    shell = request.param()
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    display._notebook_bar.cache_clear()
    yield
    display._notebook_bar.cache_clear()


class TestNotebook:
    @pytest.fixture
    def shown(self, notebook, monkeypatch):
        shown = []
        names = {"IProgress": Widget, "HTML": Widget, "TqdmHBox": Widget}
        for name, value in (names | {"display": shown.append}).items():
            monkeypatch.setattr(tqdm.notebook, name, value, raising=False)
        return shown

    def test_a_widget_if_there_are_widgets(self, shown, clock, log):
        count(clock)
        (box,) = shown
        left, bar, right = box.children
        assert "Fit" in left.value and "100%" in left.value
        assert "epoch\u200720/20" in right.value.replace("\xa0", "\u2007")
        assert bar.value == bar.max == 1 and bar.bar_style == "success"
        assert log.getvalue() == ""

    def test_red_is_for_errors_only(self, shown, clock):
        with progress(4, "Fit") as bar:
            bar.advance()
        with pytest.raises(ZeroDivisionError), progress(4, "Fit") as bar:
            bar.advance()
            1 / 0  # noqa: B018
        styles = [box.children[1].bar_style for box in shown]
        assert styles == ["success", "danger"]

    def test_a_line_without_widgets_and_no_warning(
        self, notebook, monkeypatch, clock, log
    ):
        monkeypatch.setattr(tqdm.notebook, "IProgress", None)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            count(clock)
        assert "\rFit: 100%|" in log.getvalue()
        assert "epoch 20/20, train loss 0.05]\n" in log.getvalue()

    def test_spyder_is_no_notebook(self, notebook, monkeypatch, clock, log):
        monkeypatch.setenv("SPYDER_ARGS", "")
        count(clock)
        assert log.getvalue().startswith("Fit: ") and "\r" not in log.getvalue()


def test_python_s_own_shell_is_no_notebook(monkeypatch, clock, terminal):
    ipython = types.SimpleNamespace(get_ipython=lambda: None)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    count(clock)
    assert "\rFit: 100%|" in terminal.getvalue()


SCRIPT = """
import sys
from sknoisy._progress import progress
with progress(3, "Fit", unit="epoch") as bar:
    for _ in range(3):
        bar.advance(loss=0.5)
print("result")
"""


def test_a_real_terminal_and_a_real_pipe():
    main_end, other_end = pty.openpty()
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=other_end, check=True)
    os.close(other_end)
    seen = os.read(main_end, 10_000).decode()
    os.close(main_end)
    assert done.stdout == b"result\n"
    assert seen.count("\r\n") == 1 and "\rFit: 100%|" in seen
    assert "epoch 3/3, loss 0.5]" in seen
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == b"result\n"
    assert done.stderr == b"Fit: 100%, epoch 3/3, loss 0.5, took 0:00:00\n"


QUICK = {"max_epochs": 2, "random_state": 0}
BY_LOSS = LossMixtureDetector(LogisticRegression(), random_state=0)
SHOWN = [
    (AUMDetector(**QUICK), "AUMDetector", "training 2/2"),
    (NeighborVoteDetector(random_state=0), "NeighborVoteDetector", "100%"),
    (FINEDetector(random_state=0), "FINEDetector", "100%"),
    (
        FINEDetector(NetClassifier(max_epochs=2), random_state=0),
        "FINEDetector",
        "100%",
    ),
    (LossMixtureDetector(**QUICK), "LossMixtureDetector", "100%"),
    (BY_LOSS, "LossMixtureDetector", "fold 5/5"),
    (clone(BY_LOSS).set_params(n_jobs=2), "LossMixtureDetector", "fold 5/5"),
    (
        # Its folds would learn from each other if they were not cloned.
        ConfidentLearningDetector(LogisticRegression(warm_start=True), random_state=0),
        "ConfidentLearningDetector",
        "fold 5/5",
    ),
    (ConfidentLearningDetector(random_state=0), "ConfidentLearning", "fold 20/20"),
    (CleanedClassifier(BY_LOSS, LogisticRegression()), "CleanedClassifier", "100%"),
]


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize(("estimator", "name", "text"), SHOWN, ids=str)
def test_every_detector_has_one_bar_and_finds_the_same(
    estimator, name, text, blobs, capfd
):
    X, y, _ = blobs
    with joblib.parallel_config(backend="threading"):
        silent = clone(estimator).fit(X, y)
        assert capfd.readouterr() == ("", "")
        shown = clone(estimator).set_params(verbose=1).fit(X, y)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and err.startswith(name)
    assert text in err and ", took 0:00:0" in err
    np.testing.assert_array_equal(shown.noise_scores_, silent.noise_scores_)


@pytest.mark.parametrize("estimator", [estimator for estimator, *_ in SHOWN], ids=str)
def test_verbose_is_checked(estimator, blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=r"verbose.*'loud'"):
        clone(estimator).set_params(verbose="loud").fit(X, y)


def test_one_bar_counts_the_epochs_of_all_trainings(blobs, clock, log):
    X, y, _ = blobs

    class Late(LogisticRegression):
        def fit(self, X, y):
            clock.now += 15
            return super().fit(X, y)

    detector = LossMixtureDetector(Late(), random_state=0)
    CleanedClassifier(detector, Late(), verbose=1).fit(X, y)
    first, *_, last = log.getvalue().splitlines()
    assert first == (
        "CleanedClassifier: 17%, fold 1/5, now detecting by LossMixtureDetector, "
        "0:00:15, 0:01:15 left"
    )
    assert last == "CleanedClassifier: 100%, took 0:01:30"


def test_with_several_jobs_folds_are_not_counted_one_by_one(blobs, clock, log):
    X, y, _ = blobs
    detector = ConfidentLearningDetector(n_jobs=2, random_state=0, verbose=1)
    advances = []

    class Spy:
        is_shown = True

        def begin(self, n, **shown):
            advances.append(("begin", n))

        def advance(self, n=1, **shown):
            advances.append(("advance", n))

    codes = np.unique(y, return_inverse=True)[1]
    detector.classes_ = np.unique(y)
    with joblib.parallel_config(backend="threading"):
        detector._predict_out_of_fold(X, codes, Spy(), detector._routed(None, {}))
    assert advances == [("begin", 5), ("advance", 5)] * 4
