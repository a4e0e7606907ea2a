"""The inner loop for yes-or-no events: the mode of a Bayesian logistic regression, by Newton's method.

Each step is one weighted least-squares solve of the closed form (IRLS). Pure functions of tensors; knows
nothing of items, signals or how the prior was learned. Differentiable through the steps.

Shapes: B users, S support (padded), D embedding.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

STEPS = 4  # from a prior near even odds the fourth step moves w by less than float32 can show
LEAST_VARIANCE = 1e-4  # of an event whose outcome is certain: keeps the working target finite

Solve = Callable[[Tensor, Tensor], Tensor]
"""Posterior mean (B, D) from target_BS and precision_BS, such as ``posterior_dual`` with the rest given."""


def posterior_newton(
    w0_BD: Tensor,
    support_BSD: Tensor,
    wanted_BS: Tensor,
    precision_BS: Tensor,
    solve: Solve,
    steps: int = STEPS,
) -> Tensor:
    """The w that minimises ``sum c [log(1 + e^s) - y s] + 1/2 (w - w0)^T A0 (w - w0)``, s = w . phi.

    With p = sigma(s) a Newton step is the Gaussian posterior for target ``s + (y - p) / (p (1 - p))``
    and precision ``c p (1 - p)``.

    Args:
        w0_BD: prior mean, where the steps start.
        support_BSD: phi; anything finite in the padding.
        wanted_BS: y, in 0..1.
        precision_BS: c >= 0, how much an event is believed; 0 marks padding.
        solve: the Gaussian posterior mean for a target and a precision.
        steps: 0 gives the prior.

    Returns: w, (B, D). No support gives w0 exactly.

    Source: Bishop 2006, section 4.3.3 (IRLS) and 4.4 (its use for the posterior mode).
    """
    w_BD = w0_BD
    for _ in range(steps):
        score_BS = (support_BSD @ w_BD.unsqueeze(-1)).squeeze(-1)
        p_BS = score_BS.sigmoid()
        variance_BS = (p_BS * (1 - p_BS)).clamp(min=LEAST_VARIANCE)
        w_BD = solve(score_BS + (wanted_BS - p_BS) / variance_BS, precision_BS * variance_BS)
    return w_BD
