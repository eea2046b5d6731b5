"""From a run's folder to a model that others load: which step, is there room, what to say of it.

pick     which checkpoint is meant             facts    what the run says of its model
room     disk and memory, before it starts     card     the model card
proven_export  the export itself               command  ./train.sh export

Light: the weights themselves are weights/export.py's and weights/proof.py's.
"""
