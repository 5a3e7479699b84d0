"""Trials of wildlife-v7."""
