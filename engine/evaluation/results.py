"""The outcome of an evaluation as a value: every user's figure, its summaries, and JSON both ways.

Knows nothing of models, of how figures were measured or of how they are shown.

Shapes: M methods, T metrics, H numbers of shots, B held-out users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, DataError
from engine.evaluation.metrics import Calibration, Estimate, PerUser, estimate, paired_difference

FORMAT = 1


@dataclass(frozen=True)
class Report:
    """Quality of some methods on the same users. NaN: the metric does not apply."""

    methods: tuple[str, ...]
    metrics: tuple[str, ...]
    shots: tuple[int, ...]
    values: NDArray[np.float64]  # (M, T, H, B)
    reference: str
    context: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, dict[int, Calibration]] = field(default_factory=dict)  # by method and shots

    @property
    def n_users(self) -> int:
        return int(self.values.shape[-1])

    def per_user(self, method: str, metric: str, shots: int) -> PerUser:
        """The users' own values, (B,).

        Raises:
            ConfigError: the report has no such method, metric or number of shots.
        """
        axes = (
            ("method", method, self.methods),
            ("metric", metric, self.metrics),
            ("shots", shots, self.shots),
        )
        for what, wanted, known in axes:
            if wanted not in known:
                raise ConfigError(
                    f"{what} {wanted!r} is unknown", fix=f"Known: {', '.join(map(str, known))}."
                )
        row, t, column = (known.index(wanted) for _, wanted, known in axes)
        return np.asarray(self.values[row, t, column], np.float64)

    def mean(self, method: str, metric: str, shots: int) -> Estimate:
        return estimate(self.per_user(method, metric, shots))

    def difference(self, method: str, metric: str, shots: int, to: str | None = None) -> Estimate:
        """Paired difference of ``method`` to ``to`` (default: the reference)."""
        other = self.per_user(to or self.reference, metric, shots)
        return paired_difference(self.per_user(method, metric, shots), other)

    def summary(self) -> dict[str, Any]:
        """Means and standard errors by method, metric and shots, without the users' own values."""
        means: dict[str, dict[str, dict[str, list[float]]]] = {}
        for method in self.methods:
            for metric in self.metrics:
                by_shots = {str(k): self.mean(method, metric, k) for k in self.shots}
                if any(e.n for e in by_shots.values()):
                    figures = {k: [round(e.mean, 6), round(e.se, 6)] for k, e in by_shots.items() if e.n}
                    means.setdefault(method, {})[metric] = figures
        return {**self.context, "users": self.n_users, "shots": list(self.shots), "means": means}

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers; NaN as null."""
        return {
            "format": FORMAT,
            "methods": list(self.methods),
            "metrics": list(self.metrics),
            "shots": list(self.shots),
            "reference": self.reference,
            "context": self.context,
            "values": _nulls(self.values),
            "calibration": {
                method: {str(k): _calibration_json(c) for k, c in by_shots.items()}
                for method, by_shots in self.calibration.items()
            },
        }

    @staticmethod
    def from_json(d: Mapping[str, Any]) -> Report:
        """The inverse of `to_json`.

        Raises:
            DataError: the format is another one, or a part is missing or does not fit.
        """
        try:
            if d["format"] != FORMAT:
                raise DataError(f"report format {d['format']!r} is not {FORMAT}", fix="Evaluate again.")
            calibration = {
                method: {int(k): _calibration_from(c) for k, c in by_shots.items()}
                for method, by_shots in d["calibration"].items()
            }
            names = tuple(d["methods"]), tuple(d["metrics"]), tuple(int(k) for k in d["shots"])
            values = np.array(d["values"], dtype=np.float64)
            if values.ndim != 4 or values.shape[:3] != tuple(map(len, names)):
                raise ValueError(f"values have shape {values.shape}")
            return Report(*names, values, str(d["reference"]), dict(d["context"]), calibration)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"this is no evaluation report: {error!r}", fix="Evaluate again.") from error


def over_splits(estimates: Sequence[Estimate]) -> Estimate:
    """Mean of several splits' means; its standard error takes the splits' users as independent.

    ``se = sqrt(sum se_i^2) / n_splits``. With few splits it is steadier than the spread of their means.
    """
    means, errors = [e.mean for e in estimates], np.array([e.se for e in estimates])
    n = len(estimates)
    return Estimate(float(np.mean(means)), float(np.sqrt((errors**2).sum()) / n), sum(e.n for e in estimates))


def same_layout(reports: Sequence[Report]) -> Report:
    """The first of ``reports``, which must agree on methods, metrics and shots.

    Raises:
        DataError: there is none, or they differ.
    """
    layouts = {(r.methods, r.metrics, r.shots, r.reference) for r in reports}
    if len(layouts) != 1:
        raise DataError(
            f"{len(reports)} reports with {len(layouts)} layouts cannot be averaged",
            fix="Evaluate the same methods at the same shots on every split.",
        )
    return reports[0]


def _calibration_json(c: Calibration) -> dict[str, Any]:
    return {
        "predicted": _nulls(c.predicted),
        "observed": _nulls(c.observed),
        "count": c.count.tolist(),
        "error": None if np.isnan(c.error) else c.error,
    }


def _calibration_from(d: Mapping[str, Any]) -> Calibration:
    predicted, observed = (np.array(d[name], np.float64) for name in ("predicted", "observed"))
    return Calibration(
        predicted, observed, np.array(d["count"], np.int64), float(np.array(d["error"], float))
    )


def _nulls(values: NDArray[np.float64]) -> Any:
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()
