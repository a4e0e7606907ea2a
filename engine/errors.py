"""What can go wrong, as one tree. Each error says what happened, where, and what to do.

FirstclickError
├── ConfigError      a configuration key or value is wrong
├── DataError        an input table or a prepared data set is wrong
├── ArtifactError    an artifact is missing, broken or from a newer format
├── RequestError     a call asks for something that cannot be answered (k = 0, unknown event kind)
└── TrainingError    training cannot go on (the loss is not finite)
"""

from __future__ import annotations


class FirstclickError(Exception):
    """Base of all errors that a caller may want to catch.

    Args:
        what: the fact, with the offending name and value.
        where: the file, column, row or key.
        fix: what the reader can do about it.
    """

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.what}{place}." + (f" {self.fix}" if self.fix else "")


class ConfigError(FirstclickError):
    pass


class DataError(FirstclickError):
    pass


class ArtifactError(FirstclickError):
    pass


class RequestError(FirstclickError):
    pass


class TrainingError(FirstclickError):
    pass
