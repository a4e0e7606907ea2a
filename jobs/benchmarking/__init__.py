"""``firstclick benchmark``: what is compared with what, one comparison, and the tables of all."""
