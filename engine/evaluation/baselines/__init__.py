"""The methods every table compares with: popularity, late popularity, item-kNN, EASE, iALS fold-in.

`baselines` fits and tunes them all; `Scorer` is what each of them, and the model, is to the evaluation.
"""

from engine.evaluation.baselines.scorer import Scorer
from engine.evaluation.baselines.tuning import baselines

__all__ = ["Scorer", "baselines"]
