"""The items' tables, spread over the workers: each keeps its rows, and how they are optimised.

Rows are lent to whoever needs them for a step and their gradients come back. Knows nothing of losses or
users.

Shapes: N catalogue, L rows of this worker, M rows of a step, A rows asked of this worker, F item features,
D embedding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from engine.learning.exchange import Exchange, interleaved, own_rows, summed
from engine.learning.imputation import fit_imputation
from engine.learning.items import ItemRepresentation, ItemRows, certainty
from engine.learning.lazy_adamw import LazyAdamW
from engine.learning.negatives import Negatives
from engine.learning.small_catalogue import distinct

ROWS = "rows."
"""Begins the names of this worker's rows among all that it knows of a model."""
BLOCK = 16_384
"""Rows that are looked at together where all are."""


class Loan(NamedTuple):
    """Rows lent for a step."""

    rows: ItemRows
    learned_M: Tensor  # (M, D + 1) residuals and base residuals, which take gradients
    exchange: Exchange


class Catalogue:
    """The tables of `ItemRepresentation`, this worker's rows of them. All workers call its methods together.

    What stands for the embeddings of cold items is not kept but computed (see ``imputation``).
    """

    def __init__(
        self,
        n_items: int,
        spectral_LD: Tensor,
        base_L: Tensor,
        known_L: Tensor,
        x_LF: Tensor,
        negatives: Negatives,
        n_alike: int = 0,
    ) -> None:
        """
        Args:
            spectral_LD, base_L, x_LF: as for `ItemRepresentation`, of this worker's rows.
            known_L: share of users who met each; 0 for cold items.
            negatives: draws items of all workers.
            n_alike: the last columns of P0, which are of the features' likeness.
        """
        self.n_items, self.negatives = n_items, negatives
        self.spectral_LD, self.x_LF, self.warm_L = spectral_LD, x_LF, known_L > 0
        warm_L = self.warm_L
        self.n_counted = spectral_LD.shape[1] - n_alike
        self._said, leverage_L = fit_imputation(x_LF, spectral_LD[:, : self.n_counted], warm_L)
        said_base, base_leverage_L = fit_imputation(x_LF, base_L.unsqueeze(1), warm_L, certainty(known_L))
        imputed_base_L = said_base.of(x_LF, base_L.unsqueeze(1), warm_L, base_leverage_L).squeeze(1)
        self._facts_L4 = torch.stack([base_L, known_L.float(), imputed_base_L, leverage_L], dim=1)
        n_own, dim = spectral_LD.shape
        self._learned_shape = n_own, dim + 1

    def learn_at(self, lr: float, decay: float) -> None:
        """Before the first step: make room for what is learned, at this step size and decay."""
        self.learned = LazyAdamW(torch.zeros(self._learned_shape), lr, decay)

    def lend(self, row_M: Tensor) -> Loan:
        """What all workers keep of the items of this one's step."""
        exchange = Exchange(row_M)
        asked_A = exchange.asked_A
        self.learned.catch_up(distinct(asked_A))
        tables = (self.spectral_LD, self.x_LF, self._facts_L4, self.learned.value_LC)
        kept_MC = exchange.fetch(torch.cat([table[asked_A] for table in tables], dim=1))
        spectral_MD, x_MF, facts_M4, learned_M = torch.split(
            kept_MC, [table.shape[1] for table in tables], dim=1
        )
        learned_M = learned_M.clone().requires_grad_()
        return Loan(self._rows(spectral_MD, x_MF, facts_M4, learned_M), learned_M, exchange)

    def places(self, row_M: Tensor) -> Tensor:
        """The spectral start of some items, (M, D)."""
        exchange = Exchange(row_M)
        return exchange.fetch(self.spectral_LD[exchange.asked_A])

    def take_back(self, loan: Loan) -> None:
        """Update the rows by the gradients of all workers, which are summed."""
        gradient_M = loan.learned_M.grad
        if gradient_M is None:  # nothing of this worker's step depends on them
            gradient_M = torch.zeros_like(loan.learned_M)
        gradient_A = loan.exchange.give(gradient_M)
        row_R = distinct(loan.exchange.asked_A)
        place_A = torch.searchsorted(row_R, loan.exchange.asked_A)
        gradient_R = gradient_A.new_zeros(len(row_R), gradient_A.shape[1]).index_add_(0, place_A, gradient_A)
        self.learned.step(row_R, gradient_R)

    def blocks(self) -> Iterator[tuple[Tensor, ItemRows]]:
        """All of this worker's rows, settled, in blocks: which they are, and what is kept of them."""
        for first in range(0, len(self.warm_L), BLOCK):
            kept = slice(first, first + BLOCK)
            fixed = self.spectral_LD[kept], self.x_LF[kept], self._facts_L4[kept]
            yield own_rows(self.n_items)[kept], self._rows(*fixed, self.learned.value_LC[kept])

    def gram(self, items: ItemRepresentation) -> Tensor:
        """``phi^T phi / N`` over all workers' rows, settled, (D, D)."""
        dim = self.spectral_LD.shape[1]
        gram_DD = torch.zeros(dim, dim)
        for _, rows in self.blocks():
            phi_ND = items.represent(rows).phi_ND
            gram_DD += phi_ND.T @ phi_ND
        return summed(gram_DD) / self.n_items

    def part(self) -> dict[str, Tensor]:
        """All that an artifact needs of this worker's rows; see `whole_state`."""
        imputed = [rows.imputed_ND for _, rows in self.blocks()]
        own = {
            "spectral": self.spectral_LD,
            "imputed": torch.cat([*imputed, self.spectral_LD[:0]]),
            "x": self.x_LF,
            "facts": self._facts_L4,
            "learned": self.learned.value_LC,
        }
        return {f"{ROWS}{name}": table for name, table in own.items()}

    def _rows(self, spectral_MD: Tensor, x_MF: Tensor, facts_M4: Tensor, learned_M: Tensor) -> ItemRows:
        base_M, known_M, imputed_base_M, leverage_M = facts_M4.unbind(dim=1)
        warm_M = known_M > 0
        counted_MC, alike_MC = spectral_MD[:, : self.n_counted], spectral_MD[:, self.n_counted :]
        said_MC = self._said.of(x_MF, counted_MC, warm_M, leverage_M)
        imputed_MD = torch.cat([said_MC, alike_MC], dim=1)
        return ItemRows(
            spectral_MD,
            base_M,
            warm_M,
            imputed_MD,
            imputed_base_M,
            learned_M[:, :-1],
            learned_M[:, -1],
            partial(torch.matmul, x_MF),
        )


