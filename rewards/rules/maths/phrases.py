"""The words by which a sentence leads up to a number, denies it, bounds it, or goes on behind it.

    BOUND.search("at least 4")      # a match
    NEGATION.search("it isn't 4")   # a match

Tables only, English and Chinese. Left out: what is made of them (`sentences`).
"""

import re


def _words(text: str) -> set[str]:
    return set(text.split())


ABOUT = _words("about approximately approx roughly around nearly almost circa")
# may stand before the number that a sentence begins with: "it is therefore exactly 4"
FILLER = ABOUT | _words("""
    a an the is it it's its just only simply exactly precisely equal equals to be total of
    number value therefore so thus hence then now indeed clearly either both again obviously
    definitely actually still found given by as follows here we get have
""")
# may stand between a negation and the number that it denies; "not moving for 8 hours" denies none
DENYING = FILLER | _words("""
    going even possibly really likely known thought said believed supposed has had any what want
    close near anything like correct right many much few high low equalling us x y n there they he
    she you i do does did are was were can could will would 是 为 等于 可能是 会是
""")
# behind a number: what it is a part of is still to come, as in "6 times 7, which is 42"
GOES_ON = _words("times plus minus divided multiplied over more less fewer percent added")
JOINS = _words("or and to through alternatively 或 和 到 至")
HEDGES = _words("maybe perhaps possibly")
BEFORE_NEXT = ABOUT | HEDGES | _words("either a the even")
# "in 3 hours", "after 4 days": what is stated holds then
CONDITION = _words("""
    after in for within per every during if when before until since without among out on
""")
LATER = re.compile(r"\s?[^\W\dA-Za-z]{1,3}?(?:后|内|前)")  # 3天后: what is stated holds then
CLAUSE = re.compile(r"[,;:.]|\b(?:(?<!anything\s)but|which|so|and|because|since|that)\b|而是|但|，")
RESULT = re.compile(r"\b(?:results?|resulting|ends?|total|sum)\s+(?:in|of|up)$")
STATING = re.compile(
    r"[,;:.=]|\b(?:is|are|was|were|makes?|gives?|equals?|has|have|leaves?|so|and)\b"
)
BOUND = re.compile(
    r"\b(?:at\s(?:least|most)|(?:no|not)\s(?:more|less|fewer|greater)\sthan"
    r"|(?:more|less|fewer|greater|larger|smaller|bigger|higher|lower)\sthan|up\sto|below|above"
    r"|over|under|exceed(?:s|ing)?|between|beyond|minimum\sof|maximum\sof)\b"
    r"|至少|至多|最多|最少|大于|小于|超过|少于|多于|不到|介于"
)
NEGATION = re.compile(
    r"\b(?:not|never|neither|nor|cannot|isn'?t|aren'?t|wasn'?t|can'?t|couldn'?t|won'?t|wouldn'?t"
    r"|doesn'?t|don'?t|didn'?t|shouldn'?t|rather\sthan|wrongly|falsely|mistakenly|incorrectly|anything\sbut|instead\sof|unlike|except|excluding)\b"
    r"|不|并非|而非|没有"
)
