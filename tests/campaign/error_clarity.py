"""Whether an error says what was wrong, in the words of who caused it."""

import re
import traceback

from sklearn.exceptions import NotFittedError

from sknoisy.base import TrainingInterrupted

CLEAR_TYPES = (
    ValueError,
    TypeError,
    NotFittedError,
    FloatingPointError,
    ImportError,
    OSError,
    TrainingInterrupted,
    NotImplementedError,
)
# Subclasses of the above that say nothing by their type.
UNCLEAR_TYPES = (UnicodeError,)

# Where an error may arise: here, in scikit-learn's validation, in the user's own code,
# and in skorch's check of parameter names.
HOMES = re.compile(
    r"/sknoisy/|/sklearn/utils/|/sklearn/base\.py|/sklearn/_config\.py|/campaign/"
    r"|/skorch/net\.py|/argparse\.py|/torch/optim/|/joblib/"
    # Names the columns that have one name.
    r"|/narwhals/_utils\.py"
)

# Words of numpy, torch and Python that mean nothing to a user.
INTERNAL = re.compile(
    r"'NoneType' object|ufunc|is not iterable|not subscriptable|not callable$"
    r"|unhashable|could not be broadcast|cannot be broadcast|mat1 and mat2"
    r"|out of bounds"
    r"|not supported between|unsupported operand|has no len\(\)|_ArrayObject"
    r"|has no attribute '_|not enough values to unpack|missing \d+ required pos"
    r"|ambiguous|bool\(\) |setting an array element|inhomogeneous|expected Tensor"
    r"|can't convert|Can't convert|must be real number|object at 0x"
)

# Then what the user's own network or criterion said follows.
WRAPPED = re.compile("cannot take rows of X of shape|does not take outputs of shape")

# Inner parts that a message must not blame unless the user wrote them.
INNER = (
    r"(LogisticRegression|NearestNeighbors|KNeighborsClassifier|StandardScaler"
    r"|QuantileTransformer|GaussianMixture|BetaMixture|BMMLossSplitter|PCA|CORESNet"
    r"|StratifiedKFold|LabelEncoder|_[A-Z]\w+)"
)
BLAMED = re.compile(
    rf"(?:parameter of {INNER}\b)|(?:\b{INNER}(?:\(\))? (?:does|needs|is expecting"
    r"|expects|requires|takes|cannot|failed|instance|was)\b)"
)

# One of these, or the name of a parameter, says which of the things given was wrong.
NAMED = re.compile(
    r"\b(X|y|y_true|y_noisy|sample_weight|labels?|class|classes|rows?|samples?"
    r"|columns?|features?|losses|loss|values?|parameters?|arguments?|file|path"
    r"|images?|option|probabilit\w+|logits|epochs?|inputs?|weights?|arrays?|attribute|loaded|saved)\b"
)


def judge_error(error, written=""):
    """Return why an error is unclear, or "" if it is clear.

    Parameters
    ----------
    error : BaseException
    written : str
        All that the user wrote: names of classes and parameters.

    Returns
    -------
    complaint : str
    """
    message = str(error)
    home = _innermost(error)
    if isinstance(error, SystemExit):
        return "" if error.code in (0, 2) else f"exit with {error.code}"
    if isinstance(error, NotFittedError):
        return ""
    if isinstance(error, AttributeError):
        is_ours = "sknoisy" in home or "sklearn" in home
        return "" if is_ours and not INTERNAL.search(message) else "AttributeError"
    if not isinstance(error, CLEAR_TYPES) or isinstance(error, UNCLEAR_TYPES):
        return f"a bare {type(error).__name__}"
    if not message.strip():
        return "no message"
    if isinstance(error, OSError) and error.filename is not None:
        return ""
    if not HOMES.search(home):
        return f"raised in {'/'.join(home.split('/')[-3:])}"
    if WRAPPED.search(message):
        return ""
    if found := INTERNAL.search(message):
        return f"internal words: {found[0]!r}"
    blamed = [name for pair in BLAMED.findall(message) for name in pair if name]
    blamed = [name for name in blamed if name not in written]
    if blamed:
        return f"blames {blamed[0]}, which the user never wrote"
    names = set(re.findall(r"\w+", written))
    if not NAMED.search(message) and not names & set(re.findall(r"\w+", message)):
        return "names nothing that the user gave"
    return ""


def place_of(error):
    """Return file:line of the innermost frame inside the package."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/sknoisy/" in f.filename]
    frame = (ours or frames)[-1]
    return f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno}"


def _innermost(error):
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename if frames else "/campaign/"
