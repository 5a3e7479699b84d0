"""Labelled photos: manifest, splits, corrections and checks. It needs no torch.

What cannot be used raises a DatasetError that names it: a table and its line, a photo, a source.
"""
