"""Features of columns of texts."""

import numpy as np
from scipy.sparse import hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_union

__all__ = ["TextFeatures"]

# A run of letters and digits, or any other single character: every text that is not
# blank has at least one word.
_WORD = r"(?u)\w+|[^\w\s]"
_WORDS = {"token_pattern": _WORD}
_CHARS = {"analyzer": "char_wb", "ngram_range": (2, 4)}
_PARTS = {"words": [_WORDS], "chars": [_CHARS], "both": [_WORDS, _CHARS]}
_MAX_PARTS = 50_000


class TextFeatures:
    """TF-IDF of words or runs of characters, each column by itself.

    Parameters
    ----------
    ngrams : {"words", "chars", "both"}
        Runs of characters have 2 to 4 of them and end at the ends of words.
    n_components : int or None
        Directions of largest variance of each column, of which all are then divided by
        one number, so that their standard deviation is 1 together: scaling each alone
        would amplify the weakest. None keeps the frequencies, as a sparse matrix.
    random_state : int or RandomState instance
    """

    def __init__(self, ngrams, n_components, random_state):
        self.ngrams = ngrams
        self.n_components = n_components
        self.random_state = random_state

    def fit_transform(self, columns):
        """Learn the vocabulary, and return the features.

        Parameters
        ----------
        columns : list of ndarray of shape (n_samples,)
            Strings.

        Returns
        -------
        features : ndarray or csr_matrix of shape (n_samples, n_features)
        """
        self._parts = [self._vectorizer() for _ in columns]
        pairs = list(zip(self._parts, columns, strict=True))
        blocks = [part.fit_transform(texts) for part, texts in pairs]
        if self.n_components is None:
            return hstack(blocks, format="csr")
        self._reducers = [self._reducer(block.shape) for block in blocks]
        features = np.hstack(
            [
                block.toarray() if svd is None else svd.fit_transform(block)
                for svd, block in zip(self._reducers, blocks, strict=True)
            ]
        )
        self._scale = max(features.std(), np.finfo(np.float32).tiny)
        return features / self._scale

    def transform(self, columns):
        """Return the features of further texts.

        Parameters
        ----------
        columns : list of ndarray of shape (n_samples,)

        Returns
        -------
        features : ndarray or csr_matrix of shape (n_samples, n_features)
        """
        pairs = list(zip(self._parts, columns, strict=True))
        blocks = [part.transform(texts) for part, texts in pairs]
        if self.n_components is None:
            return hstack(blocks, format="csr")
        features = [
            block.toarray() if svd is None else svd.transform(block)
            for svd, block in zip(self._reducers, blocks, strict=True)
        ]
        return np.hstack(features) / self._scale

    def get_feature_names_out(self, input_features):
        """Return the names of the features.

        Parameters
        ----------
        input_features : list of str
            Names of the columns.

        Returns
        -------
        names : ndarray of shape (n_features,), dtype object
        """
        names = []
        for i, column in enumerate(input_features):
            svd = None if self.n_components is None else self._reducers[i]
            if svd is None:
                # Without the name of the vectorizer in front.
                parts = self._parts[i].get_feature_names_out()
                names += [f"{column}_{part.partition('__')[2]}" for part in parts]
            else:
                names += [f"{column}_{k}" for k in range(len(svd.components_))]
        return np.array(names, dtype=object)

    def _vectorizer(self):
        return make_union(
            *(
                TfidfVectorizer(
                    sublinear_tf=True,
                    max_features=_MAX_PARTS,
                    dtype=np.float64 if self.n_components is None else np.float32,
                    **how,
                )
                for how in _PARTS[self.ngrams]
            )
        )

    def _reducer(self, shape):
        """Return a truncated SVD, or None where there is nothing to cut off."""
        if shape[1] <= self.n_components:
            return None
        n_components = min(self.n_components, shape[0])
        return TruncatedSVD(n_components, random_state=self.random_state)
