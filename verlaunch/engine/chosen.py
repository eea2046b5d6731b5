"""Which platform verl has chosen in this process, and whether it has found ours by itself.

    platform_name()   ->  "cpu"

verl hides what goes wrong with a plugin (verl/__init__.py:68-72), so ./train.sh doctor asks.
Nothing of ours is imported here, which would register the platform before verl is asked.
"""


def platform_name() -> str:
    from verl.plugin.platform.platform_manager import get_platform

    return get_platform().device_name


def has_found_ours() -> bool:
    from verl.plugin.platform.platform_manager import PlatformRegistry

    return "cpu" in PlatformRegistry.registered_names()
