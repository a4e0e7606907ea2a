"""Everyone's events grouped by user, in this process or by Ray Data; what is said of the result."""
