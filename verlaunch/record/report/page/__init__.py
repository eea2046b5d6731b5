"""report.html: one self-contained page of a run; build.py is where to begin."""
