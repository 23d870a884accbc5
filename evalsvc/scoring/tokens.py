"""How text is taken apart before it is compared: words, characters, stems, and the normalisation of SQuAD."""

from __future__ import annotations

import re
import string
from functools import lru_cache
from importlib import import_module
from typing import Annotated, Any, Literal

import regex
from pydantic import AfterValidator

from evalsvc.errors import ScoringError

#: An option: what a token is. "ascii" is the rule of rouge-score; "chars" suits scripts that write no spaces.
Tokens = Literal["ascii", "unicode", "chars"]

# The module `re` takes no combining mark for a part of a word: it would cut हिन्दी and ภาษา apart at their vowels.
_RULES: dict[str, re.Pattern[str] | regex.Pattern[str]] = {
    "ascii": re.compile(r"[a-z0-9]+"),
    "unicode": regex.compile(r"[\p{L}\p{M}\p{N}]+"),
    "chars": regex.compile(r"[\p{L}\p{N}]\p{M}*+"),
}
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_LONGEST_STEMMED = 64
_MOST_STEMMED = 20_000


def split(text: str, tokens: Tokens, *, stem: bool = False) -> list[str]:
    """The tokens of a text, lower-cased; white space and punctuation are none.

    Args:
        text: any text.
        tokens: "ascii", runs of a-z and 0-9; "unicode", runs of letters, marks and digits of any script; "chars", every
            letter or digit of any script with its marks.
        stem: whether tokens of more than 3 characters are cut to their stem.

    Raises:
        ScoringError: too many tokens to stem.
    """
    found: list[str] = _RULES[tokens].findall(text.lower())
    if not stem:
        return found
    if len(found) > _MOST_STEMMED:
        raise ScoringError(f"{len(found)} tokens: up to {_MOST_STEMMED} are stemmed")
    return [_stem(token) if 3 < len(token) <= _LONGEST_STEMMED else token for token in found]


def squad(text: str) -> str:
    """The text as SQuAD compares it: lower case, no ASCII punctuation, no a, an, the, single spaces.

    Source: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", 2016, as `normalize_answer`
    of its evaluation script.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _with_stemmer(stem: bool) -> bool:
    """Loads the stemmer before the first answer waits for it."""
    try:
        return stem and _porter() is not None
    except ImportError:
        raise ValueError("needs the package nltk: pip install 'evalsvc[stem]'") from None


#: An option: whether words are cut to their stem (English; Porter's algorithm as in the package nltk).
Stem = Annotated[bool, AfterValidator(_with_stemmer)]


@lru_cache(maxsize=1)
def _porter() -> Any:
    return import_module("nltk.stem.porter").PorterStemmer()  # 1 s, and seldom needed


@lru_cache(maxsize=16_384)
def _stem(token: str) -> str:
    stem: str = _porter().stem(token)
    return stem
