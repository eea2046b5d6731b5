"""The report of a run by hand; record/report makes it."""
