"""Data by hand, as a run would prepare it."""
