"""A search file (TOML), read and checked: which options are searched, where, and how.

Knows nothing of Ray, nor of how a trial is trained.
"""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from engine.config import Config, Count, Section, flat, known_keys, parse_config, to_dict
from engine.errors import ConfigError

MUTABLE = (
    "items.dropout",
    "outer.scalar_lr",
    "outer.outer_lr",
    "outer.table_lr",
    "outer.weight_decay",
    "outer.table_decay",
    "outer.posterior_dropout",
    "outer.user_dropout",
    "outer.population_weight",
)
"""Options that may change while a model trains, as population-based training changes them."""
MEASURING = ("seed", "objective", "outer.validation_share", "signals.", "evaluation.", "train.")
"""Options, or sections of them, that no trial changes: qualities of its trials could not be compared."""


class Range(Section):
    """All numbers from min to max."""

    type: Literal["float", "int"]
    min: float
    max: float
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min = {self.min:g} is not below max = {self.max:g}")
        if self.scale == "log" and self.min <= 0:
            raise ValueError(f"scale = log needs min above 0, not {self.min:g}")
        if self.type == "int" and not (self.min.is_integer() and self.max.is_integer()):
            raise ValueError(f"type = int needs whole numbers, not {self.min:g} to {self.max:g}")
        return self

    @property
    def ends(self) -> tuple[float, ...]:
        return (int(self.min), int(self.max)) if self.type == "int" else (self.min, self.max)

    def holds(self, value: Any) -> bool:
        return isinstance(value, (int, float)) and self.min <= value <= self.max


class Choices(Section):
    """Some values."""

    choices: Annotated[tuple[bool | int | float | str, ...], Field(min_length=2)]

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.choices

    def holds(self, value: Any) -> bool:
        return value in self.choices


def _kind(given: Any) -> str:
    return "choices" if isinstance(given, (Mapping, Choices)) and "choices" in dict(given) else "range"


Domain = Annotated[Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)]


class Search(Section):
    """A search file."""

    about: str
    """What it is for, in a sentence."""
    trials: Count = 20
    """Configurations tried; the first is the one without the search, where it lies in the space."""
    searcher: Literal["random", "tpe"] = "random"
    """Where to look next: anywhere, or near what went well (Optuna's tree of Parzen estimators)."""
    scheduler: Literal["none", "asha", "pbt"] = "none"
    """Train each to its end; stop the worse early; or let the worse go on from the better, at other rates."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of what is drawn; the seed of every trial is the configuration's."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Options that every trial has, `section.key` -> value."""
    search: Annotated[dict[str, Domain], Field(min_length=1)]
    """Options that differ, `section.key` -> where."""

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, given: dict[str, Any]) -> dict[str, Any]:
        """TOML's dotted keys are tables in tables; here an option has one name."""
        tables = {name: given[name] for name in ("set", "search") if isinstance(given.get(name), dict)}
        return given | {name: _flat(table) for name, table in tables.items()}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in (*self.search, *self.set):
            if key not in known_keys():
                raise ValueError(f"unknown key {key}. {_hint(key)}")
        for key in self.search:
            if key.startswith(MEASURING):
                raise ValueError(f"{key} changes what is measured or where it runs; put it under [set]")
            if key in self.set:
                raise ValueError(f"{key} is both searched and set")
            if self.scheduler == "pbt" and key not in MUTABLE:
                raise ValueError(f"scheduler = pbt cannot change {key}, only {', '.join(MUTABLE)}")
        if self.scheduler == "pbt" and self.searcher != "random":
            raise ValueError("scheduler = pbt draws its own options; set searcher = random")
        if self.scheduler == "pbt" and self.trials < 2:
            raise ValueError("scheduler = pbt needs trials of 2 or more")
        return self

    def over(self, base: Config) -> Config:
        """The base configuration with what every trial has."""
        return self._with(base, self.set)

    def config(self, base: Config, sampled: Mapping[str, Any]) -> Config:
        """A trial's configuration.

        Raises:
            ConfigError: the options do not go together.
        """
        return self._with(base, {**self.set, **sampled})

    def start(self, base: Config) -> dict[str, Any] | None:
        """The values that the configuration has without the search; None if they lie outside the space."""
        values = flat(to_dict(self.over(base)))
        inside = all(domain.holds(values[key]) for key, domain in self.search.items())
        return {key: values[key] for key in self.search} if inside else None

    def check(self, base: Config) -> None:
        """Raise ConfigError unless the corners of the space are configurations."""
        for sampled in self._corners():
            self.config(base, sampled)

    def _corners(self) -> Iterator[dict[str, Any]]:
        """Each end of each option alone; then all combinations of choices, at either end of the ranges."""
        yield {}
        for key, domain in self.search.items():
            yield from ({key: end} for end in domain.ends)
        ranges = {key: domain for key, domain in self.search.items() if isinstance(domain, Range)}
        choices = {key: domain.choices for key, domain in self.search.items() if isinstance(domain, Choices)}
        for end, values in itertools.product((0, 1), itertools.product(*choices.values())):
            yield {key: r.ends[end] for key, r in ranges.items()} | dict(zip(choices, values, strict=True))

    def _with(self, base: Config, values: Mapping[str, Any]) -> Config:
        told = ", ".join(f"{key} = {value}" for key, value in values.items())
        return parse_config(nested({**flat(to_dict(base)), **values}), where=told or "base configuration")


def read_search(path: Path) -> Search:
    """Read a search file.

    Raises:
        ConfigError: it cannot be read, or a key or value is wrong; names it, and the closest known key.
    """
    try:
        return Search.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError("cannot read the search file", str(path), f"{error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from None
    except ValidationError as error:
        raise _explain(error, path) from None


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """``section.key`` -> value, back to sections: the inverse of ``engine.config.flat``."""
    values: dict[str, Any] = {}
    for name, value in options.items():
        section, _, key = name.rpartition(".")
        (values.setdefault(section, {}) if section else values)[key] = value
    return values


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Joins the name of each section to those of its keys."""
    sections = {key.partition(".")[0] for key in known_keys() if "." in key}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name in sections and isinstance(value, dict):
            values |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            values[name] = value
    return values


def _explain(error: ValidationError, path: Path) -> ConfigError:
    wrong: list[Any] = error.errors()  # a key that is misspelt is missing, too: the former says more
    first = next((e for e in wrong if e["type"] == "extra_forbidden"), wrong[0])
    place = [str(part) for part in first["loc"]]
    if place[:1] == ["search"]:
        del place[2:3]  # the kind of domain
    if first["type"] == "extra_forbidden":
        known = Search.model_fields if len(place) == 1 else {**Range.model_fields, **Choices.model_fields}
        where = f"{path}, {'.'.join(place[:-1])}" if place[1:] else str(path)
        return ConfigError(f"unknown key {place[-1]}", where, _hint(place[-1], known))
    if first["type"] == "missing":
        where = f"{path}, {'.'.join(place[:-1])}" if place[1:] else str(path)
        return ConfigError(f"{place[-1]} is missing", where)
    what = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    return ConfigError(what, where=", ".join([str(path), *filter(None, [".".join(place)])]))


def _hint(name: str, known: Mapping[str, Any] | None = None) -> str:
    names = list(known_keys() if known is None else known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(names)}."
