"""Events that contradict the rest count less: weights from exact leave-one-out residuals.

Pure functions of tensors; knows nothing of what the events mean.

Shapes: B users, S support (padded), D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor


def outlier_weights(
    w0_BD: Tensor,
    support_BSD: Tensor,
    spread_BSD: Tensor,
    target_BS: Tensor,
    precision_BS: Tensor,
    dof: Tensor | float,
) -> Tensor:
    """By what to multiply each event's precision, (B, S), range (0, (dof + 1) / dof].

    With ``r = sqrt(c)``, ``K = r phi A0^-1 phi^T r + I`` and ``a = K^-1 r (t - phi w0)`` the event's
    residual, predicted from the user's other events and the prior, in its own standard deviations, is

        z_s = a_s / sqrt((K^-1)_ss)

    and the weight is that of a Student t likelihood, ``(dof + 1) / (dof + z^2)``: an event that the others
    foresaw counts a little more, one that contradicts them less. A user's only event is judged by the prior.

    Args:
        w0_BD, support_BSD, spread_BSD, target_BS, precision_BS: as for ``posterior_dual``.
        dof: degrees of freedom, > 0; infinity leaves all weights at 1.

    Source: leave-one-out residuals, Rasmussen & Williams 2006, eq. 5.10-5.12; weights, Lange, Little &
    Taylor 1989, eq. 3.
    """
    root_BS1 = precision_BS.clamp_min(1e-12).sqrt().unsqueeze(-1) * (precision_BS > 0).unsqueeze(-1)
    gram_BSS = (root_BS1 * support_BSD) @ (root_BS1 * spread_BSD).mT
    gram_BSS = gram_BSS + torch.eye(gram_BSS.shape[-1], dtype=gram_BSS.dtype, device=gram_BSS.device)
    inverse_BSS = torch.cholesky_inverse(torch.linalg.cholesky(gram_BSS))
    surprise_BS1 = root_BS1 * (target_BS.unsqueeze(-1) - support_BSD @ w0_BD.unsqueeze(-1))
    a_BS = (inverse_BSS @ surprise_BS1).squeeze(-1)
    z2_BS = a_BS.square() / inverse_BSS.diagonal(dim1=-2, dim2=-1)
    return (dof + 1.0) / (dof + z2_BS)
