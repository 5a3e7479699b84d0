"""Renderings of scarce products, and of what looks like them, as training images.

Everything is procedural: shapes, surfaces, grounds and light come from a seed, no photo is used.
``python -m datasets.renders --help`` says how to make them; Blender's ``bpy`` is needed.
"""
