"""Every block of code in the documentation and the docstrings is run as a test."""

from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

_OPTIONS = ELLIPSIS | NORMALIZE_WHITESPACE

_PAGES = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=_OPTIONS), SkipParser()],
    patterns=["README.md", "docs/**/*.md", "docs/*.md"],
)
_DOCSTRINGS = Sybil(parsers=[DocTestParser(_OPTIONS)], patterns=["src/**/*.py"])

pytest_collect_file = (_PAGES + _DOCSTRINGS).pytest()
