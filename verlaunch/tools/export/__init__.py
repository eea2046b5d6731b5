"""From a run's folder to a model that others load: which step, is there room, what to say of it.

Light: the weights themselves are weights/export.py's and weights/proof.py's.
"""
