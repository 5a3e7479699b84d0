"""Photo-like pictures made by calculation, which the project may ship because it made them.

``python -m datasets.synthetic`` writes training sets and the sample photos. Shapes, surfaces,
surroundings, light and camera follow from a seed; nothing of anybody else's photos is in them.
"""
