"""Measures methods on the same held-out users and keeps every user's value.

Knows nothing of how a method learns, of files or of how a report is shown.

Shapes: B held-out users, N catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.data.episodes import Episodes
from engine.errors import ConfigError
from engine.evaluation import metrics as m
from engine.evaluation.baselines.scorer import Scorer
from engine.evaluation.protocol import HeldOut, Outcomes
from engine.evaluation.results import Report
from engine.learning.objectives import Meaning
from engine.ranking.top_k import Scores


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
    probabilities get a calibration table over all candidates. What does not apply to a method is NaN.

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
    reference = _checked(names, reference, meaning)
    ranking = _ranking_measures(k)
    measures = ranking | (_value_measures(signal_value) if "value" in meaning.values() else {})
    values = np.full((len(names), len(measures), len(held_out.episodes), len(held_out.users)), np.nan)
    calibration: dict[str, dict[int, m.Calibration]] = {}
    for row, scorer in enumerate(scorers):
        kind = meaning.get(scorer.name, "order")
        for column, shots in enumerate(held_out.episodes):
            on_step(scorer.name, shots)
            chosen = measures if kind == "value" else ranking
            figures, chances = _score(scorer, shots, held_out, list(chosen.values()), kind)
            values[row, : len(chosen), column] = figures
            if chances is not None:
                calibration.setdefault(scorer.name, {})[shots] = m.calibration(*chances)
    layout = tuple(names), tuple(measures), tuple(held_out.episodes)
    return Report(*layout, values, reference, dict(context or {}), calibration)


Measure = Callable[[Scores, Episodes, Outcomes], m.PerUser]
Chances = tuple[NDArray[np.float64], NDArray[np.bool_]]  # of every candidate, and whether it was wanted


def _score(
    scorer: Scorer, shots: int, held_out: HeldOut, measures: Sequence[Measure], kind: Meaning
) -> tuple[NDArray[np.float64], Chances | None]:
    """Each measure of each user (T, B), and the chances of all candidates where scores are such."""
    figures, chances, wanted = [], [], []
    for part in held_out.parts():
        episodes = part.episodes[shots]
        scores_BN = scorer.score(episodes)
        figures.append(np.stack([measure(scores_BN, episodes, part.outcomes) for measure in measures]))
        if kind == "probability":
            candidate_BN = m.candidate_scores(scores_BN, episodes)
            scored_BN = ~np.isnan(candidate_BN)
            chances.append(candidate_BN[scored_BN].astype(np.float64))
            wanted.append(m.wanted_items(episodes, scores_BN.shape[1])[scored_BN])
    predicted = (np.concatenate(chances), np.concatenate(wanted)) if chances else None
    return np.concatenate(figures, axis=1), predicted


def _ranking_measures(k: int) -> dict[str, Measure]:
    return {
        f"ndcg@{k}": lambda scores, episodes, _: m.ndcg_at(scores, episodes, k),
        f"recall@{k}": lambda scores, episodes, _: m.recall_at(scores, episodes, k),
        f"hit@{k}": lambda scores, episodes, _: m.hit_rate_at(scores, episodes, k),
        "auc": lambda scores, _, outcomes: m.auc_among_query(scores, outcomes),
    }


def _value_measures(signal_value: NDArray[np.float64] | None) -> dict[str, Measure]:
    if signal_value is None:
        raise ConfigError(
            "predicted values cannot be compared", fix="Give signal_value, one number a signal."
        )
    return {
        "rmse": lambda scores, _, outcomes: m.rmse(scores, outcomes, signal_value),
        "mae": lambda scores, _, outcomes: m.mae(scores, outcomes, signal_value),
    }


def _checked(
    names: Sequence[str],
    reference: str | None,
    meaning: Mapping[str, Meaning],
) -> str:
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"methods {list(names)} are none or share a name", fix="Give each its own name.")
    chosen = names[0] if reference is None else reference
    for name in (chosen, *meaning):
        if name not in names:
            raise ConfigError(f"method {name!r} is unknown", fix=f"Known methods: {', '.join(names)}.")
    return chosen
