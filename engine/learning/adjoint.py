"""The dual solve of the closed form with its gradient written by hand.

Automatic differentiation of the formula keeps and visits a dozen (B, S, D) tensors; by hand it takes one
more S x S solve with the factor at hand, and two outer products. Knows nothing of what the events mean.

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

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class DualSolve(torch.autograd.Function):
    """``posterior_dual`` of `engine.learning.closed_form`; can be differentiated once.

    Small batched products: ``torch.bmm`` takes half the time of ``@``, which copies transposed factors,
    and a row times a matrix a fifth of that of a matrix times a column.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, w0_BD: Tensor, phi_BSD: Tensor, spread_BSD: Tensor, t_BS: Tensor, c_BS: Tensor
    ) -> Tensor:
        root_B1S, w0_B1D = c_BS.sqrt().unsqueeze(1), w0_BD.unsqueeze(1)
        gram_BSS = torch.bmm(phi_BSD, spread_BSD.mT).mul_(root_B1S.mT).mul_(root_B1S)
        gram_BSS.diagonal(dim1=-2, dim2=-1).add_(1.0)
        factor_BSS = torch.linalg.cholesky(gram_BSS)
        surprise_B1S = torch.baddbmm(t_BS.unsqueeze(1), w0_B1D, phi_BSD.mT, alpha=-1.0)
        a_B1S = _solve(root_B1S * surprise_B1S, factor_BSS)
        w_BD = torch.baddbmm(w0_B1D, root_B1S * a_B1S, spread_BSD).squeeze(1)
        ctx.save_for_backward(w_BD, phi_BSD, spread_BSD, c_BS, root_B1S, factor_BSS, a_B1S)
        return w_BD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, h_BD: Tensor) -> tuple[Tensor, ...]:
        w_BD, phi_BSD, spread_BSD, c_BS, root_B1S, factor_BSS, a_B1S = ctx.saved_tensors
        h_B1D = h_BD.unsqueeze(1)
        b_B1S = _solve(root_B1S * torch.bmm(h_B1D, spread_BSD.mT), factor_BSS)
        root_b_B1S = root_B1S * b_B1S
        g_B1D = torch.baddbmm(h_B1D, root_b_B1S, phi_BSD, alpha=-1.0)
        smallest = torch.finfo(c_BS.dtype).tiny  # padding has a = b = c = 0
        return (
            g_B1D.squeeze(1),
            root_b_B1S.mT * -w_BD.unsqueeze(1),
            (root_B1S * a_B1S).mT * g_B1D,
            root_b_B1S.squeeze(1),
            (a_B1S * b_B1S).squeeze(1) / c_BS.clamp_min(smallest),
        )


def _solve(right_B1S: Tensor, factor_BSS: Tensor) -> Tensor:
    return torch.cholesky_solve(right_B1S.mT, factor_BSS).mT
