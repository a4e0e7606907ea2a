"""The episodic ridge against scikit-learn's, without a fold's events, and in an artifact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from engine.artifact import load_artifact
from engine.config import load_config
from engine.data.dataset import Dataset
from engine.data.episodes import EpisodeRules, draw_episodes
from engine.data.histories import Histories
from engine.learning import episodic_ridge, ridge_regression
from engine.learning.assemble import model_from_state
from engine.learning.episodic_ridge import DRAWS, FIRST_DRAW, EpisodicRidge, fit_episodic_ridge, inputs
from engine.learning.experiment import set_up
from engine.learning.folds import FOLDS
from engine.learning.ridge_regression import PENALTIES
from engine.learning.setup import build_model
from tests.histories import group_by_user
from tests.small import SMALL

U, N, D, F, SEED = 40, 12, 3, 2, 5
WANTED = np.array([False, True])
RULES = EpisodeRules(WANTED, shots_max=4)
X = np.random.default_rng(1).standard_normal((U, F)).astype(np.float32)
PLACES = torch.from_numpy(np.random.default_rng(2).standard_normal((N, D)).astype(np.float32))


@pytest.fixture(scope="module")
def histories() -> Histories:
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.permutation(N)[:8] for _ in range(U)])
    user = np.repeat(np.arange(U), 8)
    return group_by_user(user, item, (rng.random(len(item)) < 0.8).astype(int), np.arange(len(item)) * 1.0, U)


def fit(histories: Histories) -> EpisodicRidge:
    return fit_episodic_ridge(PLACES, WANTED, histories, X, RULES, np.linspace(1, 30, N), SEED)


def drawn(histories: Histories, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is regressed on what: (rows, M) and (rows, N), the long way."""
    z, y = [], []
    for draw in range(DRAWS):
        episodes = draw_episodes(histories, users, X, RULES, (SEED, FIRST_DRAW + draw))
        z.append(inputs(PLACES, torch.tensor([0.0, 1.0]), episodes).numpy())
        y.append(np.zeros((len(users), N)))
        y[-1][episodes.query_user, episodes.query_item] = 1
    return np.concatenate(z), np.concatenate(y)


def test_inputs_by_hand(histories: Histories) -> None:
    episodes = draw_episodes(histories, np.array([3]), X, replace(RULES, shots_max=7), (0, 0))
    item, signal = episodes.support_item[0], episodes.support_signal[0].float()
    assert 0 < signal.sum() < len(signal)  # some are wanted, some are not
    place, share = PLACES[item], 1 / (1 + len(item) / 3)
    by_hand = torch.cat(
        [
            share * place.sum(dim=0),
            share * (signal[:, None] * place).sum(dim=0),
            share * torch.tensor([len(item), signal.sum()]),
            torch.tensor([*X[3], 1.0]),
        ]
    )
    torch.testing.assert_close(inputs(PLACES, torch.tensor([0.0, 1.0]), episodes)[0], by_hand)


def test_doubted_events_count_less_beside_the_user_s_others(histories: Histories) -> None:
    """Their weights are 1 on average: one event counts whole, however little it is believed."""
    wanted, users = torch.tensor([0.0, 1.0]), np.arange(U)
    episodes = draw_episodes(histories, users, X, RULES, (0, 0))
    own = 0.1 + torch.rand(episodes.present.shape)
    plain, weighed = (inputs(PLACES, wanted, episodes, own_BS=o) for o in (None, own))
    torch.testing.assert_close(inputs(PLACES, wanted, episodes, own_BS=0.2 * own), weighed)
    few = episodes.shots < 2
    assert few.any()
    torch.testing.assert_close(weighed[few], plain[few])
    user = int(episodes.shots.argmax())
    weight = own[user][episodes.present[user]]
    place, share = PLACES[episodes.support_item[user][episodes.present[user]]], 1 / (1 + len(weight) / 3)
    by_hand = share * len(weight) / weight.sum() * weight @ place
    torch.testing.assert_close(weighed[user, :D], by_hand)
    assert not torch.isclose(weighed[user, :D], plain[user, :D]).all()
    assert weighed[user, 2 * D] == plain[user, 2 * D]


def test_features_explain_first_events_what_they_leave(histories: Histories) -> None:
    """Each stage is some ridge of scikit-learn: the penalty is that of the best fit to what was found."""
    ridge = fit(histories)
    assert ridge.folds_FMC is not None
    for fold in (None, *range(FOLDS)):
        users = np.arange(U) if fold is None else np.flatnonzero(np.arange(U) % FOLDS != fold)
        z, y = drawn(histories, users)
        weight = (ridge.weight_MC if fold is None else ridge.folds_FMC[fold]).numpy()
        events, user = slice(0, 2 * D + 2), slice(2 * D + 2, None)
        assert ridged(z[:, user], y, np.repeat([1.0, 1e-6], [F, 1]), weight[user])
        left = y - z[:, user] @ weight[user]
        assert ridged(z[:, events], left, np.repeat([1.0, 0.25], [D, D + 2]), weight[events])


