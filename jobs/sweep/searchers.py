"""A search file in Ray Tune's words: where to look, whom to stop, how many trials at once.

Knows nothing of what a trial does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.search import BasicVariantGenerator, SearchAlgorithm, Searcher

from engine.config import Config
from jobs.search_space import Choices, Domain, Range, Search

REDUCTION = 3
"""Of the trials at each rung, successive halving lets one of so many go on."""
CLOCK = "passes_done"


def tune_config(search: Search, base: Config) -> tune.TuneConfig:
    """Everything about the choice of trials."""
    pbt = search.scheduler == "pbt"
    return tune.TuneConfig(
        metric="quality" if pbt else "best_quality",  # a clone inherits what its model once reached
        mode="max",
        search_alg=searcher(search, base),
        scheduler=scheduler(search, base),
        num_samples=search.trials,
        max_concurrent_trials=at_once(base) if search.searcher == "tpe" else None,
        reuse_actors=base.train.workers == 0,  # Ray Train's processes end with the trial's
        trial_dirname_creator=str,
    )


def searcher(search: Search, base: Config) -> Searcher | SearchAlgorithm:
    """Proposes the configuration without the search first, then its own."""
    start = search.start(base)
    first = None if start is None else [start]
    if search.searcher == "tpe":
        from ray.tune.search.optuna import OptunaSearch  # takes a while

        return OptunaSearch(points_to_evaluate=first, seed=search.seed)
    limit = 0 if search.scheduler == "pbt" else at_once(base)  # it pauses trials: all must have begun
    return BasicVariantGenerator(first, max_concurrent=limit, random_state=search.seed)


def scheduler(search: Search, config: Config) -> TrialScheduler | None:
    """Who is stopped when: nobody, the worse at rungs of passes, or none but the worse become the better."""
    passes = config.outer.passes
    if search.scheduler == "asha":
        grace = max(1, passes // REDUCTION**2)
        return ASHAScheduler(CLOCK, max_t=passes + 1, grace_period=grace, reduction_factor=REDUCTION)
    if search.scheduler == "pbt":
        return PopulationBasedTraining(
            CLOCK,
            perturbation_interval=config.train.checkpoint_every,
            hyperparam_mutations={key: _mutation(domain) for key, domain in search.search.items()},
            custom_explore_fn=partial(_inside, search.search),
        )
    return None


def param_space(search: Search) -> dict[str, Any]:
    return {key: _domain(domain) for key, domain in search.search.items()}


def at_once(base: Config) -> int:
    """Trials that the cluster has room for."""
    workers = base.train.workers if isinstance(base.train.workers, int) else base.train.workers[0]
    cluster, each = ray.cluster_resources(), max(1, workers)
    room = [cluster.get("CPU", 1.0) / each]
    if base.train.workers and base.train.use_gpu:
        room.append(cluster.get("GPU", 0.0) / each)
    return max(1, int(min(room)))


def resources(base: Config) -> dict[str, float]:
    """What a trial's own process takes: a CPU to train on, or, beside workers who do, next to nothing."""
    return {"node:__internal_head__": 0.001} if base.train.workers else {"CPU": 1}


def _domain(domain: Domain) -> Any:
    if isinstance(domain, Choices):
        return tune.choice(list(domain.choices))
    if domain.type == "int":
        draw = tune.lograndint if domain.scale == "log" else tune.randint
        return draw(int(domain.min), int(domain.max) + 1)
    return (tune.loguniform if domain.scale == "log" else tune.uniform)(domain.min, domain.max)


def _mutation(domain: Domain) -> Any:
    """Choices go to a neighbour, numbers by a fifth up or down; now and then either is drawn anew."""
    return list(domain.choices) if isinstance(domain, Choices) else _domain(domain)


def _inside(space: Mapping[str, Domain], options: dict[str, Any]) -> dict[str, Any]:
    """Back into the space what a fifth has led out of it."""
    ranges = {key: domain for key, domain in space.items() if isinstance(domain, Range)}
    return options | {key: min(max(options[key], r.ends[0]), r.ends[1]) for key, r in ranges.items()}
