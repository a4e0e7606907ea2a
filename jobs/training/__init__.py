"""The outer loop under Ray Train: how users reach its workers, and what a run leaves and resumes from."""
