"""From a run's folder to a model that others load: which step, is there room, what to say of it.

pick     which checkpoint is meant             facts    what the run says of its model
intact   its files are the ones saved          card     the model card
room     disk and memory, before it starts     asked    what the result is tried on
write    the export itself                   command  ./train.sh export

Light: the weights themselves are engine/export.py's and engine/proof.py's.
"""
