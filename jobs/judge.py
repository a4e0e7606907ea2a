"""The model and its rivals on the same held-out users: one report.

Knows nothing of where the rivals or the model come from.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.evaluation.baselines.bias import fit_bias
from engine.evaluation.baselines.scorer import Scorer
from engine.evaluation.cold_items import USER_COLD
from engine.evaluation.evaluate import evaluate
from engine.evaluation.model import ModelScorer
from engine.evaluation.protocol import HeldOut
from engine.evaluation.results import Report
from engine.learning.experiment import Experiment
from engine.learning.meta import MetaModel
from engine.learning.objectives import Meaning


def judge(
    experiment: Experiment,
    model: MetaModel,
    rivals: Sequence[Scorer],
    held: HeldOut,
    scenario: str = USER_COLD,
) -> Report:
    """Measure by what the model predicts; where that is a number, beside the item's and user's means too."""
    ours, value_R = ModelScorer(model), experiment.dataset.signals.value
    scorers: list[Scorer] = [ours, *rivals]
    meaning: dict[str, Meaning] = {ours.name: ours.meaning}
    if ours.meaning == "value":
        train = experiment.dataset.histories.take(experiment.split.train)
        validation = experiment.held_out(experiment.split.validation)
        bias = fit_bias(train, len(experiment.item_x), value_R, validation)
        scorers.insert(1, bias)
        meaning[bias.name] = "value"
    context = {"order": experiment.order, "seed": experiment.config.seed, "scenario": scenario}
    return evaluate(scorers, held, meaning=meaning, signal_value=value_R, context=context)
