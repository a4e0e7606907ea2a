"""The recommender behind HTTP, on Ray Serve.

Imports ``engine`` and never ``jobs``; all it shares with training is the artifact.
"""
