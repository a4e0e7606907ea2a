"""A sweep over options under Ray Tune: one trial, who proposes the next, tables, pictures and files."""