def without_rows(catalogue: Catalogue, level: bool = False) -> ItemRepresentation:
    """What is learned of all items together; each item's own stays in the catalogue.

    ``level``: as for `ItemRepresentation`.
    """
    dim, n_features = catalogue.spectral_LD.shape[1], catalogue.x_LF.shape[1]
    none_0D, none_0 = torch.zeros(0, dim), torch.zeros(0)
    nothing = none_0D, none_0, none_0 > 0, torch.zeros(0, n_features), none_0D, none_0
    items = ItemRepresentation(*nothing, n_alike=dim - catalogue.n_counted, level=level)
    length_D = summed(catalogue.spectral_LD.square().sum(dim=0)).clamp(min=1e-6)
    items.log_length_D.copy_(0.5 * (length_D / length_D.mean()).log())
    items.residual_ND.requires_grad_(False)
    items.base_residual_N.requires_grad_(False)
    return items


def whole_state(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """A model's state with all items' rows, out of what every worker knows of it, by rank.

    Args:
        parts: each the `Catalogue.part` of a worker; the first also holds what is learned of all items.
    """
    table = {
        name: interleaved([part[f"{ROWS}{name}"] for part in parts])
        for name in ("spectral", "imputed", "x", "facts", "learned")
    }
    base_N, known_N, imputed_base_N, _ = (column.contiguous() for column in table["facts"].T)
    items = {
        "spectral_ND": table["spectral"],
        "base_N": base_N,
        "warm_N": known_N > 0,
        "known_N": known_N,
        "x_NF": table["x"],
        "imputed_ND": table["imputed"],
        "imputed_base_N": imputed_base_N,
        "residual_ND": table["learned"][:, :-1],
        "base_residual_N": table["learned"][:, -1],
    }
    shared = {name: value for name, value in parts[0].items() if not name.startswith(ROWS)}
    return shared | {f"items.{name}": value for name, value in items.items()}
