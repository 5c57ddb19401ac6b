import pytest

from sknoisy.nets._epoch_shares import resolve_epochs, share_of_epochs


@pytest.mark.parametrize(
    ("share", "max_epochs", "expected"),
    [(0.2, 20, 4), (0.1, 2, 1), (0.2, 1, 1), (0.25, 10, 2), (0.35, 10, 4), (1, 7, 7)],
)
def test_a_share_is_rounded_and_never_none(share, max_epochs, expected):
    assert share_of_epochs(share, max_epochs) == expected


def test_only_auto_is_a_share():
    assert resolve_epochs("auto", 0.2, 20) == 4
    for given in (0, 3, 2.5):
        assert resolve_epochs(given, 0.2, 20) == given
