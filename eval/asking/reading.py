"""Reading a model's written reply to an item whose options were shown numbered from 1.

Invariant: what is not clearly one option is none. A reply that is not understood is counted and can
be looked at; an invented answer would go unnoticed.

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
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Literal, NamedTuple

Problem = Literal["empty", "refusal", "unsure", "out of range", "several", "decimal", "no option"]
"""Why the lenient reading found no option; a range of options is "several"."""

Words = tuple[str, ...]


class Reading(NamedTuple):
    """What a reply says; places are those of the options as shown, from 0."""

    strict: int | None
    """The option whose number, label, or number and label are the whole reply."""
    lenient: int | None
    """The one option that is named, whatever is around; `strict` where there is one."""
    problem: Problem | None
    """Why `lenient` is None."""


def read_reply(
    text: str, options: Sequence[str], refusals: Sequence[str] = (), unsure: Sequence[str] = ()
) -> Reading:
    """Read a reply to an item with these labels, as shown; an empty one has only its number.

    `refusals` and `unsure` are phrases that say that there is no answer; letter case is ignored.
    """
    sheet = _sheet(tuple(options), tuple(refusals), tuple(unsure))
    lines = [line for line in _fold(text).split("\n") if line.strip(_EDGES)]
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
    return _read_lines([_split(line, len(options)) for line in lines], sheet)


def _none(problem: Problem) -> Reading:
    return Reading(None, None, problem)


class _Characters(dict[int, str]):
    """What `str.translate` puts for a character, found out when it is first met."""

    def __init__(self, find: Callable[[str], str]) -> None:
        self._find = find

    def __missing__(self, code: int) -> str:
        return self.setdefault(code, self._find(chr(code)))


_EDGES = " \"'*_`^"
_SAME = dict.fromkeys("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", "\n")
_SAME |= dict.fromkeys("\u2010\u2011\u2212", "-") | dict.fromkeys("\u2018\u2019\u02bc", "'")
_SAME |= dict.fromkeys("\u2012\u2013\u2014\u2015\u301c\uff5e", "~")
_SAME |= dict.fromkeys("\u201e\u201a\u300c\u300d\u300e\u300f", '"') | {"\u20e3": ""}
_MARKS = {"\u3002": ".", "\u3001": ",", "\u060c": ",", "\u066b": ".", "\u2044": "/", "\u066a": "%"}
_NO_SPACES = re.compile(  # Thai, Lao, Burmese, Khmer; kana, Han
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def _clean(character: str) -> str:
    category = unicodedata.category(character)
    if character in _SAME:
        return _SAME[character]
    if category == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""  # invisible
    if category in ("Cc", "Cs") or character.isspace():
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if character.isdigit() and unicodedata.decomposition(character).startswith("<su"):
        return "^" + character
    return '"' if category in ("Pi", "Pf") else character


def _shape(character: str) -> str:
    category = unicodedata.category(character)
    if character in "0123456789":
        return "0"
    if category[0] in "LMN":
        return "u" if _NO_SPACES.match(character) else "a"
    if character < "\x80":
        return "*" if character in "_`" else character
    return _MARKS.get(character, "$" if category == "Sc" else ";")


_CLEAN, _SHAPE = _Characters(_clean), _Characters(_shape)
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")


def _fold(text: str) -> str:
    """Return a text without what makes no difference, its digits in ASCII.

    It is normalized in pieces, since a long run of combining marks takes quadratic time.
    """
    clean = text.translate(_CLEAN)
    folded = re.sub(r"\S{1,200}", lambda m: unicodedata.normalize("NFKC", m[0]).casefold(), clean)
    return re.sub(" +", " ", _APOSTROPHE.sub("", folded))


def _bare(text: str) -> str:
    plain = re.sub(r"[*_`\n ]+", " ", text.replace("~", "-"))
    return plain.strip(_EDGES).rstrip(_EDGES + ".!\u3002")


class _Line(NamedTuple):
    """The words of a line, among them numbers."""

    words: Words
    kinds: str
    """Of each word: 0 number, a word, u character of a script without spaces."""
    gaps: Words
    """The marks and spaces before each word, and after the last."""


_WORD = re.compile(r"0+(?:(?:[.,:/'^+]| ?[-~] ?| |\) ?-?)0+)*|a+|u")
_DASH = re.compile(" ?[-~] ?")
_TO = re.compile(r"(?<!\d)(\d{1,4}) ?(?:to|thru|through|until|bis|al?|hasta|から|到|至) ?(?=\d)")
_BETWEEN = re.compile(r"\b(?:between|zwischen|entre) (\d{1,4}) (?:and|und|y|e) (?=\d)")
_OUT_OF = re.compile(r"(?<!\d)(\d{1,4}) (?:out of|von|de|sobre) (\d{1,4})(?!\d)")


def _split(line: str, count: int) -> _Line:
    """Return the words of a line where `count` options are shown."""
    text = _BETWEEN.sub(r"\1-", _TO.sub(r"\1-", line))
    text = _OUT_OF.sub(lambda m: m[1] if m[2] == str(count) else f"{m[1]}/{m[2]}", text)
    shape = re.sub(r"(?<=[au])-(?=[au])", " ", text.translate(_SHAPE))
    found = list(_WORD.finditer(shape))
    edges = [0, *(edge for word in found for edge in word.span()), len(shape)]
    words = tuple(_DASH.sub("-", text[slice(*word.span())]) for word in found)
    gaps = tuple(shape[i:j] for i, j in zip(edges[::2], edges[1::2], strict=True))
    return _Line(words, "".join(word[0][0] for word in found), gaps)


class _Phrases:
    """Finds phrases among words: at each place the longest, and none within another."""

    def __init__(self, phrases: Iterable[Words]) -> None:
        self._by_first: defaultdict[str, list[Words]] = defaultdict(list)
        for phrase in sorted(filter(None, phrases), key=len, reverse=True):
            self._by_first[phrase[0]].append(phrase)

    def find(self, words: Words) -> Iterator[tuple[int, int]]:
        """Yield where phrases begin and end."""
        end = 0
        for start, word in enumerate(words):
            if start >= end and word in self._by_first:
                for phrase in self._by_first[word]:
                    if words[start : start + len(phrase)] == phrase:
                        end = start + len(phrase)
                        yield start, end
                        break


def _listed(text: str) -> frozenset[Words]:
    return frozenset(_split(phrase, 0).words for phrase in text.split(","))


_NEITHER = ("neither",)
_NOT = _listed(
    "not,no,never,none,nobody,nothing,cannot,cant,dont,doesnt,didnt,isnt,arent,wasnt,werent,wont,"
    "wouldnt,couldnt,shouldnt,havent,hasnt,hadnt,aint,non,hardly,neither,nicht,nichts,kein,keine,"
    "keinen,keinem,keiner,keines,nie,niemals,weder,kaum,nunca,jamás,tampoco,ni,ningún,ninguna,"
    "ninguno,nada,不,没,沒,无,無,未,非,ない,なかっ,ません,ではなく,じゃなく"
)
_CLAUSE = _listed(
    "but,because,since,although,though,however,while,aber,sondern,weil,denn,obwohl,pero,sino,"
    "porque,pues,aunque,但,不过,不過,因为,因為,而,ので,けど,けれど"
)
_SIGNS = _Phrases(_NOT | _CLAUSE | _listed("非常"))  # the last one denies nothing
_DEGREE = _listed(
    "very,strongly,firmly,completely,totally,fully,wholly,entirely,absolutely,somewhat,slightly,"
    "fairly,rather,quite,extremely,partly,partially,mostly,moderately,more,less,most,least,than,"
    "sehr,voll,völlig,ganz,stark,eher,ziemlich,etwas,teilweise,absolut,mehr,weniger,muy,bastante,"
    "totalmente,completamente,algo,poco,parcialmente,demasiado,más,menos,非常,十分,极其,完全,比较,"
    "强烈,有点,有些,更,最,とても,非常に,かなり,やや,少し,あまり,全く,まったく,強く,最も,もっと"
)
_FUNCTION = _listed(
    "yes,no,none,all,some,any,most,much,many,right,left,good,better,i,have,do,is,it,ja,nein,alle,"
    "einige,viel,gut,sí,si,nada,todo,todos,algo,mucho,bien,没有,不是,はい,いいえ,ない,ある"
)
_MEASURES = frozenset(zip("年月日時时点點分秒人位名岁歳歲次回度个個口天週周倍割成代号楼階円元"))
_NAMES_OPTION = _listed("option,answer,choice,antwort,opción,respuesta")
_AFTER_NUMBER = _listed(
    "or,and,because,since,as,but,is,would,on,oder,und,weil,da,denn,aber,ist,o,u,y,ya,es,porque,"
    "pues,pero"
)
_NAMES_OTHER = _listed(
    "question,item,page,step,part,section,chapter,q,frage,seite,pregunta,página,january,february,"
    "march,april,may,june,july,august,september,october,november,december,januar,februar,märz,mai,"
    "juni,juli,oktober,dezember,enero,febrero,marzo,abril,mayo,junio,julio,agosto,octubre"
)
_CLAUSE_END = re.compile(r"[.,;:!?()\[\]{}<>|=/~]|(?:^| )-(?: |$)")
_DECIMAL = re.compile("\\d+[.,/'\u2044\u066b]\\d+")
_ANSWER = re.compile(r"([1-9]\d{0,3})(?!\d)(.*)")
_ITEM = re.compile(r"([1-9]\d{0,3})[.):] ?(?!\d)")
_JOINTS = " .):]-,(|\"'\u3002\u3001"
_NUMERALS = "一二三四五六七八九十"


class _Sheet(NamedTuple):
    """What can be found in replies to an item."""

    labels: Words
    """Without what may surround an answer; empty where an option has but its number."""
    places: Mapping[Words, int]
    """From the words of a label to its option, where no other has the same."""
    phrases: _Phrases
    """Finds labels."""
    said: tuple[tuple[Problem, _Phrases], ...]
    """Finds what says that there is no answer."""

    def number(self, digits: str) -> int | None:
        """Return the option that has a number."""
        small = digits[0] != "0" and len(digits) < 5 and int(digits) <= len(self.labels)
        return int(digits) - 1 if small else None

    def answer(self, text: str) -> int | None:
        """Return the option if its number, its label, or one after the other is all of a text."""
        text = _bare(text)
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
def _sheet(options: Words, refusals: Words, unsure: Words) -> _Sheet:
    bare = (_bare(_fold(option)) for option in options)
    labels = tuple("" if re.fullmatch(r"\(?\d+\)?", label) else label for label in bare)
    cut = [_split(label, len(labels)).words for label in labels]
    places = {
        words: place
        for place, words in enumerate(cut)
        if cut.count(words) == 1 and words and not (len(words) == 1 and words[0].isdigit())
    }
    no, doubt = (_Phrases(_split(_fold(s), 0).words for s in said) for said in (refusals, unsure))
    return _Sheet(labels, places, _Phrases(places), (("refusal", no), ("unsure", doubt)))


def _read_lines(lines: Sequence[_Line], sheet: _Sheet) -> Reading:
    found = {one for line in lines for one in _read_line(line, sheet)}
    words = [word for line in lines for word in line.words]
    if not found and len(words) == 1 and words[0] in _NUMERALS:
        place = sheet.number(str(_NUMERALS.index(words[0]) + 1))
        found = {"out of range" if place is None else place}
    named = [one for one in found if isinstance(one, int)]
    if len(named) == 1 and found.isdisjoint({"refusal", "unsure"}):
        return Reading(None, named[0], None)
    found |= {"several"} if named else set()
    order: tuple[Problem, ...] = ("refusal", "unsure", "several", "decimal", "out of range")
    return _none(next((problem for problem in order if problem in found), "no option"))


def _read_line(line: _Line, sheet: _Sheet) -> Iterator[int | Problem]:
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


def _denied(line: _Line, owner: Sequence[int]) -> list[bool]:
    """Return for each word whether its clause holds a negation outside the label it belongs to."""
    signs = dict(_SIGNS.find(line.words))
    clause, clauses, denials = 0, [], defaultdict[int, set[int]](set)
    for i, word in enumerate(line.words):
        sign = line.words[i : signs.get(i, i)]
        if owner[i] in (-1, i):  # what ends clauses does not end them within a label
            clause += bool(_CLAUSE_END.search(line.gaps[i])) or sign in _CLAUSE
        if sign in _NOT and (owner[i] < 0 or word in _NEITHER):
            denials[clause].add(owner[i])
        clauses.append(clause)
    return [
        bool(denials[clause] - ({of} - {-1})) for clause, of in zip(clauses, owner, strict=True)
    ]


def _graded(line: _Line, start: int, end: int) -> bool:
    """Return whether a word of degree beside a label makes another answer of it."""
    words = line.words
    if any(words[start : start + n] in _DEGREE for n in range(1, 5)):
        return False
    before = words[max(0, start - 4) : start] if not line.gaps[start].strip() else ()
    after = words[end : end + 1] if line.gaps[end] == " " else ()
    return after in _DEGREE or any(before[-n:] in _DEGREE for n in range(1, 5))


def _stands(line: _Line, start: int, end: int) -> bool:
    """Return whether a label that other sentences contain as well stands as an answer."""
    label, unspaced = line.words[start:end], line.kinds[start] == "u"
    function = all((word,) in _FUNCTION for word in label)
    if not (function or label in _FUNCTION or (unspaced and len(label) == 1)):
        return True
    end += unspaced and line.words[end : end + 1] == ("的",)
    last = end == len(line.words) or bool(line.gaps[end].strip())
    return last and (not unspaced or start == 0 or bool(line.gaps[start].strip()))


def _chooses(line: _Line, i: int, labels: Mapping[int, int]) -> bool:
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


def _number(line: _Line, i: int, sheet: _Sheet) -> Iterator[int | Problem]:
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
