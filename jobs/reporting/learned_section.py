"""What the model has learned of events and items, drawn and listed. Knows nothing of quality.

Shapes: R signals, A groups of ages, H groups of hours, N catalogue, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize, softplus

from engine.learning.evidence import N_GROUPS, Evidence
from engine.learning.meta import MetaModel
from jobs.reporting.contents import Chart, Grid, Section
from jobs.reporting.drawing import axes_of, few_ticks, line, named_places

WELL_KNOWN, NEAR = 12, 5  # items listed, and neighbours of each
HOUR_GROUPS = 12  # drawn: up to half a year


@torch.inference_mode()
def signals_section(
    model: MetaModel, names: Sequence[str], relevant: NDArray[np.bool_], usual: int
) -> Section:
    """Targets and precisions by signal, and how events fade.

    Args:
        relevant: (R,) which signals are wanted.
        usual: the signal whose fading is drawn.
    """
    evidence = model.evidence
    precision_R = softplus(evidence.precision_R + evidence.recency_A[0])
    rows = [
        (name, "yes" if relevant[r] else "no", f"{evidence.target_R[r]:+.2f}", f"{precision_R[r]:.2f}")
        for r, name in enumerate(names)
    ]
    head = ("signal", "wanted", "target", "precision")
    caption = "Target: what the event says of a person's taste for the item. Precision: how much it counts."
    counts = ["0", *(_span(g) for g in range(1, N_GROUPS - 1)), f"{2 ** (N_GROUPS - 1) - 1}+"]
    charts = [
        Chart(
            "recency",
            "How events fade, by count",
            f"Precision of {names[usual]!r} by how many events came after it, the newest = 1.",
            _fading(evidence, usual, evidence.recency_A, counts, "events since"),
        )
    ]
    if evidence.elapsed_H.abs().max() > 0:
        hours = ["<1", *(_hours(g) for g in range(1, HOUR_GROUPS + 1))]
        elapsed_H = torch.cat([evidence.elapsed_H.new_zeros(1), evidence.elapsed_H])[: len(hours)]
        figure = _fading(evidence, usual, elapsed_H, hours, "time since")
        caption_h = "The same by the time before the newest event; on top of the fading by count."
        charts.append(Chart("recency-hours", "How events fade, by time", caption_h, figure))
    text = "An event enters a person's posterior with a target and a precision; both are learned by signal."
    return Section("learned", "What events mean", text, charts, [Grid(head, rows, caption)])


def _fading(evidence: Evidence, usual: int, shift: Tensor, names: Sequence[str], x: str) -> Figure:
    base = evidence.precision_R[usual] + (0 if shift is evidence.recency_A else evidence.recency_A[0])
    share = softplus(base + shift) / softplus(base + shift[0])
    figure, axes = axes_of(x, "precision, the newest = 1")
    line(axes, np.arange(len(names)), share.numpy(), 0, "")
    named_places(axes, names)
    axes.set_ylim(0, max(1.15, 1.1 * float(share.max())))
    few_ticks(axes)
    return figure


def _span(group: int) -> str:
    return f"{2**group - 1}-{2 ** (group + 1) - 2}"


def _hours(group: int) -> str:
    hours = 2**group - 1
    return f"{hours} h" if hours < 48 else f"{hours / 24:.0f} d"


@torch.inference_mode()
def neighbours_section(model: MetaModel, titles: Sequence[str], known_N: NDArray[np.float64]) -> Section:
    """The nearest items of the best known ones, by the cosine of their embeddings.

    Args:
        titles: of all items.
        known_N: how well each is known.
    """
    unit_ND = normalize(model.view().phi_ND, dim=1)
    rows = []
    for item in np.argsort(-known_N, kind="stable")[:WELL_KNOWN].tolist():
        likeness_N = unit_ND @ unit_ND[item]
        likeness_N[item] = -torch.inf
        near = likeness_N.topk(min(NEAR, len(titles) - 1))
        pairs = zip(near.indices.tolist(), near.values.tolist(), strict=True)
        rows.append((titles[item], " · ".join(f"{titles[other]} ({value:.2f})" for other, value in pairs)))
    caption = "The most popular items and what stands nearest to them; in brackets the cosine."
    grid = Grid(("item", "nearest"), rows, caption, numeric=False)
    return Section("neighbours", "Neighbours of well-known items", "", (), [grid])
