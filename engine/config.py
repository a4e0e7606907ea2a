"""Every option of a run, in one frozen, checked object; read from TOML and ``--set key=value``.

Knows nothing of what the options do: each is explained where it stands and used elsewhere.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.config_errors import explained
from engine.errors import ConfigError

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SignalsConfig(Section):
    """What counts as wanted. Neither key: ratings of at least 4/5 of the scale, all other events."""

    relevant_min: float | None = None
    """Smallest rating or value that is wanted."""
    relevant: tuple[str, ...] | None = None
    """Names of wanted events, e.g. ["LIKE", "BOOKMARK"]."""


class EpisodesConfig(Section):
    """How a user's history becomes support and query."""

    order: Literal["time", "random"] | None = None
    """Default: time where every event is dated, else random."""
    shots_max: Annotated[int, Field(ge=0)] = 20
    """Shots are drawn uniformly from 0 to this."""
    query_after: Annotated[int, Field(ge=0)] = 0
    """The first n events of a user are neither query nor candidates (the benchmark's gap)."""
    event_dropout: Share = 0.1
    """Share of support events left out while training."""
    event_noise: Share = 0.0
    """Share of support events whose item is a random one instead while training."""


class ItemsConfig(Section):
    """How items are represented."""

    dim: Count = 128
    """Length of an embedding, without the following."""
    likeness_dim: Annotated[int, Field(ge=0)] = 0
    """Dimensions in which items stand by their features alone, for catalogues where new items matter."""
    shrink: NotNegative | None = None
    """How often two items must have been met for their cosine to be half believed. Default: three times the
    root of how many users met an event's item, at the median: 64 on MovieLens-1M, 14 on Last.fm."""
    full_softmax_max: Annotated[int, Field(ge=0)] = 200_000
    """Catalogues with more items are sampled in each step, and their tables spread over the workers."""
    negatives: Count = 8192
    """Items drawn in a step of such a catalogue, half of them by popularity."""
    dropout: Share = 0.041
    """Share of items that show only their features in a step, so that cold items work."""


class InnerConfig(Section):
    """Adaptation: prior + support -> posterior."""

    method: Literal["closed_form", "gradient"] = "closed_form"
    """How the posterior is found: exactly, or by some steps of gradient descent."""
    prior_precision: Positive = 6.0
    """Where the learned precision of the prior starts."""
    unseen_weight: Positive = 1.0
    """Where the learned weight of unseen items (omega) starts."""
    event_precision: Positive = 1.0
    """Where the learned precision of an event starts."""
    robust: bool = False
    """Let an event count less the worse it fits the user's others, in the ridge's inputs, too."""
    inner_lr: Positive = 0.003
    """gradient: step size."""
    inner_steps: Annotated[int, Field(ge=0)] = 5
    """gradient: number of steps."""
    scope: Literal["head", "decision"] = "head"
    """gradient: what adapts, the user's vector (ANIL) or the layers above the embedding too (MAML, MeLU)."""
    hidden: Count = 32
    """gradient, scope decision: units of the layer above the embedding."""
    derivative: Literal["second", "first"] = "second"
    """gradient: does the outer loop differentiate through the steps (MAML) or not (FOMAML)?"""
    learn_inner_lr: bool = False
    """gradient: learn a step size for each entry (Meta-SGD), from inner_lr on."""
    prior_pull: NotNegative = 1.0
    """gradient: weight of the distance to the prior (iMAML); at 1 descent heads for the exact posterior."""


class OuterConfig(Section):
    """Meta-learning of the prior."""

    rule: Literal["maml", "reptile"] = "maml"
    """Learn from what users did next (maml), or, with gradient, only from where they ended (reptile)."""
    scalar_lr: Positive = 0.014
    """Step size of single numbers that all hangs on: scale, precision of the prior, bend of the spectrum."""
    outer_lr: Positive = 3.1e-3
    """Step size of what is learned by signal, age or shots: targets, precisions, weights."""
    table_lr: Positive = 2.3e-4
    """Step size of what is learned by item, feature or dimension: many numbers, which overfit easily."""
    weight_decay: NotNegative = 0.01
    """Decay of what is learned by signal, age or shots, per step times outer_lr."""
    table_decay: NotNegative = 6500.0
    """Decay of what is learned by item, feature or dimension, per step times table_lr / training users."""
    posterior_dropout: Share = 0.46
    """Dropout on the posterior w."""
    user_dropout: Share = 0.43
    """Dropout on user features."""
    population_weight: NotNegative = 0.0
    """alpha in L(D_u, M_theta*) + alpha L(D, M_theta): how much the unadapted prior must serve too."""
    passes: Count = 60
    """At most this many passes over the users."""
    users_per_step: Count = 64
    """Episodes in an outer step, over all workers."""
    patience: Count = 20
    """Passes without a better validation quality before training stops."""
    validation_share: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    """Share of users that decide when to stop; never trained on."""


