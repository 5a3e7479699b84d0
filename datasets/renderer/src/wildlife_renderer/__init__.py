"""Photo-like renderings of wildlife products and look-alikes, which the project may ship.

Shapes, surfaces, surroundings, light and camera follow from a seed; no photo is used.
"""
