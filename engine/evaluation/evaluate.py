"""Measures methods on the same held-out users and keeps every user's value.

Knows nothing of how a method learns, of files or of how a report is shown.

Shapes: M methods, T metrics, K numbers of shots, B held-out users, N catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.data.episodes import Episodes
from engine.errors import ConfigError
from engine.evaluation import metrics as m
from engine.evaluation.baselines.scorer import Scorer
from engine.evaluation.protocol import HeldOut, Outcomes
from engine.evaluation.results import Report

Meaning = Literal["order", "value", "probability"]


def evaluate(
    scorers: Sequence[Scorer],
    held_out: HeldOut,
    *,
    reference: str | None = None,
    k: int = 10,
    meaning: Mapping[str, Meaning] | None = None,
    signal_value: NDArray[np.float64] | None = None,
    context: Mapping[str, object] | None = None,
    on_step: Callable[[str, int], None] = lambda name, shots: None,
) -> Report:
    """Score every held-out user with every method at every number of shots.

    Always measured: ``ndcg@k``, ``recall@k``, ``hit@k`` and ``auc`` (among the user's query items).
    Methods whose scores are predicted values also get ``rmse`` and ``mae``; methods whose scores are
    probabilities get a calibration table. What does not apply to a method is NaN.

    Args:
        scorers: methods with distinct names.
        held_out: from `engine.evaluation.protocol.hold_out`.
        reference: the method that paired differences are taken to; default: the first.
        k: length of the slate.
        meaning: by method name, what its scores mean; default "order".
        signal_value: by signal, the number it stands for; needed for "value".
        context: what the reader should know of the run (data set, order, seed), kept in the report.
        on_step: called before each (method, shots), for progress bars.

    Raises:
        ConfigError: names repeat, the reference is unknown, or a value is predicted without
            ``signal_value``.
    """
    names = [s.name for s in scorers]
    meaning = meaning or {}
    reference = _checked(names, reference, meaning, signal_value)
    measures = _ranking_measures(k)
    labels = (*measures, "rmse", "mae") if "value" in meaning.values() else tuple(measures)
    shots = tuple(held_out.episodes)
    values = np.full((len(names), len(labels), len(shots), len(held_out.users)), np.nan)
    calibration: dict[str, dict[int, m.Calibration]] = {}
    for row, scorer in enumerate(scorers):
        for column, (n, episodes) in enumerate(held_out.episodes.items()):
            on_step(scorer.name, n)
            scores_BN = scorer.score(episodes)
            for t, measure in enumerate(measures.values()):
                values[row, t, column] = measure(scores_BN, episodes, held_out.outcomes)
            kind = meaning.get(scorer.name, "order")
            if kind == "value" and signal_value is not None:
                values[row, -2, column] = m.rmse(scores_BN, held_out.outcomes, signal_value)
                values[row, -1, column] = m.mae(scores_BN, held_out.outcomes, signal_value)
            elif kind == "probability":
                calibration.setdefault(scorer.name, {})[n] = _calibration(scores_BN, held_out.outcomes)
    return Report(tuple(names), labels, shots, values, reference, dict(context or {}), calibration)


Measure = Callable[[m.Scores, Episodes, Outcomes], m.PerUser]


def _ranking_measures(k: int) -> dict[str, Measure]:
    return {
        f"ndcg@{k}": lambda scores, episodes, _: m.ndcg_at(scores, episodes, k),
        f"recall@{k}": lambda scores, episodes, _: m.recall_at(scores, episodes, k),
        f"hit@{k}": lambda scores, episodes, _: m.hit_rate_at(scores, episodes, k),
        "auc": lambda scores, _, outcomes: m.auc_among_query(scores, outcomes),
    }


def _calibration(scores_BN: m.Scores, outcomes: Outcomes) -> m.Calibration:
    return m.calibration(scores_BN[outcomes.user, outcomes.item], outcomes.wanted)


def _checked(
    names: Sequence[str],
    reference: str | None,
    meaning: Mapping[str, Meaning],
    signal_value: NDArray[np.float64] | None,
) -> str:
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"methods {list(names)} are none or share a name", fix="Give each its own name.")
    chosen = names[0] if reference is None else reference
    for name in (chosen, *meaning):
        if name not in names:
            raise ConfigError(f"method {name!r} is unknown", fix=f"Known methods: {', '.join(names)}.")
    if "value" in meaning.values() and signal_value is None:
        raise ConfigError(
            "predicted values cannot be compared", fix="Give signal_value, one number a signal."
        )
    return chosen
