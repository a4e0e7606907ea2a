"""The dual solve of the closed form with its gradient written by hand, user by user as machine code.

Automatic differentiation of the formula keeps and visits a dozen (B, S, D) tensors and as many small
batched kernels; by hand it takes one more S x S solve with the factor at hand, and two outer products.
Knows nothing of what the events mean.

With ``a = (r phi V^T r + I)^-1 r (t - phi w0)``, ``w = w0 + V^T r a`` and ``V = phi A0^-1``, a gradient
``h`` of the loss by w gives

    b = (r phi V^T r + I)^-1 r V h     the same solve with another right-hand side
    d loss / d w0  = g = h - phi^T r b
    d loss / d phi = -(r b) w^T
    d loss / d V   =  (r a) g^T
    d loss / d t   =   r b
    d loss / d c   =   a b / c         since a = r (t - phi w) and b = r V g

Shapes: B users, S support (padded), D embedding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from engine.compiled import compiled_unlocked
from engine.learning.cholesky import factorise, substitute

Array = NDArray[np.float32] | NDArray[np.float64]
ZERO = np.float32(0)  # what is added to it says in which precision


class DualSolve(torch.autograd.Function):
    """``posterior_dual`` of `engine.learning.closed_form` on a CPU; can be differentiated once.

    One thread and no BLAS, which would share such small products among many.

    Raises:
        torch.linalg.LinAlgError: a posterior is not finite.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, w0_BD: Tensor, phi_BSD: Tensor, spread_BSD: Tensor, t_BS: Tensor, c_BS: Tensor
    ) -> Tensor:
        given = [part.contiguous() for part in (w0_BD, phi_BSD, spread_BSD, t_BS, c_BS)]
        w_BD, a_BS = torch.empty_like(given[0]), torch.empty_like(given[3])
        factor_BSS = w_BD.new_empty(*a_BS.shape, a_BS.shape[1])
        _solve(*_arrays(*given, w_BD, a_BS, factor_BSS))
        if not w_BD.isfinite().all():
            raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
                "a user's events give no posterior: something is not finite"
            )
        ctx.save_for_backward(w_BD, *given[1:3], given[4], a_BS, factor_BSS)
        return w_BD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, h_BD: Tensor) -> tuple[Tensor, ...]:
        saved = ctx.saved_tensors
        w_BD, phi_BSD, spread_BSD, c_BS, _, _ = saved
        by = [torch.empty_like(part) for part in (w_BD, phi_BSD, spread_BSD, c_BS, c_BS)]
        _slopes(*_arrays(h_BD.contiguous(), *saved, *by))
        return tuple(by)


def _arrays(*tensors: Tensor) -> list[Array]:
    """The same memory."""
    return [tensor.detach().numpy() for tensor in tensors]


@compiled_unlocked
def _solve(
    w0_BD: Array,
    phi_BSD: Array,
    spread_BSD: Array,
    t_BS: Array,
    c_BS: Array,
    w_BD: Array,
    a_BS: Array,
    factor_BSS: Array,
) -> None:
    """Writes w, a and the Cholesky factor of ``r phi V^T r + I``."""
    n_users, n_events, dim = phi_BSD.shape
    for u in range(n_users):
        factor_SS = factor_BSS[u]
        for i in range(n_events):
            root = math.sqrt(c_BS[u, i])
            for j in range(i + 1):
                product = ZERO
                for d in range(dim):
                    product += phi_BSD[u, i, d] * spread_BSD[u, j, d]
                factor_SS[i, j] = product * root * math.sqrt(c_BS[u, j])
            factor_SS[i, i] += 1
            surprise = t_BS[u, i]
            for d in range(dim):
                surprise -= phi_BSD[u, i, d] * w0_BD[u, d]
            a_BS[u, i] = root * surprise
        factorise(factor_SS)
        substitute(factor_SS, a_BS[u])
        w_BD[u] = w0_BD[u]
        for s in range(n_events):
            root_a = math.sqrt(c_BS[u, s]) * a_BS[u, s]
            for d in range(dim):
                w_BD[u, d] += root_a * spread_BSD[u, s, d]


@compiled_unlocked
def _slopes(
    h_BD: Array,
    w_BD: Array,
    phi_BSD: Array,
    spread_BSD: Array,
    c_BS: Array,
    a_BS: Array,
    factor_BSS: Array,
    by_w0_BD: Array,
    by_phi_BSD: Array,
    by_spread_BSD: Array,
    by_t_BS: Array,
    by_c_BS: Array,
) -> None:
    """Writes the gradients; b, then r b, are in the place of that of t."""
    n_users, n_events, dim = phi_BSD.shape
    for u in range(n_users):
        by_w0_BD[u] = h_BD[u]
        for s in range(n_events):
            product = ZERO
            for d in range(dim):
                product += spread_BSD[u, s, d] * h_BD[u, d]
            by_t_BS[u, s] = product * math.sqrt(c_BS[u, s])
        substitute(factor_BSS[u], by_t_BS[u])
        for s in range(n_events):
            a, b, c = a_BS[u, s], by_t_BS[u, s], c_BS[u, s]
            by_c_BS[u, s] = a * b / c if c > 0 else 0  # 0 in the padding
            root_b = math.sqrt(c) * b
            by_t_BS[u, s] = root_b
            for d in range(dim):
                by_w0_BD[u, d] -= root_b * phi_BSD[u, s, d]
                by_phi_BSD[u, s, d] = -root_b * w_BD[u, d]
        for s in range(n_events):
            root_a = math.sqrt(c_BS[u, s]) * a_BS[u, s]
            for d in range(dim):
                by_spread_BSD[u, s, d] = root_a * by_w0_BD[u, d]
