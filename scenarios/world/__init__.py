"""A world that keeps count: its schema, the expressions in it, and what is wrong with them."""
