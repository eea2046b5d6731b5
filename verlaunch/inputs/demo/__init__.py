"""The CPU demo's own task and model: nothing is downloaded."""
