"""Recommenders as other people's libraries, or one's own afternoon, make them: rivals for a benchmark.

They stand beside the built-in baselines as further families, tuned by the same code on the same users.
LensKit (2025.8.1, needs pandas < 3) and RecTools (0.19, needs numpy < 2) cannot be installed beside this
project's pandas 3 and numpy 2, so they are not here.
"""
