"""The only file that uses private names of torch: operations on many tensors at once.

A loop over the weights of a network would start a kernel for each of them.
"""

import torch

__all__ = ["lerp_each_", "multiplied_each", "multiply_each_"]


def multiplied_each(tensors, others):
    """Return the products of tensors and others, pair by pair.

    Parameters
    ----------
    tensors, others : sequence of Tensor
        Two sequences of the same length, with tensors of the same shapes.

    Returns
    -------
    products : sequence of Tensor
        The products, in the same order.
    """
    return torch._foreach_mul(tensors, others)


def multiply_each_(tensors, others):
    """Multiply tensors in place by others, pair by pair.

    Parameters
    ----------
    tensors, others : sequence of Tensor
        Two sequences of the same length, with tensors of the same shapes.
    """
    torch._foreach_mul_(tensors, others)


def lerp_each_(tensors, ends, weight):
    """Interpolate tensors in place towards others, all by the same weight.

    Parameters
    ----------
    tensors, ends : sequence of Tensor
        Two sequences of the same length, with tensors of the same shapes.
    weight : float
        0 does not change them, 1 sets them to the ends.
    """
    torch._foreach_lerp_(tensors, ends, weight)
