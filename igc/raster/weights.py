"""Where in its triangle a pixel's centre lies, and what vertex attributes are there: with hand-written
gradients, which are several times faster than those that autograd puts together (`benchmarks/raster.py`).

With corners (x_i, y_i, z_i) relative to the centre, e_i = x_j y_k - y_j x_k, u_i = e_i / z_i and s = sum u_i,
the perspective-correct weights are w_i = u_i / s and the depth is d = (sum e_i) / s.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def snap(places: Tensor, size: int) -> Tensor:
    """Places in pixels of an image `size` wide, rounded to a lattice that holds the pixels' centres.

    The step is a power of two, in single precision at most `size` / 2^20: a vertex moves by less than a
    millionth of the image's half width, and one that is a centre but for rounding becomes one, so that a
    surface seen at its own resolution covers its rim."""
    steps = 2.0 ** ((21 if places.dtype == torch.float32 else 44) - (size - 1).bit_length())
    return (places * steps).round_().div_(steps)


class PerspectiveWeights(torch.autograd.Function):
    """Vertices (V, 3), corners (N, 3) as indices into them, and centres x, y (N,) inside of those triangles:
    weights (N, 3) and depths (N,). An edge that the centre misses by a rounding error counts as hit."""

    @staticmethod
    def forward(ctx, vertices: Tensor, corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        corner = corners.T.reshape(-1)
        xs, ys, zs = (v.contiguous().index_select(0, corner).reshape(3, -1) for v in vertices.unbind(1))
        xs, ys = xs - x, ys - y
        edges = _cross(xs, ys)
        turn = edges.sum(0).ge_(0).mul_(2).sub_(1)  # 1 or -1: which way round the corners are
        edges.mul_(turn)
        hit = edges.clone().ge_(0).mul_(turn)
        edges.clamp_(min=0)
        edges.add_(edges.sum(0).eq_(0))  # equal weights if a triangle is a point
        over = edges / zs
        total = over.sum(0)
        weights, depth = over / total, edges.sum(0) / total
        ctx.save_for_backward(corner, xs, ys, zs, total, weights, depth, hit)
        ctx.vertices = len(vertices)
        return weights.T, depth

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_weights: Tensor, grad_depth: Tensor) -> tuple[Tensor | None, ...]:
        corner, xs, ys, zs, total, weights, depth, hit = ctx.saved_tensors
        grad_weights, grad_depth = grad_weights.T, grad_depth / total
        mean = (grad_weights * weights).sum(0)
        grad_over = (grad_weights - mean) / total - grad_depth * depth
        grad_edges = (grad_over / zs + grad_depth) * hit
        depths = (weights * total).div_(zs).mul_(grad_over).neg_()
        planes = _cross(ys, grad_edges), _cross(grad_edges, xs), depths
        grad = [p.new_zeros(ctx.vertices).index_add_(0, corner, p.reshape(-1)) for p in planes]
        return torch.stack(grad, dim=-1), None, None, None


class Interpolate(torch.autograd.Function):
    """Mixes the values (V, C) of corners (N, 3) with weights (N, 3): (N, C)."""

    @staticmethod
    def forward(ctx, values: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(values, corners, weights)
        if not len(corners):
            return values.new_zeros(0, values.shape[1])
        return torch.nn.functional.embedding_bag(
            corners, values, per_sample_weights=weights.contiguous(), mode="sum"
        )

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, corners, weights = ctx.saved_tensors
        grad_values = grad_weights = None
        if ctx.needs_input_grad[0]:
            shares = (weights[..., None] * grad[:, None]).flatten(0, 1)
            grad_values = torch.zeros_like(values).index_add_(0, corners.reshape(-1), shares)
        if ctx.needs_input_grad[2]:
            corner_values = values.index_select(0, corners.reshape(-1)).unflatten(0, corners.shape)
            grad_weights = torch.bmm(corner_values, grad[..., None])[..., 0]
        return grad_values, None, grad_weights


def _cross(p: Tensor, q: Tensor) -> Tensor:
    """(3, N) of (3, N) and (3, N): the cross products of their columns."""
    return torch.stack([p[i - 2] * q[i - 1] - q[i - 2] * p[i - 1] for i in range(3)])
