"""Ridge regression from sums over users, its penalty by cross-validation over folds of users.

One eigendecomposition a fold serves all penalties. Knows nothing of what is regressed on what.

Shapes: F folds (not features), M inputs, C targets, P penalties.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

PENALTIES: Floats = np.logspace(0, 23, 24, base=2.0)


class Sums(NamedTuple):
    """``Z^T Z`` and ``Z^T Y`` over some rows."""

    gram_MM: Floats
    right_MC: Singles

    def part(self, inputs: slice) -> Sums:
        """For some of the inputs."""
        return Sums(self.gram_MM[inputs, inputs], self.right_MC[inputs])

    def rest(self, inputs: slice, others: slice, weight_MC: Singles) -> Sums:
        """For some of the inputs, of what others leave of the targets under their weights."""
        explained_MC = self.gram_MM[inputs, others].astype(np.float32) @ weight_MC
        return Sums(self.gram_MM[inputs, inputs], self.right_MC[inputs] - explained_MC)


class Ridge(NamedTuple):
    """Weights fitted on all folds, and without each."""

    weight_MC: Singles
    without_FMC: list[Singles]
    penalty: float

    def above(self, other: Ridge) -> Ridge:
        """These inputs' weights, then another's."""
        pairs = zip(self.without_FMC, other.without_FMC, strict=True)
        weight_MC = np.concatenate([self.weight_MC, other.weight_MC])
        return Ridge(weight_MC, [np.concatenate(pair) for pair in pairs], self.penalty)


class Folds(NamedTuple):
    """Sums over all rows, over each fold's, and over all but each fold's."""

    all: Sums
    held: list[Sums]
    others: list[Sums]

    @classmethod
    def of(cls, gram_FMM: Floats, right_FMC: Singles) -> Folds:
        """From the sums over each fold's rows."""
        gram_MM, right_MC = gram_FMM.sum(axis=0), right_FMC.sum(axis=0)
        held = [Sums(*fold) for fold in zip(gram_FMM, right_FMC, strict=True)]
        others = [Sums(gram_MM - fold.gram_MM, right_MC - fold.right_MC) for fold in held]
        return cls(Sums(gram_MM, right_MC), held, others)

    def part(self, inputs: slice) -> Folds:
        return Folds(
            self.all.part(inputs), [s.part(inputs) for s in self.held], [s.part(inputs) for s in self.others]
        )

    def rest(self, inputs: slice, others: slice, ridge: Ridge) -> Folds:
        """Each fold's rest is what the others' weights leave."""

        def left(sums: list[Sums]) -> list[Sums]:
            return [s.rest(inputs, others, w) for s, w in zip(sums, ridge.without_FMC, strict=True)]

        return Folds(self.all.rest(inputs, others, ridge.weight_MC), left(self.held), left(self.others))


def cross_validated(folds: Folds, relative_M: Floats) -> Ridge:
    """Ridge regression with the penalty under which the folds that are left out are foreseen best.

    Hoerl and Kennard (1970), eq. 2.1; a fold's squared error under each penalty comes from its sums.

    Args:
        relative_M: of each input's penalty to the one that is sought.
    """
    paths = [_Path.of(others, relative_M) for others in folds.others]
    error_P = np.sum([path.errors(held) for path, held in zip(paths, folds.held, strict=True)], axis=0)
    penalty = float(PENALTIES[error_P.argmin()])
    weight_MC = _Path.of(folds.all, relative_M).weights(penalty)
    return Ridge(weight_MC, [path.weights(penalty) for path in paths], penalty)


class _Path(NamedTuple):
    """``W = turn (eigenvalue + penalty)^-1 turned`` solves ``(Z^T Z + penalty diag(relative)) W = Z^T Y``."""

    eigenvalue_M: Floats
    turn_MM: Singles
    turned_MC: Singles

    @classmethod
    def of(cls, sums: Sums, relative_M: Floats) -> _Path:
        unit_M = relative_M**-0.5
        eigenvalue_M, axes_MM = np.linalg.eigh(unit_M[:, None] * sums.gram_MM * unit_M)
        turn_MM = (unit_M[:, None] * axes_MM).astype(np.float32)
        return cls(eigenvalue_M.clip(min=0.0), turn_MM, turn_MM.T @ sums.right_MC)

    def weights(self, penalty: float) -> Singles:
        shrink_M1 = 1.0 / (self.eigenvalue_M[:, None] + penalty)
        return np.asarray(self.turn_MM @ (self.turned_MC * shrink_M1.astype(np.float32)))

    def errors(self, held: Sums) -> Floats:
        """``|Z W - Y|^2 - |Y|^2`` over other rows under each penalty, (P,)."""
        gram_MM = self.turn_MM.T @ held.gram_MM @ self.turn_MM * (self.turned_MC @ self.turned_MC.T)
        right_M = np.einsum("mc,mc->m", self.turn_MM.T @ held.right_MC, self.turned_MC, dtype=np.float64)
        shrink_PM = 1.0 / (self.eigenvalue_M + PENALTIES[:, None])
        return np.asarray(np.einsum("pm,mn,pn->p", shrink_PM, gram_MM, shrink_PM) - 2 * shrink_PM @ right_M)
