"""Progress of a training, as a bar or a table."""

import sys

from skorch.callbacks import PrintLog

from sknoisy._progress import current, progress
from sknoisy.nets._processes import is_first_process

__all__ = ["ProgressLog", "close_bars"]

_LOSSES = ("train_loss", "valid_loss")


class ProgressLog(PrintLog):
    """Show the epochs of a training: a bar, or a table.

    With ``verbose=1`` a bar on stderr counts the epochs and shows the loss and the time
    left; with larger values, skorch's table has a row for each epoch. Inside another
    bar, for example that of a detector, it refines that bar. It is the callback
    "print_log" of every `NetClassifier`, and has the parameters of skorch's PrintLog.

    Parameters
    ----------
    keys_ignored : str, list of str or None, default=None
        Columns that the table leaves out.
    sink : callable, default=print
        Function that is called with the rows of the table. Any other than ``print`` is
        called whatever ``verbose`` is, instead of a bar.
    tablefmt, floatfmt, stralign : str
        Format of the table.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknoisy import NetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> rows = []
    >>> net = NetClassifier(max_epochs=3, callbacks__print_log__sink=rows.append)
    >>> len(net.fit(X, y).history_), len(rows)
    (3, 5)
    """

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Open the bar at the number of epochs already done."""
        self.close()
        # A stored training resumes where it stopped.
        before = getattr(net, "epochs_before_", len(net.history))
        is_bar = net.verbose == 1 and self.sink is print and is_first_process(net)
        # Named like the attributes that skorch does not pickle.
        self.pbar_ = progress(
            net.max_epochs,
            type(net).__name__,
            int(is_bar),
            unit="epoch",
            done=len(net.history) - before,
        )
        self.rows_before = before
        self.pbar_.open()

    def on_epoch_end(self, net, **kwargs):
        """Count the epoch, or print its row."""
        if (self.sink is not print or net.verbose > 1) and is_first_process(net):
            super().on_epoch_end(net, **kwargs)
        self._count(net)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Close the bar."""
        # A callback that stops the training at the end of an epoch skips this hook.
        if len(net.history) and "train_batch_count" in net.history[-1]:
            self._count(net)
        self.close()

    def close(self, failed=False):
        """Close the bar if there is one.

        Parameters
        ----------
        failed : bool, default=False
            Whether an error is the reason.
        """
        bar = vars(self).pop("pbar_", None)
        if bar is not None:
            bar.close(failed)

    def _count(self, net):
        bar = vars(self).get("pbar_")
        if bar is None or not bar.is_shown:
            return
        row, n_new = net.history[-1], len(net.history) - self.rows_before - bar.done
        if n_new:
            losses = {name: row[name] for name in _LOSSES if name in row}
            bar.advance(n_new, **losses)

    def _sink(self, text, verbose):
        bar = current()
        if self.sink is print and bar is not None:
            bar.write(text, sys.stdout)
        else:
            super()._sink(text, verbose)

    def __getstate__(self):
        state = self.__dict__.copy()
        state.pop("pbar_", None)
        return state


def close_bars(net):
    """Close bars that were left open by an error."""
    for _, callback in vars(net).get("callbacks_", ()):
        if isinstance(callback, ProgressLog):
            callback.close(failed=True)
