"""Checks of this machine as it is now: cards, driver, memory, limits, disks, packages."""
