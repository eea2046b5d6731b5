"""What may go into a file that is shown to others: no key, no password, no name of a person.

    Scrub.of(os.environ)("https://me:pw@proxy/ by sk-abc... in /home/ann/x")
    # "https://***@proxy/ by *** in ~/x"

Keys are found three ways: the values of variables whose name says so, what looks like a key of a
known provider, and what stands behind a word such as password=. Left out on purpose: secrets of
other shapes in places nobody can guess; a look at the file before it is sent remains wise.
"""

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from verlaunch.machine.variables import SECRET_WORDS, is_secret

# A setting, or a word before = or :, that names a secret. Narrower than a variable's name: settings
# and sentences have keys and tokens that are none (prompt_key=question, eos_token: <|end|>).
NAME = (
    r"(?:(?:x-)?(?:api|access|secret|private)[-_ ]?key(?:[-_]?id)?|secret(?:[-_]?\w+)?"
    r"|passw(?:or)?d|passphrase|authorization|credentials?|(?<!pad_|eos_|bos_|unk_)token)"
)
IS_SECRET = re.compile(rf"{NAME}$", re.I)
HIDDEN = "***"
LEAST_SECRET = 6  # characters; shorter ones would hide ordinary words
SWITCHES = frozenset({"always", "default", "disabled", "enabled", "optional", "required"})
# Accounts that are no person's, and words that a report needs.
NOBODY = frozenset({"admin", "docker", "nobody", "ray", "root", "runner", "torch", "ubuntu", "user",
                    "verl", "verlaunch", "vllm"})  # fmt: skip
_URL_LOGIN = re.compile(r"(?<=://)[^/\s@'\"]+@(?=[^\s])")
_URL_QUERY = re.compile(
    rf"([?&](?:[\w.-]*(?:{SECRET_WORDS}|pwd|sig|code)[\w.-]*)=)[^&#\s'\"]+", re.I
)
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|hf|ghp|gho|ghs|ghu|github_pat|glpat|xox[abprs]|dapi|nvapi|key)[-_]"
    r"[A-Za-z0-9_-]{12,}"
    r"|\bAKIA[A-Z0-9]{12,}|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)?"
)
_BEARER = re.compile(r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}", re.I)
_SAID = re.compile(
    rf"({NAME}[\"']?\s*[=:]\s*)(?!\*\*\*)"
    r"(?:([\"'])(?!\*\*\*)(?:(?!\2).)+|[^\s\"',;&}]+)",
    re.I,
)


def without_logins(text: str) -> str:
    """Addresses without names, passwords and keys; all else as it is."""
    return _URL_QUERY.sub(rf"\1{HIDDEN}", _URL_LOGIN.sub(f"{HIDDEN}@", text))


def hide(text: str) -> str:
    """The same, and what looks like a key or stands behind a secret's name."""
    text = _BEARER.sub(rf"\1\2{HIDDEN}", without_logins(text))
    text = _SHAPES.sub(HIDDEN, text)
    return _SAID.sub(lambda said: f"{said[1]}{said[2] or ''}{HIDDEN}", text)


def hide_value(key: str, text: str) -> str:
    """Of a setting: the name of its key tells as well."""
    is_word = text.strip("'\"") not in ("null", "true", "false")
    return HIDDEN if is_word and IS_SECRET.search(key) else hide(text)


def _logins(env: Mapping[str, str]) -> list[str]:
    """Passwords in addresses: a provider's error may repeat one without its address."""
    found = []
    for value in env.values():
        if "://" in value and "@" in value:
            try:
                password = urlsplit(value).password
            except ValueError:
                continue
            found += [password, unquote(password)] if password else []
    return found


def _is_harmless(value: str) -> bool:
    """A switch's word or a path, such as that of SSH_AUTH_SOCK: their like stands everywhere."""
    return len(value) < LEAST_SECRET or value.lower() in SWITCHES or os.path.exists(value)


def _secrets(env: Mapping[str, str]) -> set[str]:
    values = [value.strip() for name, value in env.items() if is_secret(name)]
    return {value for value in [*values, *_logins(env)] if not _is_harmless(value)}


@dataclass(frozen=True)
class Scrub:
    """secrets: texts to hide. people: home folders and user names, the longest first."""

    secrets: tuple[str, ...]
    homes: tuple[str, ...]
    people: tuple[str, ...]

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "Scrub":
        home = os.path.expanduser("~")
        homes = {home, os.path.realpath(home), env.get("HOME", "")}
        names = {env.get("USER", ""), env.get("LOGNAME", ""), Path(home).name, _login()}
        return cls(
            tuple(sorted(_secrets(env), key=len, reverse=True)),
            tuple(sorted((one for one in homes if len(one) > 1), key=len, reverse=True)),
            tuple(sorted(name for name in names - NOBODY if len(name) > 2)),
        )

    def __call__(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        text = hide(text)
        for home in self.homes:
            text = re.sub(re.escape(home) + r"(?=$|[^\w.-])", "~", text)
        for name in self.people:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "~", text)
        return text

    def all(self, value: Any) -> Any:
        """The same for every text of plain data, keys of dictionaries included."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self(str(name)): self.all(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.all(one) for one in value]
        return value


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return ""
