"""What runs on the sandbox's side: standard library only, nothing of the launcher is imported."""
