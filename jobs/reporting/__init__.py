"""``firstclick report``: what an artifact is and how good it is, as one page that opens without a network."""