def ridged(z: np.ndarray, y: np.ndarray, relative: np.ndarray, weight: np.ndarray) -> bool:
    """Whether the weights are a ridge regression's under one of the penalties."""
    for penalty in PENALTIES:
        root = np.sqrt(penalty * relative)
        coef = Ridge(alpha=1.0, fit_intercept=False).fit(z / root, y).coef_ / root
        if np.allclose(coef.T, weight, rtol=1e-3, atol=1e-6):
            return True
    return False


def test_a_fold_s_weights_know_nothing_of_its_users(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the penalties, two numbers that all folds choose together."""
    monkeypatch.setattr(ridge_regression, "PENALTIES", np.array([1024.0]))
    mine = histories.user_row % FOLDS == 2
    later = np.arange(histories.n_events) - np.repeat(histories.start[:-1], histories.lengths) >= 4
    item = np.where(mine & later, (histories.item_row + 1) % N, histories.item_row)
    before, after = fit(histories), fit(replace(histories, item_row=item))
    assert before.folds_FMC is not None
    assert after.folds_FMC is not None
    torch.testing.assert_close(before.folds_FMC[2], after.folds_FMC[2], rtol=1e-3, atol=1e-6)
    for fold in (0, 1, 3, 4):
        assert (before.folds_FMC[fold] - after.folds_FMC[fold]).abs().max() > 1e-3
    assert (before.weight_MC - after.weight_MC).abs().max() > 1e-3


def test_the_shift_is_the_log_of_how_much_likelier_an_item_became(histories: Histories) -> None:
    ridge = fit(histories)
    episodes = draw_episodes(histories, np.arange(0, U, FOLDS), X, RULES, (SEED, 0))
    z = inputs(PLACES, torch.tensor([0.0, 1.0]), episodes)
    for fold, weight_MC in ((None, ridge.weight_MC), (0, ridge.folds_FMC[0])):  # type: ignore[index]
        popularity = (torch.linspace(1, 30, N) + 0.5) / U
        ratio = ((z @ weight_MC) / popularity).clamp(min=0.1)
        shift = ridge(PLACES, episodes, torch.ones(N, dtype=torch.bool), fold)
        torch.testing.assert_close(shift, 0.5 * ratio.log(), rtol=1e-4, atol=1e-5)  # the gain starts at 1/2


def test_items_that_are_not_shown_are_not_shifted(histories: Histories) -> None:
    episodes = draw_episodes(histories, np.arange(4), X, RULES, (SEED, 0))
    shown = torch.arange(N) != 7
    shift = fit(histories)(PLACES, episodes, shown)
    assert (shift[:, 7] == 0).all()
    assert (shift[:, shown] != 0).all()


def test_only_the_most_popular_items_are_predicted(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes = draw_episodes(histories, np.arange(4), X, RULES, (SEED, 0))
    shown = torch.ones(N, dtype=torch.bool)
    everything = fit(histories)(PLACES, episodes, shown)
    monkeypatch.setattr(episodic_ridge, "ITEMS", 5)
    few = fit(histories)(PLACES, episodes, shown)
    torch.testing.assert_close(few[:, N - 5 :], everything[:, N - 5 :])
    assert (few[:, : N - 5] == 0).all()


def test_the_artifact_holds_the_ridge_of_all_training_users(
    checkerboard_data: Path, checkerboard_artifact: Path
) -> None:
    ridge = build_model(set_up(Dataset.load(checkerboard_data), load_config(None, SMALL))).ridge
    loaded = load_artifact(checkerboard_artifact).model.ridge
    assert ridge is not None
    assert loaded is not None
    torch.testing.assert_close(loaded.weight_MC, ridge.weight_MC)
    torch.testing.assert_close(loaded.log_popularity_C, ridge.log_popularity_C)
    assert loaded.folds_FMC is None
    assert loaded.gain_logit_A.abs().max() > 0  # learned


def test_an_older_artifact_s_ridge_sums_events_however_many(
    histories: Histories, checkerboard_artifact: Path
) -> None:
    artifact = load_artifact(checkerboard_artifact)
    state = artifact.model.state_dict()
    assert float(state.pop("ridge.half_at")) == 3.0
    older = model_from_state(state, load_config(None, SMALL))
    assert older.ridge is not None
    assert float(older.ridge.half_at) == np.inf
    episodes = draw_episodes(histories, np.array([3]), X, replace(RULES, shots_max=7), (0, 0))
    wanted = torch.tensor([0.0, 1.0])
    sums = inputs(PLACES, wanted, episodes, older.ridge.half_at)
    assert float(sums[0, 2 * D]) == float(episodes.shots[0]) > 1
    torch.testing.assert_close(
        sums[:, : 2 * D + 2], inputs(PLACES, wanted, episodes)[:, : 2 * D + 2] * (1 + episodes.shots / 3)
    )
