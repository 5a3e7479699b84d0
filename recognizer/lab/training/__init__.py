"""Train a network and export it: what the extra ``train`` is for."""
