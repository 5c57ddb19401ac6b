"""What a net has, so that its images can be masked."""

import torch
from torch.nn import functional as F

from sknoisy.mixture._small_loss import small_loss_splitter
from sknoisy.nets._masking import watch_maps
from sknoisy.nets._outputs import takes_proba
from sknoisy.nets._peers import Peers

__all__ = ["MaskingMixin"]

# Of the epochs, the share before images are masked: 10 of 300 in the sources, where
# an epoch has thirty times the updates of ours.
_WARMUP_SHARE = 0.2


class MaskingMixin:
    """The part of `NetClassifier` that lets a host be masked.

    A host with several networks, with targets of its own, or that judges labels itself
    overrides what says so here. It sees no more of masking than that.
    """

    masking_ = None
    maps_ = None

    @property
    def masked_networks_(self):
        """The networks that are trained on masked images."""
        module = getattr(self.module_, "_orig_mod", self.module_)
        return list(module.peers) if isinstance(module, Peers) else [module]

    @property
    def masked_turns_(self):
        """Numbers of those networks that the current step trains."""
        return range(len(self.masked_networks_))

    def masking_loss(self, X, y, index):
        """Return what masked images add to the loss of a batch.

        Called after ``training_loss``, when images are masked.

        Parameters
        ----------
        X : Tensor of shape (batch, channels, height, width)
            Images of the batch.
        y : Tensor of shape (batch,), dtype int64
            Codes of the given labels.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.

        Returns
        -------
        loss : Tensor of shape ()
            Mean over the batch.
        """
        targets = F.one_hot(y, len(self.classes_)).float()
        return sum(self.masked(turn, X, targets, index) for turn in self.masked_turns_)

    def masked(self, turn, X, targets, index, rows=None):
        """Return the mean loss of masked images for a network.

        Parameters
        ----------
        turn : int
            Which of the networks.
        X : Tensor of shape (batch, channels, height, width)
            Images of the batch.
        targets : Tensor of shape (batch, n_classes)
            Target distribution of each row.
        index : Tensor of shape (batch,), dtype int64
            Row numbers in the X given to ``fit``.
        rows : Tensor of shape (n_rows,), dtype int64, default=None
            Of the batch, those that the network learns; None is all.

        Returns
        -------
        loss : Tensor of shape ()
            Mean over the batch.
        """
        network = self.masked_networks_[turn]
        # What the host has computed of these very images is not computed again.
        maps = (made for seen, made in self.maps_.get(network, ()) if seen is X)
        feature_map = next(maps, None)
        if rows is not None:
            X, targets, index = X[rows], targets[rows], index[rows]
            feature_map = None if feature_map is None else feature_map[rows]
        loss = self.masking_(turn, network, X, targets, index, feature_map)
        return self.weighted_mean(loss, index)

    def label_quality(self, dataset):
        """Return how likely each label is clean, for each network.

        Parameters
        ----------
        dataset : ArrayDataset or Subset of one
            Rows to read.

        Returns
        -------
        rows : Tensor of shape (n_rows,), dtype int64
            Row numbers in the X given to ``fit``.
        quality : list of Tensors of shape (n_rows,)
            With several networks, each is told what the next one thinks.
        """
        networks = dict(enumerate(self.masked_networks_))
        rows, codes, logits = self.eval_pass(dataset, networks)
        quality = [self._clean_proba(logits[turn], codes) for turn in networks]
        return rows, quality[1:] + quality[:1]

    def _clean_proba(self, logits, codes):
        losses = F.cross_entropy(logits, codes, reduction="none").cpu().numpy()
        splitter = small_loss_splitter(self.seed_ % 2**31)
        proba = splitter.fit(losses).predict_proba(losses)[:, 0]
        return torch.from_numpy(proba).to(self.device_, torch.float32)

    def _initialize_criterion(self, reason=None):
        # The decoders come last, and are no criterion of the host's.
        if "masking" in self._criteria:
            self._criteria = [name for name in self._criteria if name != "masking"]
        super()._initialize_criterion(reason)
        self.masking_ = None
        if self.masking is None:
            return self
        if takes_proba(self.criterion_):
            raise ValueError(
                "masking needs a network that returns logits; under NLLLoss it returns "
                "probabilities. Set criterion=torch.nn.CrossEntropyLoss."
            )
        masking = self.build("masking")
        for network in self.masked_networks_:
            if not hasattr(network, "feature_map"):
                raise ValueError(
                    f"masking needs a network with feature_map(X), the last map of "
                    f"shape (batch, channels, h, w); {type(network).__name__} has none."
                )
        row = torch.zeros(1, *self.input_shape_, device=self.device_)
        masking.start(self.masked_networks_, row, self.rows_fitted_[0])
        self.masking_ = self._placed(masking)
        # The optimizer trains the decoders, too.
        self._criteria = [*self._criteria, "masking"]
        return self

    def _check_masking(self):
        """Refuse what cannot be masked, before anything is trained."""
        given = [f"masking__{name}" for name in self.get_params_for("masking")]
        if self.masking is None:
            if given:
                raise ValueError(
                    f"{', '.join(given)} would have no effect: masking is None. Set "
                    "masking=AdversarialMasking."
                )
        elif len(self.input_shape_) != 3:
            raise ValueError(
                "masking is for images, X of shape (n_samples, channels, height, "
                f"width); rows of X have shape {self.input_shape_}, in which no place "
                "is beside another. Set masking=None."
            )

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Judge the labels, once images are to be masked."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        if self.masking_ is None:
            return
        n_warmup = self.masking_.warmup_epochs
        if n_warmup == "auto":
            n_warmup = max(1, round(_WARMUP_SHARE * self.max_epochs))
        self.masking_.is_active = len(self.history) > n_warmup
        if self.masking_.is_active:
            rows, found = self.label_quality(dataset_train)
            quality = torch.ones(len(found), self.rows_fitted_[0], device=self.device_)
            quality[:, rows] = torch.stack(found)
            self.masking_.label_quality = quality

    def _loss_with_masking(self, X, y, index):
        """Return the host's loss, with that of masked images, and the host's logits."""
        if self.masking_ is None or not self.masking_.is_active:
            return self.training_loss(X, y, index)
        # A compiled network would be compiled anew if it were watched.
        watched = [] if self.compile else self.masked_networks_
        try:
            with watch_maps(watched) as self.maps_:
                loss, logits = self.training_loss(X, y, index)
            return loss + self.masking_loss(X, y, index), logits
        finally:
            # An interrupted step leaves nothing that holds the images.
            self.maps_ = None
