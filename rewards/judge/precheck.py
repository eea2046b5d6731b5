"""Responses that answer nothing, found without asking: they get the lowest score.

    answers_nothing("")                                   # True
    answers_nothing("Thought process:")                   # True
    answers_nothing("Solution: x is 4")                   # False
    answers_nothing("Solution", ground_truth="solution")  # False: here it is the answer

Judges are known to reward such openings ("master keys", arXiv 2507.08794), and a policy finds that
out. Left out on purpose: short answers, and anything that a judge could read as an answer.
"""

import re
from unicodedata import category, normalize

LONGEST = 400  # characters; a longer response says something else as well

# Without case and punctuation; each also repeated and one after the other. By language: English,
# Chinese, Japanese, Korean, French, Spanish, Portuguese, Italian, German, Russian.
OPENERS = (
    """
solution, the solution, solution process, thought process, my thought process, thinking process,
reasoning, reasoning process, explanation, analysis, answer, the answer, the answer is,
final answer, the final answer is, response, step 1, step by step, step by step solution,
here is the answer, here is the solution, here s the solution, let s think,
let s think step by step, let us think step by step, let me think, let me think step by step,
let s solve this, let s solve this step by step, let s solve this problem step by step,
let s solve the problem step by step, let us solve this problem step by step,
let me solve this step by step, let me solve this problem step by step, let s begin,
let s get started,
解, 解答, 解析, 解题过程, 解题思路, 答, 答案, 答案是, 最终答案, 分析, 思考过程, 解決方案,
解决方案, 让我们一步一步思考, 让我们一步步思考, 让我们一步步来思考, 让我们一步一步地思考,
让我们一步步解决这个问题, 让我们一步一步解决这个问题, 让我们逐步解决这个问题,
我们一步一步来解决这个问题,
解説, かいせつ, 回答, 答え, 思考プロセス, ステップバイステップで考えましょう, 해설, 풀이, 정답,
사고 과정,
la solution, réponse, la réponse, la réponse est, raisonnement,
résolvons ce problème étape par étape, solución, la solución, respuesta, la respuesta,
la respuesta es, proceso de pensamiento, resolvamos este problema paso a paso, solução,
resposta, a resposta é, vamos resolver este problema passo a passo, soluzione, risposta,
la risposta è, risolviamo questo problema passo dopo passo, lösung, lösungsweg, antwort,
die antwort ist, gedankengang, lösen wir dieses problem schritt für schritt, решение, ответ,
ход мыслей, давайте решим эту задачу шаг за шагом
""".replace("\n", " ")
    .strip()
    .split(", ")
)
_OPENERS = frozenset(tuple(opener.split()) for opener in OPENERS)
_MOST_WORDS = max(map(len, _OPENERS))
# Tags of thoughts and of chat templates are no answer, wherever they stand.
_TAGS = re.compile(r"</?think(?:ing)?>|<[|｜][^<>\n]{1,60}[|｜]>", re.IGNORECASE)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", normalize("NFKC", text).casefold())


def _says_something(text: str) -> bool:
    """Letters or digits of any script, or symbols such as ∞, ∅ and emoji: those can be answers."""
    return any(c.isalnum() or (not c.isascii() and category(c) in ("Sm", "So")) for c in text)


def _only_openers(words: list[str]) -> bool:
    at = 0
    while at < len(words):
        lengths = range(min(_MOST_WORDS, len(words) - at), 0, -1)
        length = next((n for n in lengths if tuple(words[at : at + n]) in _OPENERS), None)
        if length is None:
            return False
        at += length
    return bool(words)


def answers_nothing(response: str, ground_truth: str = "") -> bool:
    """Whether it is empty, punctuation, or only openings; not when the reference is the same."""
    text = _TAGS.sub(" ", response).strip()
    if ground_truth and text.casefold() == ground_truth.strip().casefold():
        return False
    if not _says_something(text):
        return True
    return len(text) <= LONGEST and _only_openers(_words(text))
