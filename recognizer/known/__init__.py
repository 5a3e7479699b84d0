"""Known items and near-copies: images found by their hashes among millions of others."""