class EvaluationConfig(Section):
    """How quality is measured."""

    test_share: Annotated[float, Field(ge=0.0, lt=0.9)] = 0.2
    """Share of users set aside: neither trained on nor used to stop."""
    shots: tuple[Annotated[int, Field(ge=0)], ...] = (0, 1, 3, 5, 10, 20)
    """Numbers of support events reported."""
    cold_item_share: Annotated[float, Field(ge=0.0, lt=0.9)] = 0.0
    """Share of items whose events are kept from training, to measure how items nobody has met are ranked."""
    split_file: str | None = None
    """Published split (parquet: user_id, item_id, scenario); its cold users and items replace both shares."""


class TrainConfig(Section):
    """Where and how training runs; changes nothing in the result but rounding."""

    workers: Annotated[int, Field(ge=0)] | tuple[Count, Count] = 0
    """0: in this process. n: Ray Train workers. [min, max]: as many as there is room for, while it runs."""
    use_gpu: bool = False
    """One GPU for each worker."""
    checkpoint_every: Count = 5
    """Passes between checkpoints."""
    checkpoint_steps: Count = 1000
    """Within a pass: steps between checkpoints."""

    @model_validator(mode="after")
    def _workers_are_a_range(self) -> Self:
        if isinstance(self.workers, tuple) and self.workers[0] > self.workers[1]:
            raise ValueError(f"train.workers = {list(self.workers)}: the smaller number comes first")
        return self


class Config(Section):
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    objective: Literal["ranking", "click", "rating"] = "ranking"
    """What is learned: the order of what comes next, the chance of each item, or the number given."""
    signals: SignalsConfig = SignalsConfig()
    episodes: EpisodesConfig = EpisodesConfig()
    items: ItemsConfig = ItemsConfig()
    inner: InnerConfig = InnerConfig()
    outer: OuterConfig = OuterConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _reptile_descends(self) -> Self:
        if self.outer.rule == "reptile" and self.inner.method != "gradient":
            raise ValueError("outer.rule = reptile needs inner.method = gradient")
        if self.outer.rule == "reptile" and self.outer.population_weight:
            raise ValueError(
                "outer.population_weight weighs a query loss, which outer.rule = reptile has not"
            )
        return self


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a TOML file (none: all defaults) and apply ``section.key=value`` overrides in order.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong; names it, and the closest
            known key.
    """
    values = {} if path is None else _read_toml(path)
    for override in overrides:
        _apply(values, override)
    return parse_config(values, where=str(path) if path else "configuration")


def parse_config(values: Mapping[str, Any], where: str) -> Config:
    """Check plain values, as of a manifest.

    Raises:
        ConfigError: a key or value is wrong.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise explained(error, where, list(known_keys())) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            "cannot read the configuration", where=str(path), fix=f"{error.strerror}."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from None


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(
            f"'{override}' is not an override", where="--set", fix="Write --set section.key=value."
        )
    *sections, name = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"'{section}' in '{key}' is not a section", where="--set")
    values[name] = _parse(text.strip())


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def known_keys(section: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """All keys as ``section.key``."""
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from known_keys(inner, f"{name}.")
        else:
            yield prefix + name


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """``section.key`` -> value, of a configuration's plain values."""
    values: dict[str, Any] = {}
    for name, section in config.items():
        if isinstance(section, dict):
            values |= {f"{name}.{key}": value for key, value in section.items()}
        else:
            values[name] = section
    return values


def to_dict(config: Config) -> Mapping[str, Any]:
    """Plain JSON values, for manifests."""
    return config.model_dump(mode="json")
