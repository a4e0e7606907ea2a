"""Measures how items nobody has met are ranked, beside baselines that know features alone.

Knows nothing of command lines. Needs an experiment that holds items out of training.
"""

from __future__ import annotations

from engine.evaluation.baselines.cold import cold_baselines
from engine.evaluation.cold_items import BOTH_COLD, ITEM_COLD
from engine.evaluation.results import Report
from engine.learning.experiment import Experiment
from engine.learning.meta import MetaModel
from jobs.judge import judge


def compare_cold(experiment: Experiment, model: MetaModel) -> dict[str, Report]:
    """By scenario: training users ("item-cold") and test users ("both-cold"), asked for cold items.

    Raises:
        DataError: no user of a group wants a cold item.
    """
    config, split = experiment.config, experiment.split
    rivals = cold_baselines(
        experiment.dataset.histories.take(split.train),
        experiment.item_x,
        experiment.relevant,
        experiment.held_out_items(split.validation).episodes,
        config.episodes.query_after,
        experiment.order,
    )
    return {
        scenario: judge(experiment, model, rivals, experiment.held_out_items(users), scenario)
        for scenario, users in ((ITEM_COLD, split.train), (BOTH_COLD, split.test))
    }
