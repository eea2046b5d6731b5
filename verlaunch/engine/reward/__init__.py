"""Where verl asks for a score: an actor of Ray's that holds the run's reward."""
