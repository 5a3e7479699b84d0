"""Labelled photos: manifest, splits, corrections and checks. It needs no torch."""
