"""The inner loop in closed form, and what every inner loop takes and gives: prior + support -> posterior.

Joins the pure solvers (``closed_form``, ``newton``) to the model; ``descent`` does so for those of
``gradient``. Knows nothing of items' features, signals, queries or the outer loop.

Shapes: B users, S support (padded), N catalogue, D embedding, H hidden units.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from engine.learning.catalogue_product import catalogue_product
from engine.learning.closed_form import posterior_dual, posterior_primal, spread
from engine.learning.newton import Solve, posterior_newton
from engine.learning.objectives import Likelihood


class Support(NamedTuple):
    """What users' events say, padded."""

    phi_BSD: Tensor  # embeddings of the items
    target_BS: Tensor
    precision_BS: Tensor  # 0 in the padding


class Decision(NamedTuple):
    """Each user's own layers above the embedding, the first of them in dual form."""

    x_BSD: Tensor
    coefficients_BSH: Tensor
    head_BH: Tensor


class Posterior(NamedTuple):
    """Where users stand: a vector each and, where the layers above the embedding adapt too, those.

    And, where events are doubted, how sure it is that each is the user's own.
    """

    w_BD: Tensor
    decision: Decision | None = None
    own_BS: Tensor | None = None


class InnerLoop(Protocol):
    """How users adapt. A module, since it may learn how (Meta-SGD's rates)."""

    def start(self, w0_BD: Tensor) -> Posterior:
        """The prior, as a posterior of no events."""

    def __call__(self, w0_BD: Tensor, support: Support, factor_DD: Tensor) -> Posterior:
        """
        Args:
            w0_BD: prior mean.
            support: users without events are padding alone.
            factor_DD: lower Cholesky factor of the prior's precision A0.
        """

    def affinity(self, phi_ND: Tensor, posterior: Posterior, scale_D: Tensor) -> Tensor:
        """What the users' own parameters say of every item, (B, N)."""


class ClosedForm(nn.Module):
    """The exact posterior: one solve for a Gaussian likelihood, a few for a Bernoulli one."""

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()
        self.likelihood = likelihood

    def start(self, w0_BD: Tensor) -> Posterior:
        return Posterior(w0_BD)

    def forward(
        self, w0_BD: Tensor, support: Support, factor_DD: Tensor, inverse_DD: Tensor | None = None
    ) -> Posterior:
        """
        Args:
            inverse_DD: A0's, where it is at hand.
        """
        solve = _solver(w0_BD, support.phi_BSD, factor_DD, inverse_DD)
        if self.likelihood == "gaussian":
            return Posterior(solve(support.target_BS, support.precision_BS))
        wanted_BS = support.target_BS.clamp(0.0, 1.0)
        return Posterior(posterior_newton(w0_BD, support.phi_BSD, wanted_BS, support.precision_BS, solve))

    def affinity(self, phi_ND: Tensor, posterior: Posterior, scale_D: Tensor) -> Tensor:
        return catalogue_product(posterior.w_BD * scale_D, phi_ND)


def _solver(w0_BD: Tensor, phi_BSD: Tensor, factor_DD: Tensor, inverse_DD: Tensor | None) -> Solve:
    """In whichever of the two forms is smaller: S x S, or D x D where S > D."""
    if phi_BSD.shape[1] > phi_BSD.shape[2]:
        a0_DD = factor_DD @ factor_DD.T
        return lambda target_BS, c_BS: posterior_primal(w0_BD, a0_DD, phi_BSD, target_BS, c_BS)[0]
    return partial(posterior_dual, w0_BD, phi_BSD, spread(phi_BSD, factor_DD, inverse_DD))
