from __future__ import annotations

import json
from math import sqrt

import numpy as np
import pytest

from engine.errors import ConfigError, DataError
from engine.evaluation.metrics import Estimate, calibration
from engine.evaluation.results import Report, over_splits, same_layout


def make_report(seed: int = 0, methods: tuple[str, ...] = ("ours", "theirs")) -> Report:
    values = np.random.default_rng(seed).random((len(methods), 2, 3, 5))
    values[0, 0, 0, 0] = np.nan
    tables = {"ours": {0: calibration(np.array([0.2, 0.25]), np.array([True, False]))}}
    return Report(methods, ("ndcg@10", "rmse"), (0, 1, 5), values, methods[0], {"order": "time"}, tables)


def test_json_brings_back_every_figure() -> None:
    report = make_report()
    again = Report.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False)))
    np.testing.assert_array_equal(again.values, report.values)
    assert again.to_json() == report.to_json()
    assert (again.shots, again.reference, again.context) == ((0, 1, 5), "ours", {"order": "time"})
    np.testing.assert_array_equal(
        again.calibration["ours"][0].observed, report.calibration["ours"][0].observed
    )


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"values": [[1.0]]}, {"values": None}, {"shots": ["x"]}, {"calibration": 3}]
)
def test_what_is_no_report_is_refused(change: dict) -> None:
    with pytest.raises(DataError):
        Report.from_json(make_report().to_json() | change)


def test_a_missing_part_is_named() -> None:
    with pytest.raises(DataError, match="shots"):
        Report.from_json({k: v for k, v in make_report().to_json().items() if k != "shots"})


def test_means_leave_out_unknown_users_and_differences_pair_the_rest() -> None:
    report = make_report()
    ours, theirs = (report.per_user(name, "ndcg@10", 0) for name in ("ours", "theirs"))
    assert report.mean("ours", "ndcg@10", 0).mean == pytest.approx(ours[1:].mean())
    difference = report.difference("theirs", "ndcg@10", 0)
    assert difference.mean == pytest.approx((theirs - ours)[1:].mean())
    assert difference.n == 4
    assert report.difference("ours", "rmse", 1, to="ours") == Estimate(0.0, 0.0, 5)


@pytest.mark.parametrize("wrong", [("whose", "rmse", 0), ("ours", "bleu", 0), ("ours", "rmse", 7)])
def test_unknown_cells_are_an_error_that_lists_the_known(wrong) -> None:
    with pytest.raises(ConfigError, match="Known: "):
        make_report().per_user(*wrong)


def test_over_splits_by_hand() -> None:
    assert over_splits([Estimate(0.2, 0.03, 10), Estimate(0.4, 0.04, 12)]) == Estimate(
        pytest.approx(0.3), pytest.approx(sqrt(0.03**2 + 0.04**2) / 2), 22
    )


def test_reports_of_other_methods_are_not_averaged() -> None:
    with pytest.raises(DataError, match="2 reports with 2 layouts"):
        same_layout([make_report(), make_report(1, ("ours", "others"))])
    with pytest.raises(DataError):
        same_layout([])
