"""Input tables: read from files, checked row by row, and understood by the input contract."""
