"""verl's PPO trainer and its workers, with our hooks; trainer.py is where to begin."""
