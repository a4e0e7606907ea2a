"""A benchmark file (TOML), read and checked, and the cells it asks for: data set x order x seed x method.

Knows nothing of how a cell is computed, of Ray, or of how tables are made from the cells.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from engine.config import Config, Count, Section, load_config
from engine.data.dataset import read_manifest
from engine.errors import ConfigError
from engine.evaluation.protocol import SHOTS
from jobs.benchmarking.cell import METHODS, Cell

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Shots = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class DataSpec(Section):
    """One data set: where its tables are, and the protocol it is measured by."""

    source: Literal["movielens-100k"] | None = None
    """A data set that firstclick fetches itself."""
    prepared: str | None = None
    """Or the folder of a prepared one."""
    interactions: str | None = None
    """Or files, as for `firstclick prepare`; ${NAME} stands for an environment variable."""
    items: str | None = None
    users: str | None = None
    edges: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    """The contract's column names and the tables' own, e.g. {event = "event_type"}."""
    item_kinds: dict[str, str] = Field(default_factory=dict)
    """Feature kinds of item columns, where the inferred ones are wrong."""
    user_kinds: dict[str, str] = Field(default_factory=dict)
    orders: Annotated[tuple[Literal["time", "random"], ...] | None, Field(min_length=1)] = None
    """Default: time where every event is dated, else random."""
    query_after: Count = 20
    """The first n events of a user are neither query nor candidates."""
    shots: Shots = SHOTS
    """Numbers of support events measured; none above ``query_after``."""
    relevant: Names | None = None
    """Names of wanted events. Default: as `signals` in the configuration."""
    relevant_min: float | None = None
    """Smallest rating or value that is wanted."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if [self.source, self.prepared, self.interactions].count(None) != 2:
            raise ValueError("give one of source, prepared, interactions")
        if self.interactions is None and (self.items or self.users or self.edges or self.columns):
            raise ValueError("items, users, edges and columns go with interactions")
        if max(self.shots) > self.query_after:
            raise ValueError(f"shots {max(self.shots)} exceed query_after = {self.query_after}")
        return self

    def overrides(self, order: str) -> list[str]:
        """The protocol as overrides of the configuration."""
        values = {
            "episodes.order": order,
            "episodes.query_after": self.query_after,
            "evaluation.shots": self.shots,
            "signals.relevant": self.relevant,
            "signals.relevant_min": self.relevant_min,
        }
        return [f"{key}={json.dumps(value)}" for key, value in values.items()]


class Plan(Section):
    """A benchmark file."""

    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    """Each is another split of the users, and the seed of whatever a method draws."""
    methods: Names = METHODS
    """What is compared; the first is the reference of all differences."""
    options: tuple[str, ...] = ()
    """Options of firstclick, `section.key=value`, for all cells."""
    variants: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Further methods: firstclick with more options, under a name of its own."""
    data: Annotated[dict[str, DataSpec], Field(min_length=1)]
    """The data sets by name."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for method in self.methods:
            if method not in METHODS:
                raise ValueError(f"unknown method {method!r}. {_hint(method, METHODS)}")
        if set(self.variants) & set(METHODS):
            raise ValueError("a variant has the name of a method; give it another")
        for name, values in (("methods", self.methods), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} are listed twice: {list(values)}")
        return self

    @property
    def all_methods(self) -> tuple[str, ...]:
        """Methods and variants, in the order of the tables."""
        return (*self.methods, *self.variants)

    def only(self, data: Sequence[str] = (), methods: Sequence[str] = (), seeds: Sequence[int] = ()) -> Plan:
        """A part of the plan; what is left empty is kept whole.

        Raises:
            ConfigError: a name or seed is not in the plan.
        """
        _check_known("data set", data, self.data)
        _check_known("method", methods, self.all_methods)
        _check_known("seed", [str(s) for s in seeds], [str(s) for s in self.seeds])
        parts = {
            "data": {name: spec for name, spec in self.data.items() if not data or name in data},
            "methods": tuple(m for m in self.methods if not methods or m in methods),
            "variants": {m: v for m, v in self.variants.items() if not methods or m in methods},
            "seeds": tuple(s for s in self.seeds if not seeds or s in seeds),
        }
        return self.model_copy(update=parts)

    def cells(self, folders: Mapping[str, Path]) -> Iterator[Cell]:
        """All cells, given the folder of each prepared data set.

        Raises:
            ConfigError: an option is wrong, or an order of time is asked of events without times.
            DataError: a folder holds no prepared data set.
        """
        for name, spec in self.data.items():
            manifest = read_manifest(folders[name])
            for order in spec.orders or ("time" if manifest["dated_share"] == 1 else "random",):
                if order == "time" and manifest["dated_share"] < 1:
                    raise ConfigError(
                        "only a part of the events is dated", f"data.{name}", 'Say orders = ["random"].'
                    )
                for seed in self.seeds:
                    for method in self.all_methods:
                        config = self._config(spec, order, seed, method)
                        yield Cell(name, folders[name], manifest["fingerprint"], method, config)

    def _config(self, spec: DataSpec, order: str, seed: int, method: str) -> Config:
        """Options, then the protocol: a variant may change the model, never what is measured."""
        own = self.variants.get(method, ())
        return load_config(None, [*self.options, *own, *spec.overrides(order), f"seed={seed}"])


def read_plan(path: Path) -> Plan:
    """Read a benchmark file.

    Raises:
        ConfigError: it cannot be read, or a key or value is wrong; names it, and the closest known key.
    """
    try:
        return Plan.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError("cannot read the benchmark file", str(path), f"{error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from None
    except ValidationError as error:
        raise _explain(error, path) from None


def _explain(error: ValidationError, path: Path) -> ConfigError:
    first: Any = error.errors()[0]
    *parents, key = [str(part) for part in first["loc"]] or [""]
    place = f"{path}, {'.'.join([*parents, key])}" if key else str(path)
    if first["type"] == "extra_forbidden":
        known = DataSpec.model_fields if parents else Plan.model_fields
        return ConfigError(f"unknown key {key}", where=place, fix=_hint(key, known))
    return ConfigError(str(first["msg"]).removeprefix("Value error, ").rstrip("."), where=place)


def _check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"the benchmark file has no {what} {name!r}", fix=_hint(name, known))


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
