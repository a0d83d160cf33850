"""VQA soft accuracy and the ways tools clean an answer before comparing (TextVQA, VQAv2, VizWiz).

With ten human answers, the accuracy of a reply is the mean over the ten of min(1, matches among the other nine / 3)
(Antol et al. 2015): 1, 2, 3 and 4 matches give .3, .6, .9 and 1. The short form min(1, n / 3) is another number.

- ``official``: GT-Vision-Lab/VQA a013f00, PythonEvaluationTools. Cleans reply and answers only where the answers are not
  all equal; where they are, the match is exact and case-sensitive.
- ``m4c``: the EvalAIAnswerProcessor and TextVQAAccuracyEvaluator of M4C as LLaVA c121f04 ships them (m4c_evaluator.py);
  LLaVA and MGM also clean VQAv2 and VizWiz uploads with it. lmms-eval 0.7.3 uses it for TextVQA and VizWiz.
- ``lmms_vqav2``: lmms-eval 0.7.3's vqav2 task: the official cleaning, also of answers that are all equal.

Bugs that are part of the numbers: the period rule's look-behind is mistyped (``(?!<=\\d)``), so "3." loses its period; and
``re.UNICODE`` is passed where ``count`` belongs, so only the first 32 periods go.

Checked by fixtures: m4c cleaning (VizWiz, 1030 pairs) and m4c accuracy (TextVQA, 30 rows); what lmms-eval does by ``make
test-lmms-eval``. ``official``: by hand.
"""

import re
from collections.abc import Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict, reference_of

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
ARTICLES = {"a", "an", "the"}
NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(NUMBER_WORDS.split())}
COMMA_IN_NUMBER = re.compile(r"\d,\d")
PERIOD_AS_PUBLISHED = re.compile(r"(?!<=\d)(\.)(?!\d)")
PERIOD_CORRECTED = re.compile(r"(?<!\d)\.(?!\d)")
FIRST_PERIODS = int(re.UNICODE)  # 32: the flag that lands in the place of ``count``

# The published table of contractions maps each of these words, written with one of its apostrophes left out, to itself.
# (It also has I'd've, I'm and I've, which cannot match lower-cased words.)
CONTRACTIONS = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've "
    "he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've "
    "o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's "
    "someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've "
    "there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's "
    "what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've "
    "wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've"
)
RESTORED = {
    word[:place] + word[place + 1 :]: word
    for word in CONTRACTIONS.split()
    for place, letter in enumerate(word)
    if letter == "'"
} | {"somebody'd": "somebodyd"}  # published the wrong way round


def without_punctuation(text: str, period: re.Pattern[str] = PERIOD_AS_PUBLISHED) -> str:
    """A mark that touches a space somewhere goes, as do all marks of a text with a comma inside a number; else a space."""
    cleaned = text
    for mark in PUNCTUATION:
        loose = f"{mark} " in text or f" {mark}" in text or COMMA_IN_NUMBER.search(text)
        cleaned = cleaned.replace(mark, "" if loose else " ")
    return period.sub("", cleaned, count=FIRST_PERIODS)


def plain_words(text: str) -> str:
    """Lower case, digits for number words, no articles, apostrophes restored."""
    words = [NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(RESTORED.get(word, word) for word in words if word not in ARTICLES)


def one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def official(text: str) -> str:
    return plain_words(without_punctuation(one_line(text)))


def m4c(text: str) -> str:
    return official(text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip())


def soft_accuracy(reply: str, answers: Sequence[str]) -> float:
    """Of a cleaned reply among cleaned answers, 0..1."""
    matches = [answer == reply for answer in answers]
    return sum(min(1.0, (sum(matches) - match) / 3) for match in matches) / len(matches)


def _answers(line: Line) -> list[str]:
    answers = reference_of(line, "answers")
    if len(answers) != 10:
        raise ValueError(f"row {line['id']!r}: {len(answers)} human answers; the rule is defined for ten")
    return answers


def m4c_accuracy(line: Line) -> Verdict:
    reply = m4c(line["prediction"])
    points = soft_accuracy(reply, [m4c(answer) for answer in _answers(line)])
    return make_verdict(line, points, Reading(reply, "m4c"))


def lmms_vqav2_accuracy(line: Line) -> Verdict:
    reply = official(line["prediction"])
    points = soft_accuracy(reply, [official(answer) for answer in _answers(line)])
    return make_verdict(line, points, Reading(reply, "official"))


def official_accuracy(line: Line) -> Verdict:
    return _official(line, one_line(line["prediction"]))


def uploaded_accuracy(line: Line) -> Verdict:
    """What the server gives for an upload of LLaVA or MGM: the m4c reply under the official rule."""
    return _official(line, m4c(line["prediction"]))


def _official(line: Line, reply: str) -> Verdict:
    answers = [one_line(answer) for answer in _answers(line)]
    if len(set(answers)) == 1:
        return make_verdict(line, soft_accuracy(reply, answers), Reading(reply, "all answers equal: exact"))
    reply = official(reply)
    return make_verdict(
        line, soft_accuracy(reply, [official(answer) for answer in answers]), Reading(reply, "official")
    )
