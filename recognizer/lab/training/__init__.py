"""Train a network and export it: what the extra ``lab`` is for."""
