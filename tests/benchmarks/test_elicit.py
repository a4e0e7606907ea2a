"""A newcomer is asked about items, or shown one by one, before the first slate: which serve them best?

    pytest --run-benchmarks -s tests/benchmarks/test_elicit.py

MovieLens-100k, users no model was trained on. Half of a user's ratings, drawn at random, are what they can
be asked about: they answer with their rating, or "don't know". The other half is what they should be shown:
nDCG@10 of what they rated 4 or 5 there, after 1, 3, 5 and 10 questions asked one by one. Users come several
times, with another half. A question may be about any item of the catalogue; so may what exploring shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from engine import Recommender
from engine.artifact import Artifact
from engine.learning.experiment import Experiment
from tests.benchmarks.conftest import Train

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

QUESTIONS = (0, 1, 3, 5, 10)
HALVES = 3  # times that each user comes
STRENGTH = 0.8  # of exploring, chosen on validation users

Choose = Callable[[Recommender, list[dict[str, object]], list[str], np.random.Generator], str]


class Newcomer(NamedTuple):
    ratings: dict[str, float]  # what they can be asked about
    wanted: set[str]  # what they should be shown
    seed: tuple[int, int]


def elicited(
    rec: Recommender, events: list[dict[str, object]], asked: list[str], rng: np.random.Generator
) -> str:
    return rec.elicit(events, k=1, asked=asked, seed=int(rng.integers(2**31))).item_ids[0]


def popular(rec: Recommender, events: list[dict[str, object]], asked: list[str], rng: object) -> str:
    """The item that most people know."""
    order = np.argsort(-rec._scorer.known_N, kind="stable")
    return rec.item_ids[order[len(asked)]]


def at_random(
    rec: Recommender, events: list[dict[str, object]], asked: list[str], rng: np.random.Generator
) -> str:
    return rec.item_ids[rng.choice([row for row, i in enumerate(rec.item_ids) if i not in asked])]


def at_random_of_the_best_known(
    rec: Recommender, events: list[dict[str, object]], asked: list[str], rng: np.random.Generator
) -> str:
    order = np.argsort(-rec._scorer.known_N, kind="stable")
    return rec.item_ids[rng.choice([row for row in order[:200] if rec.item_ids[row] not in asked])]


def explored(
    rec: Recommender, events: list[dict[str, object]], asked: list[str], rng: np.random.Generator
) -> str:
    """The first of the explored slate, of what has not been shown yet."""
    left = [item_id for item_id in rec.item_ids if item_id not in asked]
    how = {"method": "thompson", "strength": STRENGTH, "seed": int(rng.integers(2**31))}
    return rec.recommend(events, k=1, candidates=left, explore=how).item_ids[0]


METHODS: dict[str, Choose] = {
    "elicit": elicited,
    "explore": explored,
    "most popular": popular,
    "random": at_random,
    "random, 200 best known": at_random_of_the_best_known,
}


def recommender(experiment: Experiment, model) -> Recommender:  # type: ignore[no-untyped-def]
    data = experiment.dataset
    encoders = (experiment.item_encoder, experiment.user_encoder)
    return Recommender(
        Artifact(model, data.items, data.signals, experiment.default_signal, *encoders, {"version": "test"})
    )


def newcomers(experiment: Experiment, users: NDArray[np.int64], item_ids: list[str]) -> list[Newcomer]:
    histories, value = experiment.dataset.histories, experiment.dataset.signals.value
    found = []
    for half in range(HALVES):
        for user in users.tolist():
            run, rng = histories.of(user), np.random.default_rng([half, user])
            items, ratings = histories.item_row[run], value[histories.signal[run]]
            mine = rng.random(len(items)) < 0.5
            told = {item_ids[i]: float(r) for i, r in zip(items[mine], ratings[mine], strict=True)}
            wanted = {item_ids[i] for i in items[~mine & (ratings >= 4)]}
            if len(wanted) >= 3:
                found.append(Newcomer(told, wanted, (half, user)))
    return found


def quality(rec: Recommender, person: Newcomer, choose: Choose) -> tuple[list[float], int]:
    """nDCG@10 after each number of questions, and how many of all questions were answered."""
    rng, found = np.random.default_rng(person.seed), []
    events: list[dict[str, object]] = []
    asked: list[str] = []
    others = [item_id for item_id in rec.item_ids if item_id not in person.ratings]
    for count in range(max(QUESTIONS) + 1):
        if count in QUESTIONS:
            found.append(ndcg(rec.recommend(events, k=10, candidates=others).item_ids, person.wanted))
        asked.append(choose(rec, events, asked, rng))
        if asked[-1] in person.ratings:
            events.append({"item_id": asked[-1], "value": person.ratings[asked[-1]]})
    return found, len(events)


def ndcg(slate: list[str], wanted: set[str]) -> float:
    discount = 1 / np.log2(np.arange(2, 12))
    return float(discount[[i in wanted for i in slate]].sum() / discount[: len(wanted)].sum())


@pytest.fixture(scope="module")
def by_method(train: Train) -> dict[str, NDArray[np.float64]]:
    experiment, model = train(["episodes.order=random"], None)
    rec = recommender(experiment, model)
    people = newcomers(experiment, experiment.split.test, rec.item_ids)
    found, answers = {}, {}
    for name, choose in METHODS.items():
        told = [quality(rec, person, choose) for person in people]
        found[name] = np.array([values for values, _ in told])
        answers[name] = np.mean([count for _, count in told])
    print(
        f"\n\nnDCG@10 of {len(people)} newcomers after {QUESTIONS} questions; in brackets: over most popular"
    )
    for name, values in found.items():
        lead = values - found["most popular"]
        error = lead.std(axis=0) / np.sqrt(len(lead))
        cells = [
            f"{v:.3f} ({m:+.3f} +-{e:.3f})"
            for v, m, e in zip(values.mean(0), lead.mean(0), error, strict=True)
        ]
        print(f"| {name} | " + " | ".join(cells) + f" | {answers[name]:.1f} of {max(QUESTIONS)} answered |")
    return found


@pytest.mark.parametrize("questions", [1, 3, 5])
@pytest.mark.parametrize(
    ("method", "other"), [("elicit", "most popular"), ("elicit", "random"), ("explore", "most popular")]
)
def test_chosen_questions_serve_newcomers_better(
    by_method: dict[str, NDArray[np.float64]], method: str, other: str, questions: int
) -> None:
    place = QUESTIONS.index(questions)
    lead = by_method[method][:, place] - by_method[other][:, place]
    assert lead.mean() > lead.std() / np.sqrt(len(lead))
