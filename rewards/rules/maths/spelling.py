r"""One spelling for what LaTeX, Unicode and typewriters write in many ways; nothing is read here.

    spell(r"$\dfrac12\,\mathrm{cm}^{2}$")  # r"\frac{1}{2} cm ^{2}"
    spell("x >= –3")                       # "x ≥ -3"

Works on LONGEST characters, in passes that are linear. Left out: what the text means.
"""

import re

from rewards.rules.said import without_tags

BREAK = "⏎"  # for the two backslashes that end a row of a matrix
LONGEST = 500  # characters that are looked at; longer answers are no answers

# dashes that are minus signs, the fraction slash, spaces that do not break, full-width signs
_CHARACTERS = str.maketrans(
    {0x2010: "-", 0x2011: "-", 0x2012: "-", 0x2013: "-", 0x2212: "-", 0xFE63: "-", 0xFF0D: "-"}
    | {0x2044: "/", 0x2215: "/", 0x00A0: " ", 0x2009: ",", 0x202F: ",", 0x200B: "", 0x3001: ","}
    | {0xFF01 + i: chr(0x21 + i) for i in range(94) if 0xFF01 + i != 0xFF0D}
)
_SIGNS = {
    **{"×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∗": "*", "÷": "/", r"\div": "/"},
    **{"π": r"\pi ", "∞": r"\infty ", "θ": r"\theta ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap "},
    **{"²": "^2", "³": "^3", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}"},
    **{"<=": "≤", ">=": "≥", "=<": "≤", "!=": "≠", ":=": "=", "~=": "≈", "==": "=", "**": "^"},
    **{"⩽": "≤", "⩾": "≥", "∨": r"\lor ", "∧": r"\land ", "ℝ": r"\mathbb{R}", "º": "°"},
    **{"∅": r"\emptyset "},
    **{"\r": " ", "\n": " ", "\t": " ", "~": " ", "{,}": ",", r"\%": "%"},
}
_SIGN = re.compile("|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True)))
_COMMANDS = {
    **{"le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥"},
    **{"lt": "<", "gt": ">", "ne": "≠", "neq": "≠", "approx": "≈", "cong": "≈", "simeq": "≈"},
    **{"in": "∈"},
    **{"dfrac": r"\frac", "tfrac": r"\frac", "cfrac": r"\frac", "lvert": "|", "rvert": "|"},
    **{"langle": "(", "rangle": ")", "lbrace": r"\{", "rbrace": r"\}", "degree": "°"},
    **{"lbrack": "[", "rbrack": "]", "vert": "|", "mid": "|", "sim": "≈"},
    **{"varnothing": r"\emptyset", "Omega": " Ω"},
    **{"vee": r"\lor", "wedge": r"\land", "lg": r"\log_{10}", "colon": ":", "ast": "*"},
    **{"bigcup": r"\cup", "lor": r"\lor", "land": r"\land", "thinspace": " ", "enspace": " "},
    **{name: " " for name in ("quad", "qquad", "displaystyle", "textstyle", "limits", "hfill")},
    **{name: "" for name in ("left", "right", "bigl", "bigr", "Bigl", "Bigr", "big", "Big")},
    **{name: "" for name in ("biggl", "biggr", "bigg", "rm", "bf", "it", "boldsymbol", "bm")},
}
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_SPACE = re.compile(r"\\[,;:>() \[\]]|\\(?:!|(?:left|right)\s?\.)(?P<none>)")
_TWO = re.compile(r"\\\\(?=([A-Za-z])?)")  # the end of a row, or one too many before a name
_UPRIGHT = re.compile(
    r"\\(?:text(?:normal|rm|bf|it|sf|tt|up)?|math(?:rm|bf|it|sf|tt|normal)|mbox|hbox|operatorname)"
    r"\*?\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_CALCULATOR = re.compile(r"<<[^<>]*>>")
_CURRENCY = re.compile(r"\\?\$|(?:US|CA|A|C|HK)?(?=\$)|[€£¥₹`]")
_BOLD = re.compile(r"(?<![\w)}\]])\*\*|\*\*(?![\w({\\])")  # but 2**3 is a power
_DEGREES = re.compile(r"(?:\^\s*\{?\s*\\circ\s*\}?|\^?\s*\{?°\}?)(?:\s{0,2}[CFK]\b)?")
_SHORT_FRACTION = re.compile(r"\\frac\s*(?:([0-9])\s*([0-9])|([0-9A-Za-z])\s*(?=\{)|(?=\{))")
_SHORT_ROOT = re.compile(r"(?:\\sqrt|√)\s*(?:([0-9A-Za-z])|\(([^()]{0,60})\)|\{|\[)|√")
_MINUS = re.compile(  # a dash before a number, and the words
    r"(^\s?|\b(?:is|are|be|equals|to|of|or|and)\s|[:=({,$*]\s?)(?:[Mm]inus|[Nn]egative)\s(?=[0-9\\$])"
    r"|((?:^|(?<=[\s({$]))—(?=[0-9])|^\s?—\s(?=[0-9]))"
)
_ORDINAL = re.compile(r"(?<=[0-9])(?:st|nd|rd|th)\s(?:of\s)?(?=[A-Z])")  # the 3rd of March
_NOON = re.compile(r"\b([AaPp])\.\s?([Mm])\b\.?")
_POWERS_OF_TEN = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12, "万": 4, "亿": 8}
_SCALE = re.compile(rf"(?<=[0-9])\s{{0,3}}({'|'.join(_POWERS_OF_TEN)})(?![A-Za-z])", re.IGNORECASE)
_ARRAY = re.compile(r"(\\(?:begin|end)\s?\{)array\}(?:\s?\{[lcr|\s]*\})?")
_BY = re.compile(r"(?<=[0-9])\s+x\s+(?=[0-9.])")  # 5 x 2
_GAPS = re.compile(r"\s+")


def _scaled(match: re.Match) -> str:
    return rf" \times 10^{{{_POWERS_OF_TEN[match[1].casefold()]}}} "


def _command(match: re.Match) -> str:
    return _COMMANDS.get(match[1], match[0])


def _fraction(match: re.Match) -> str:
    if match[1]:
        return rf"\frac{{{match[1]}}}{{{match[2]}}}"
    return rf"\frac{{{match[3]}}}" if match[3] else r"\frac"


def _root(match: re.Match) -> str:
    inside = match[1] or match[2]
    bracket = match[0][-1] if match[0][-1] in "{[" else ""
    return rf"\sqrt{{{inside}}}" if inside else rf"\sqrt{bracket}"


def _space(match: re.Match) -> str:
    return " " if match["none"] is None else ""


def _words(text: str) -> str:
    """Words that are a part of a number: minus 5, the 3rd of March, 3 p.m., 2 million."""
    text = _MINUS.sub(lambda match: f"{match[1] or ''}-", text)
    return _SCALE.sub(_scaled, _NOON.sub(r"\1\2", _ORDINAL.sub(" ", text)))


def spell(text: str) -> str:
    """Without typesetting, fences, currencies and degrees; signs of relations are one character."""
    text = text[:LONGEST].translate(_CHARACTERS)
    if text.isascii() and text.isalnum():
        return text
    text = without_tags(_CALCULATOR.sub("", text)) if "<" in text else text
    text = _BOLD.sub("", _CURRENCY.sub(" ", text))
    text = _SIGN.sub(lambda match: _SIGNS[match[0]], text)
    if "\\" in text or "√" in text:
        if r"\begin" in text:
            text = _ARRAY.sub(r"\1matrix}", text.replace("\\\\", BREAK))
        text = _TWO.sub(lambda match: "\\" if match[1] else " ", text)
        text = _UPRIGHT.sub(r" \1 ", _SPACE.sub(_space, text))
        text = _COMMAND.sub(_command, text)
        text = _SHORT_ROOT.sub(_root, _SHORT_FRACTION.sub(_fraction, text))
    text = _words(text)
    text = _BY.sub(r" \\times ", text) if " x " in text else text
    text = _DEGREES.sub(" ", text) if "°" in text or "circ" in text else text
    return _GAPS.sub(" ", text).strip()
