"""Proxies of the environment that the judge's client cannot go through, told before it is made.

    refuse({"ALL_PROXY": "socks://127.0.0.1:1080"})
    # CannotStart: ALL_PROXY=socks://127.0.0.1:1080 ... Type: export ALL_PROXY=socks5h://...

The SDKs read every such variable when they are made and then fail, also where no_proxy excepts the
judge's own host. Left out on purpose: whether a proxy answers; that is seen when it is asked.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from rewards.part import CannotStart

KNOWN = ("http", "https", "socks5", "socks5h")
KINDS = ("http", "https", "all")


def _variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """http, https, all and no -> the variable and its value, as urllib.request.getproxies has it:
    small letters count before large ones, and when they are empty as well."""
    found: dict[str, tuple[str, str]] = {}
    for name in sorted(environ, key=str.islower):
        kind, suffix = name[:-6].lower(), name[-6:].lower()
        if suffix == "_proxy" and (environ[name] or name.islower()):
            found[kind] = (name, environ[name])
    return found


def _place(url: str) -> str:
    """HOST:PORT, without a name and a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _remedy(name: str, scheme: str, place: str) -> str:
    leave = f"unset {name} where the judge needs no proxy (no_proxy does not help here)"
    if scheme in KNOWN:  # socks5 without its package
        return f"it needs the package socksio. Type: .venv/bin/pip install socksio; or {leave}"
    use = f"export {name}={'socks5h' if scheme.startswith('socks') else 'http'}://{place}"
    return f"the judge's client knows {', '.join(KNOWN)} only. Type: {use}; or {leave}"


def refuse(environ: Mapping[str, str]) -> None:
    """Raises CannotStart with a sentence that names the variable and what to type."""
    variables = _variables(environ)
    excepted = variables.get("no", ("", ""))[1].split(",")
    if "*" in [host.strip() for host in excepted]:
        return
    for kind in KINDS:
        name, url = variables.get(kind, ("", ""))
        scheme, colon, _ = url.strip().partition("://")
        scheme = scheme.lower()
        lacks = scheme.startswith("socks5") and find_spec("socksio") is None
        if colon and (scheme not in KNOWN or lacks):
            place = _place(url)
            said = _remedy(name, scheme, place)
            raise CannotStart(f"{name}={scheme}://{place} cannot be used: {said}")
