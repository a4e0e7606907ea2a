"""The inner loop by gradient descent: prior + support -> posterior, parameters in, parameters out.

The methods of the literature are what the caller hands in: all parameters (MAML) or the head alone
(ANIL), ``second_order`` or not (FOMAML), one rate or one for each entry (Meta-SGD), a loss with a pull
to the prior or without (iMAML). Knows nothing of items, signals, modules or the outer loop.

Nothing is overwritten: the outer loop differentiates the posterior with respect to whatever the start,
the rates and the support were computed from, by autograd or by ``torch.func.grad``.

Shapes: B users, S support (padded), Q query, D embedding (input of a layer), H output of a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn.functional import binary_cross_entropy_with_logits

from engine.errors import ConfigError

Params = dict[str, Tensor]
Support = TypeVar("Support", bound=tuple[Tensor, ...])

COEFFICIENTS = "coefficients_SH"
"""Name under which :func:`adapt_users_dual` steps and returns the first layer."""


def adapt(
    loss: Callable[[Params], Tensor],
    start: Params,
    inner_lr: Tensor | Params,
    steps: int,
    second_order: bool,
) -> Params:
    """One user's posterior: ``steps`` times ``theta <- theta - inner_lr * grad loss(theta)``.

    Args:
        loss: of the support, a scalar.
        start: where the user starts; every entry adapts. What must not adapt belongs into ``loss``.
        inner_lr: one rate (a scalar tensor), or one tensor for each parameter, as large as the
            parameter or broadcast against it (Meta-SGD).
        steps: 0 gives ``start``, exactly.
        second_order: True differentiates through the steps (MAML). False takes their gradients as
            constants (FOMAML): the outer gradient then reaches ``start`` by the identity alone.

    Raises:
        ConfigError: ``inner_lr`` names other parameters than ``start``.

    Source: Finn et al. 2017 (MAML), algorithm 1 and section 5.2 on the first order; Li et al. 2017
    (Meta-SGD).
    """
    return _descend(grad(loss), start, inner_lr, steps, second_order)


def adapt_users(
    loss: Callable[[Params, Support], Tensor],
    shared: Params,
    own: Params,
    support: Support,
    inner_lr: Tensor | Params,
    steps: int,
    second_order: bool,
) -> Params:
    """:func:`adapt` of all users at once; the result is that of a loop over them.

    With ``shared`` empty and ``own = {"w": w0_BD}`` only the head adapts (ANIL). With the layers above
    the embedding in ``shared`` they adapt as well, each user's copy on its own (MAML, MeLU).

    Args:
        loss: of one user's parameters and support; users must not meet in it.
        shared: where all users start, without a user dimension.
        own: where each user starts, users first.
        support: a tuple (or NamedTuple) of tensors, users first; there may be no user. Padding must not
            count in ``loss``: give it precision 0.
        inner_lr, steps, second_order: see :func:`adapt`.

    Returns: every parameter of ``shared`` and ``own``, users first.

    Source: Raghu et al. 2020 (ANIL); Lee et al. 2019 (MeLU), algorithm 1, which adapts the decision
    layers only.
    """

    def one_user(own_: Params, support_: Support) -> Params:
        start = {**shared, **own_}
        return adapt(lambda params: loss(params, support_), start, inner_lr, steps, second_order)

    steps = steps if len(support[0]) else 0  # vmap cannot differentiate for nobody
    return _params(vmap(one_user)(own, support))


class Affine(NamedTuple):
    """The layer ``x W + b``."""

    weight_DH: Tensor
    bias_H: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.weight_DH + self.bias_H


def adapt_users_dual(
    loss: Callable[[Params, Tensor, Support], Tensor],
    layer: Affine,
    x_BSD: Tensor,
    shared: Params,
    own: Params,
    support: Support,
    inner_lr: Tensor | Params,
    steps: int,
    second_order: bool,
) -> Params:
    """:func:`adapt_users` where ``layer`` adapts too, without a D x H matrix for each user.

    The input x of the first layer stays the same in all steps, so descent moves it only within the span
    of the support: ``W = W0 + x^T C`` and ``b = b0 + 1^T C``, with one row of C for each event. Let z be
    its output on the support:

        z = x W0 + b0 + K C,   K = x x^T + 1,   C <- C - inner_lr * d loss / d z

    is the same descent in S x H numbers instead of D x H: for a short support a multiple faster, and
    the memory of the outer gradient falls alike.

    Args:
        loss: of one user's other parameters, z (S, H) and support.
        layer: where the first layer of all users starts; weight and bias share their rate.
        x_BSD: its input; anything finite in the padding.
        inner_lr: one rate, or a dict that holds the layer's under :data:`COEFFICIENTS`, a scalar or (H,).
        shared, own, support, steps, second_order: see :func:`adapt_users`.

    Returns: every parameter of ``shared`` and ``own``, and C under :data:`COEFFICIENTS`, users first; see
        :func:`output_dual` for what the adapted layer gives elsewhere, :func:`affine_dual` for the
        layer itself. Both use x_S once more: in the first order, where what a step did is a constant, hand
        them ``x_BSD.detach()``.

    Source: the dual form of a layer trained by descent, Aizerman et al. 1964, Irie et al. 2022.
    """

    def one_user(x_SD: Tensor, own_: Params, support_: Support) -> Params:
        shown_SH, kernel_SS = layer(x_SD), _kernel(x_SD, x_SD)

        def slope(params: Params) -> Params:
            rest = {name: value for name, value in params.items() if name != COEFFICIENTS}
            z_SH = shown_SH + kernel_SS @ params[COEFFICIENTS]
            of_rest, of_z = grad(loss, argnums=(0, 1))(rest, z_SH, support_)
            return {**of_rest, COEFFICIENTS: of_z}

        start = {**shared, **own_, COEFFICIENTS: torch.zeros_like(shown_SH)}
        return _descend(slope, start, inner_lr, steps, second_order)

    steps = steps if len(x_BSD) else 0
    return _params(vmap(one_user)(x_BSD, own, support))


def output_dual(x_QD: Tensor, layer: Affine, x_SD: Tensor, coefficients_SH: Tensor) -> Tensor:
    """What the adapted first layer gives for any input: ``x W0 + b0 + (x x_S^T + 1) C``, (Q, H).

    The first term is shared by all users; compute it once for a catalogue. Leading user dimensions
    are broadcast.
    """
    return layer(x_QD) + _kernel(x_QD, x_SD) @ coefficients_SH


def affine_dual(layer: Affine, x_SD: Tensor, coefficients_SH: Tensor) -> Affine:
    """The adapted first layer itself: ``W0 + x_S^T C`` and ``b0 + 1^T C``, for one user."""
    weight_DH = layer.weight_DH + x_SD.mT @ coefficients_SH
    return Affine(weight_DH, layer.bias_H + coefficients_SH.sum(dim=-2))


def gaussian_loss(predicted_S: Tensor, target_S: Tensor, precision_S: Tensor) -> Tensor:
    """``1/2 sum c (t - s)^2``: minus the log-likelihood of targets with precision c, up to a constant.

    With :func:`prior_pull_loss` of weight 1 its minimum is the closed form's posterior.
    """
    return 0.5 * (precision_S * (target_S - predicted_S).square()).sum()


def bernoulli_loss(logit_S: Tensor, wanted_S: Tensor, precision_S: Tensor) -> Tensor:
    """``-sum c [y log sigma(s) + (1 - y) log(1 - sigma(s))]``, y in 0..1."""
    entropy_S = binary_cross_entropy_with_logits(logit_S, wanted_S, reduction="none")
    return (precision_S * entropy_S).sum()


def prior_pull_loss(w_D: Tensor, w0_D: Tensor, factor_DD: Tensor, prior_pull: Tensor | float) -> Tensor:
    """``prior_pull / 2 (w - w0)^T A0 (w - w0)``: how far adaptation may wander off.

    0 leaves descent free, 1 counts the prior as what it is beside :func:`gaussian_loss`, more keeps users
    nearer to it. Descent needs ``inner_lr < 2 / (prior_pull * largest eigenvalue of A0 + ...)``.

    Args:
        factor_DD: lower Cholesky factor of A0.

    Source: Rajeswaran et al. 2019 (iMAML), eq. 3, in the metric of the prior.
    """
    return 0.5 * prior_pull * ((w_D - w0_D) @ factor_DD).square().sum()


def _descend(
    slope: Callable[[Params], Params],
    start: Params,
    inner_lr: Tensor | Params,
    steps: int,
    second_order: bool,
) -> Params:
    """Follow ``slope`` downhill. ``addcmul`` steps in one pass over memory, which is what bounds it."""
    rate, params = _rates(inner_lr, start), start
    for _ in range(steps):
        with torch.set_grad_enabled(second_order and torch.is_grad_enabled()):
            downhill = slope(params)
        params = {
            name: torch.addcmul(value, rate[name], downhill[name], value=-1) for name, value in params.items()
        }
    return params


def _rates(inner_lr: Tensor | Params, start: Params) -> Params:
    if isinstance(inner_lr, Tensor):
        return dict.fromkeys(start, inner_lr)
    if inner_lr.keys() != start.keys():
        raise ConfigError(
            f"inner learning rates for {sorted(inner_lr)}, but {sorted(start)} adapt",
            where="inner.learn_inner_lr",
            fix="Give every adapted parameter a rate, and no other.",
        )
    return inner_lr


def _kernel(x_QD: Tensor, x_SD: Tensor) -> Tensor:
    """``x x_S^T + 1``: inner products of inputs that end in a 1 for the bias, (Q, S)."""
    return x_QD @ x_SD.mT + 1.0


def _params(value: object) -> Params:
    """What torch.func leaves untyped."""
    assert isinstance(value, dict)
    return value
