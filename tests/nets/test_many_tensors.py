import torch

from sknoisy.nets._many_tensors import lerp_each_, multiplied_each, multiply_each_


def test_each_pair_is_treated_as_a_single_one():
    first = [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])]
    second = [torch.tensor([4.0, -1.0]), torch.tensor([[0.5]])]
    products = multiplied_each(first, second)
    assert [p.tolist() for p in products] == [[4.0, -2.0], [[1.5]]]
    assert first[0].tolist() == [1.0, 2.0]
    lerp_each_(first, second, 0.5)
    assert [t.tolist() for t in first] == [[2.5, 0.5], [[1.75]]]
    multiply_each_(first, second)
    assert [t.tolist() for t in first] == [[10.0, -0.5], [[0.875]]]
