r"""Words that stand beside a number: its unit, and the month that it is a day of.

    unit_of("square centimetres")  # "cm^2"
    unit_of("k")                   # None: a letter is algebra unless it is a known unit
    canonical("minutes")           # "min"

Tables only, English and Chinese. Left out: converting one unit to another.
"""

import re

# canonical name and its other spellings; a plural s is taken off before a word is looked up
_SPELLINGS = """
mm millimeter millimetre; cm centimeter centimetre; dm decimeter decimetre; m meter metre;
km kilometer kilometre kms;
in inch inche; ft foot feet; yd yard; mi mile;
mg milligram; g gram gm; kg kilogram kilo; oz ounce; lb pound lbs; ton tonne;
ml milliliter millilitre; l liter litre; gal gallon; qt quart;
ms millisecond; s second sec; min minute mins; h hour hr hrs; day; week wk; month; year yr;
mph; kmh kmph kph; hz hertz; j joule; kj kilojoule; n newton; w watt; kw kilowatt;
v volt; a ampere amp; k kelvin; pa pascal; ω ohm; mol mole; rad radian; deg degree;
dollar usd buck; cent; euro eur; percent pct percentage; dozen; unit; point pt; am; pm;
st nd rd th;
元 块; 厘米; 米; 千米 公里; 千克 公斤; 克; 升; 小时; 分钟; 秒; 天; 个; 岁; 人
"""
CANONICAL = {
    spelling: spellings.split()[0]
    for spellings in _SPELLINGS.split(";")
    for spelling in spellings.split()
}
_GLUED = set("mgshlL")  # letters that may stand right behind a digit: 5m
_SPACED = _GLUED | set("NJWVK")  # and those that need a gap: 5 N
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3", "squared": "^2", "cubed": "^3"}
# quantities of which two stand together: 5 hours 20 minutes
COMPOUND = {"h", "min", "s", "day", "week", "month", "year", "ft", "in", "yd", "lb", "oz"} | {
    *("dollar", "cent", "km", "m", "cm", "mm", "kg", "g", "小时", "分钟", "秒", "元", "天")
}
MONTHS = {
    "january": 1, "february": 2, "march": 3, "april": 4, "may": 5, "june": 6, "july": 7,
    "august": 8, "september": 9, "october": 10, "november": 11, "december": 12,
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sept": 9, "sep": 9,
    "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_UNIT_PARTS = re.compile(r"\s*(?:/|\bper\b|\*|\\cdot|·)\s*|\s(?=[A-Za-z]+\s?\^)")
_PART = re.compile(r"([^\W\d_]+)(?:\s*\^\s*\{?\s*(-?[0-9])\s*\}?)?$")
_WORD = re.compile(r"[^\W\d_]+")


def canonical(word: str) -> str | None:
    """The unit that a word names."""
    word = word.casefold()
    return CANONICAL.get(word) or CANONICAL.get(word.removesuffix("s"))


def _part(text: str, spaced: bool) -> str | None:
    words = text.split()
    power = ""
    for word in words[:1] + words[-1:]:
        if word.casefold() in _POWERS and len(words) == 2:
            power, text = _POWERS[word.casefold()], words[words.index(word) - 1]
    match = _PART.match(text.strip())
    if match is None or (found := canonical(match[1])) is None:
        return None
    letter = len(match[1]) == 1 and match[1].isascii()
    if letter and match[1] not in (_SPACED if spaced else _GLUED):
        return None
    return found + (f"^{match[2]}" if match[2] else power)


def unit_of(text: str, spaced: bool = True) -> str | None:
    """The one spelling of a known unit ("km/h", "square metres", "cm^2"); None for any other text.

    spaced: a gap stands before it; letters that are glued to a number are units less often.
    """
    text = text.strip()
    if not text or len(text) > 40:
        return None
    parts = [_part(part, spaced) for part in _UNIT_PARTS.split(text)]
    return "/".join(part for part in parts if part) if all(parts) else None


def months_in(text: str) -> set[int]:
    return {MONTHS[word] for word in _WORD.findall(text.casefold()) if word in MONTHS}
