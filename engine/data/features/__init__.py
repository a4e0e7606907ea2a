"""Feature columns of users and items: their kinds, and how each becomes numbers."""
