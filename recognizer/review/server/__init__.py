"""The review queue for one team: a small server over journals and a store of outcomes."""
