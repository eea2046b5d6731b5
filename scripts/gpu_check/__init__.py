"""What scripts/gpu_check.sh does: whether training works on this machine's GPU, part by part.

command    arguments, the turns of the parts, exit code     found    what a part hands back
sizes      shapes and lengths, on a GPU and on a CPU         words    the command of every run
environment, learning, speed, ways                          the parts themselves
runs       a run that is watched and always ended           stock    verl's own trainer
models, flops, memory, table                                 what the parts need
"""
