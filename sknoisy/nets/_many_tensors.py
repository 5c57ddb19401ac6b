"""The only file that touches private names of torch: one operation on many tensors.

A loop over the weights of a network would start a kernel for each of them.
"""

import torch

__all__ = ["lerp_each_", "multiplied_each", "multiply_each_"]


def multiplied_each(tensors, others):
    """Return the products of tensors and others, pair by pair.

    Parameters
    ----------
    tensors, others : sequence of Tensor
        As many of the one as of the other, of the same shapes.

    Returns
    -------
    products : sequence of Tensor
        In their order.
    """
    return torch._foreach_mul(tensors, others)


def multiply_each_(tensors, others):
    """Multiply tensors in place by others, pair by pair.

    Parameters
    ----------
    tensors, others : sequence of Tensor
        As many of the one as of the other, of the same shapes.
    """
    torch._foreach_mul_(tensors, others)


def lerp_each_(tensors, ends, weight):
    """Move tensors in place towards others, each by the same share of the way.

    Parameters
    ----------
    tensors, ends : sequence of Tensor
        As many of the one as of the other, of the same shapes.
    weight : float
        0 leaves them where they are, 1 takes them to the ends.
    """
    torch._foreach_lerp_(tensors, ends, weight)
