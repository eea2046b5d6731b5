"""Local reward models: messages in, one raw number out. `part.ModelPart` is what a run uses."""
