"""The bench of play: how well a model plays scenes, by what can be counted in them."""
