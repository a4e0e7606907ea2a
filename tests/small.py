"""A configuration for tests."""

SMALL = (
    "items.dim=8",
    "items.shrink=5",
    "outer.passes=12",
    "outer.users_per_step=32",
    "outer.posterior_dropout=0.1",
    "evaluation.shots=[0,1,2,5]",
)
"""Options that train on the checkerboard in a second."""
