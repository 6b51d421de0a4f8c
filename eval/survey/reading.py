"""Reading a model's written reply to an item whose options were shown numbered, from 1 or from 0.

Invariant: what is not clearly one option is none. A reply that is not understood is counted and can
be looked at; an invented answer would go unnoticed.

The words it goes by are those of `reading.yaml`, by purpose and language; texts are folded and cut
into words in `line.py`.

What the lenient reading decides:

* **Numbers** of decimals, fractions, ranges, dates, percentages, sums of money and groups of digits
  (telephone numbers) are no options, nor are numbers that no option has, with a zero in front,
  glued to letters, or counting what follows ("2 children"). "7 out of 10" is 7 where there are ten
  options, else a proportion.
* **Labels with digits** ("up to 24") are found before numbers are looked for. A label that is but a
  number says nothing: the number shown decides. Any other label precedes a numeral ("一").
* **Labels within labels**: the longest counts, "not very important" does not name "very important".
  Whole words are compared; where a script has no spaces, characters. Labels that differ in nothing
  but letter case or marks name no option.
* **Negation**: nothing is named in a clause with a negation outside the label: "not important", "I
  have never", "重要ではない". "Neither" as a label denies the others of its clause. Punctuation and
  words such as "but" end clauses: "not 2, but 3" is 3.
* **Degree**: a label beside a word of degree that is no part of it is another answer, "strongly
  agree" is not "agree".
* **Function words** as labels (yes, no, all, I have) count only at the end of a clause, single
  characters such as 是 only as a whole one: there is no "no" in "I have no idea".
* **Lines** must all name the same option. Only where the first is an answer by itself the others
  explain it, unless the next lines are other answers by themselves (the options repeated).
* **Refusals** and words of doubt win over all but such a first line, unless a label contains them.

Time is linear in the length of the text, and no text raises an error.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

from eval.survey.line import EDGES, Line, Phrases, Words, bare, fold, split

Problem = Literal["empty", "refusal", "unsure", "out of range", "several", "decimal", "no option"]
"""Why the lenient reading found no option; a range of options is "several"."""


class Reading(NamedTuple):
    """What a reply says; places are those of the options as shown, from 0."""

    strict: int | None
    """The option whose number, label, or number and label are the whole reply."""
    lenient: int | None
    """The one option that is named, whatever is around; `strict` where there is one."""
    problem: Problem | None
    """Why `lenient` is None."""


def read_reply(
    text: str,
    options: Sequence[str],
    refusals: Sequence[str] = (),
    unsure: Sequence[str] = (),
    *,
    first: int = 1,
) -> Reading:
    """Read a reply to an item with these labels, as shown; an empty one has only its number.

    `refusals` and `unsure` are phrases that say that there is no answer; letter case is ignored.
    `first` is the number of the first option, 1 or 0.
    """
    sheet = _sheet(tuple(options), tuple(refusals), tuple(unsure), first)
    lines = [line for line in fold(text).split("\n") if line.strip(EDGES)]
    if not lines:
        return _none("empty")
    strict = sheet.answer(" ".join(lines))
    if strict is not None:
        return Reading(strict, strict, None)
    answers = list(takewhile(lambda place: place is not None, map(sheet.answer, lines)))
    if answers:
        items = takewhile(lambda item: item is not None, map(_ITEM.match, lines[len(answers) :]))
        named = {*answers, *(sheet.number(item[1]) for item in items if item)} - {None}
        return Reading(None, named.pop(), None) if len(named) == 1 else _none("several")
    return _read_lines([_cut_line(line, sheet.last) for line in lines], sheet)


def _none(problem: Problem) -> Reading:
    return Reading(None, None, problem)


_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_LISTS: dict[str, dict[str, list[str]]] = yaml.load(
    Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"), _LOADER
)


def _listed(*purposes: str) -> frozenset[Words]:
    """Return the words of some purposes in all languages."""
    lists = (words for purpose in purposes for words in _LISTS[purpose].values())
    return frozenset(split(fold(word)).words for words in lists for word in words)


def _either(purpose: str) -> str:
    """Return a pattern of the words of a purpose."""
    lists = _LISTS[purpose].values()
    return f"(?:{'|'.join(re.escape(fold(word)) for words in lists for word in words)})"


_NOT, _NEITHER, _CLAUSE = _listed("negations"), _listed("neither"), _listed("clause_ends")
_SIGNS = Phrases(_listed("negations", "not_negations", "clause_ends"))
_DEGREE, _FUNCTION = _listed("degrees"), _listed("function_words")
_PARTICLES, _MEASURES = _listed("particles"), _listed("measures")
_NAMES_OPTION, _NAMES_OTHER = _listed("options"), _listed("numbered", "months")
_AFTER_NUMBER = _listed("after_number")
_NUMERALS = {word: n for words in _LISTS["numerals"].values() for n, word in enumerate(words, 1)}
_TO = re.compile(rf"(?<!\d)(\d{{1,4}}) ?{_either('range_to')} ?(?=\d)")
_BETWEEN = re.compile(rf"\b{_either('between')} (\d{{1,4}}) {_either('between_and')} (?=\d)")
_OUT_OF = re.compile(rf"(?<!\d)(\d{{1,4}}) {_either('out_of')} (\d{{1,4}})(?!\d)")
_CLAUSE_END = re.compile(r"[.,;:!?()\[\]{}<>|=/~]|(?:^| )-(?: |$)")
_DECIMAL = re.compile("\\d+[.,/'\u2044\u066b]\\d+")
_ANSWER = re.compile(r"(0|[1-9]\d{0,3})(?!\d)(.*)")
_ITEM = re.compile(r"(0|[1-9]\d{0,3})[.):] ?(?!\d)")
_JOINTS = " .):]-,(|\"'\u3002\u3001"


def _cut_line(text: str, last: int) -> Line:
    """Return the words of a folded line where the last option shown has this number.

    Numbers that words make a range or a fraction are written as one: "2 to 3" as 2-3.
    """
    text = _BETWEEN.sub(r"\1-", _TO.sub(r"\1-", text))
    return split(_OUT_OF.sub(lambda m: m[1] if m[2] == str(last) else f"{m[1]}/{m[2]}", text))


class _Sheet(NamedTuple):
    """What can be found in replies to an item."""

    labels: Words
    """Without what may surround an answer; empty where an option has but its number."""
    places: Mapping[Words, int]
    """From the words of a label to its option, where no other has the same."""
    phrases: Phrases
    """Finds labels."""
    said: tuple[tuple[Problem, Phrases], ...]
    """Finds what says that there is no answer."""
    first: int
    """The number of the first option."""

    @property
    def last(self) -> int:
        """The number of the last option."""
        return self.first + len(self.labels) - 1

    def number(self, digits: str) -> int | None:
        """Return the option that has a number."""
        written = digits == "0" or digits[0] != "0"
        small = written and len(digits) < 5 and self.first <= int(digits) <= self.last
        return int(digits) - self.first if small else None

    def answer(self, text: str) -> int | None:
        """Return the option if its number, its label, or one after the other is all of a text."""
        text = bare(text)
        if text and self.labels.count(text) == 1:
            return self.labels.index(text)
        found = _ANSWER.fullmatch(text)
        place = self.number(found[1]) if found else None
        if found is None or place is None:
            return None
        rest, label = found[2].strip(_JOINTS), self.labels[place].strip(_JOINTS)
        joint = found[2][: found[2].index(rest)]
        own = rest == label and joint and (" " in joint or not rest[0].isdigit())
        return place if own or not rest else None


@lru_cache(maxsize=1024)
def _sheet(options: Words, refusals: Words, unsure: Words, first: int) -> _Sheet:
    plain = (bare(fold(option)) for option in options)
    labels = tuple("" if re.fullmatch(r"\(?\d+\)?", label) else label for label in plain)
    cut = [_cut_line(label, first + len(labels) - 1).words for label in labels]
    places = {
        words: place
        for place, words in enumerate(cut)
        if cut.count(words) == 1 and words and not (len(words) == 1 and words[0].isdigit())
    }
    no, doubt = (Phrases(_cut_line(fold(s), 0).words for s in said) for said in (refusals, unsure))
    return _Sheet(labels, places, Phrases(places), (("refusal", no), ("unsure", doubt)), first)


def _read_lines(lines: Sequence[Line], sheet: _Sheet) -> Reading:
    found = {one for line in lines for one in _read_line(line, sheet)}
    words = [word for line in lines for word in line.words]
    if not found and len(words) == 1 and words[0] in _NUMERALS:
        place = sheet.number(str(_NUMERALS[words[0]]))
        found = {"out of range" if place is None else place}
    named = [one for one in found if isinstance(one, int)]
    if len(named) == 1 and found.isdisjoint({"refusal", "unsure"}):
        return Reading(None, named[0], None)
    found |= {"several"} if named else set()
    order: tuple[Problem, ...] = ("refusal", "unsure", "several", "decimal", "out of range")
    return _none(next((problem for problem in order if problem in found), "no option"))


def _read_line(line: Line, sheet: _Sheet) -> Iterator[int | Problem]:
    """Yield every option that is named, and every problem."""
    labels = dict(sheet.phrases.find(line.words))
    owner = [-1] * len(line.words)
    for start, end in labels.items():
        owner[start:end] = [start] * (end - start)
    for problem, phrases in sheet.said:
        for start, end in phrases.find(line.words):
            if owner[start] < 0 or owner[start] != owner[end - 1]:
                yield problem
    denied = _denied(line, owner)
    for start, end in labels.items():
        if not denied[start] and not _graded(line, start, end) and _stands(line, start, end):
            yield sheet.places[line.words[start:end]]
    for i, kind in enumerate(line.kinds):
        if kind == "0" and owner[i] < 0 and not denied[i] and _chooses(line, i, labels):
            yield from _number(line, i, sheet)


def _denied(line: Line, owner: Sequence[int]) -> list[bool]:
    """Return for each word whether its clause holds a negation outside the label it belongs to."""
    signs = dict(_SIGNS.find(line.words))
    clause, clauses, denials = 0, [], defaultdict[int, set[int]](set)
    for i in range(len(line.words)):
        sign = line.words[i : signs.get(i, i)]
        if owner[i] in (-1, i):  # what ends clauses does not end them within a label
            clause += bool(_CLAUSE_END.search(line.gaps[i])) or sign in _CLAUSE
        if sign in _NOT and (owner[i] < 0 or sign in _NEITHER):
            denials[clause].add(owner[i])
        clauses.append(clause)
    return [
        bool(denials[clause] - ({of} - {-1})) for clause, of in zip(clauses, owner, strict=True)
    ]


def _graded(line: Line, start: int, end: int) -> bool:
    """Return whether a word of degree beside a label makes another answer of it."""
    words = line.words
    if any(words[start : start + n] in _DEGREE for n in range(1, 5)):
        return False
    before = words[max(0, start - 4) : start] if not line.gaps[start].strip() else ()
    after = words[end : end + 1] if line.gaps[end] == " " else ()
    return after in _DEGREE or any(before[-n:] in _DEGREE for n in range(1, 5))


def _stands(line: Line, start: int, end: int) -> bool:
    """Return whether a label that other sentences contain as well stands as an answer."""
    label, unspaced = line.words[start:end], line.kinds[start] == "u"
    function = all((word,) in _FUNCTION for word in label)
    if not (function or label in _FUNCTION or (unspaced and len(label) == 1)):
        return True
    end += unspaced and line.words[end : end + 1] in _PARTICLES
    last = end == len(line.words) or bool(line.gaps[end].strip())
    return last and (not unspaced or start == 0 or bool(line.gaps[start].strip()))


def _chooses(line: Line, i: int, labels: Mapping[int, int]) -> bool:
    """Return whether a number is not part of something else."""
    before, after = line.gaps[i : i + 2]
    previous, following = line.words[max(0, i - 1) : i], line.words[i + 1 : i + 2]
    option = previous in _NAMES_OPTION
    if previous and before in ("", "-") and line.kinds[i - 1] == "a" and not option:
        return False
    if before.rstrip().endswith(("$", "^")) or after.lstrip().startswith(("%", "$")):
        return False
    if (previous in _NAMES_OTHER and before in ("", " ")) or (
        following in _NAMES_OTHER and after in (" ", ". ")
    ):
        return False
    if following and after in ("", "-"):
        return line.kinds[i + 1] == "u" and following not in _MEASURES
    if following and after == " " and line.kinds[i + 1] == "a":
        return option or i + 1 in labels or following in _AFTER_NUMBER
    return True


def _number(line: Line, i: int, sheet: _Sheet) -> Iterator[int | Problem]:
    word, before = line.words[i], line.gaps[i] if i else " " + line.gaps[i]
    if word.isdigit():
        place = sheet.number(word)
        below = before.endswith("-") and not (
            before == "-" and line.words[i - 1 : i] in _NAMES_OPTION
        )
        if before.endswith((" .", " ,")):
            yield "decimal"
        else:
            yield "out of range" if place is None or below else place
    elif _DECIMAL.fullmatch(word):
        yield "decimal"
    elif all(sheet.number(part) is not None for part in re.split(r"\D+", word)):
        yield "several"
