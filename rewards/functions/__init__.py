"""A user's own reward function, in a process that can be killed."""
