"""Users' vectors times the whole catalogue: the one product that is worth half the bits.

On a GPU, while training, it runs in bfloat16; solves, losses and answers to requests never do. On a CPU
nothing changes. Knows nothing of what the vectors mean.

Shapes: B users, N catalogue, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor


def catalogue_product(w_BD: Tensor, phi_ND: Tensor) -> Tensor:
    """``w phi^T``, (B, N)."""
    training_on_gpu = w_BD.is_cuda and torch.is_grad_enabled()
    return in_bfloat16(w_BD, phi_ND) if training_on_gpu else w_BD @ phi_ND.T


def in_bfloat16(w_BD: Tensor, phi_ND: Tensor) -> Tensor:
    """The same to about three digits; float32 comes out."""
    with torch.autocast(w_BD.device.type, dtype=torch.bfloat16):
        return (w_BD @ phi_ND.T).float()
