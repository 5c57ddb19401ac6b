"""A callback that keeps which labels a network thinks right, after each epoch."""

from skorch.callbacks import Callback
from torch.nn import functional as F

from sknoisy import BMMLossSplitter, FlywheelClassifier
from sknoisy.losses import wrong_label_probability


class Selection(Callback):
    """Keeps what is thought of the labels after each epoch."""

    def initialize(self):
        """Forget earlier epochs."""
        self.scores_, self.labels_ = [], []
        return self

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        """Ask the state of the cycles, or the losses."""
        if isinstance(net, FlywheelClassifier):
            state = net.criterion_["cycles"]
            y = net.eval_pass(dataset_train, ["judge"])[1]
            parts = state.q, y, state.proba, state.corruption
            scores, labels = wrong_label_probability(*parts).numpy(), state.labels
        else:
            _, y, logits = net.eval_pass(dataset_train)
            losses = F.cross_entropy(logits["module"], y, reduction="none").numpy()
            scores = BMMLossSplitter().fit(losses).transform(losses)[:, 0]
            labels = logits["module"].argmax(1)
        self.scores_.append(scores)
        self.labels_.append(labels.numpy().copy())
