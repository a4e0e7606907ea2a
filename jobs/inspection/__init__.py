"""``firstclick inspect``: what tables hold and what is wrong with them, before anything is made of them."""
