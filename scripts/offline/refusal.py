"""What the user can mend: shown as one message, with exit code 2 and no traceback.

raise Refused("bundle/part-003 is missing. Copy it again from where the bundle was made.")
"""


class Refused(Exception):
    pass
