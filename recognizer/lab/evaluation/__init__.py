"""Measure a bundle: metrics, figures, reports. It needs no torch.

A photo that cannot be read, or too few of a kind, raise a DatasetError.
"""
