"""Entry point `verl.plugins`: verl imports this at the end of its own import, in every process.

It stays light on purpose (each Ray worker pays for it): the platform only. Engines come with the
worker classes that need them, the trainer with the runner. verl hides errors raised here
(verl/__init__.py:55-76), so the runner checks that the platform did get registered.
"""

from verlaunch.engine import platform  # noqa: F401
