"""The conditions of `record --when`: what is accepted, and what errors name."""

from __future__ import annotations

import pytest

from smapskit.model.condition import Condition


class TestParse:
    @pytest.mark.parametrize(
        ("text", "value", "threshold"),
        [
            ("rss > 80% of limit", "rss", 800_000),
            ("  anon>12.5%of  limit ", "anon", 125_000),
            ("swap > 100% of limit", "swap", 1_000_000),
            ("pss > 2GiB", "pss", 2 << 20),
            ("uss >512M", "uss", 512 << 10),
            ("rss > 4096", "rss", 4),
        ],
    )
    def test_a_size_or_a_part_of_the_limit(self, text: str, value: str, threshold: int) -> None:
        condition = Condition.parse(text)
        assert condition.value == value
        assert condition.threshold(1_000_000) == threshold
        assert Condition.parse(str(condition).replace(",", "")) == condition

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "expected one of rss, pss, uss, swap, anon, as in .*, got nothing"),
            ("RSS > 1G", "expected one of rss, .*, got 'RSS'"),
            ("> 1G", "expected one of rss, .*, got '> 1G'"),
            ("rss", "expected > after rss, got nothing"),
            ("rss 80%", "expected > after rss, got '80%'"),
            ("rss >= 80% of limit", "expected > after rss, got '>='"),
            ("rss < 1G", "expected > after rss, got '<'"),
            ("rss >", "expected a size such as 2GiB, or 80% of limit, after rss >, got nothing"),
            ("rss > 2GB", "expected a size such as 2GiB, .*, got '2GB'"),
            ("rss > many", "expected a size such as 2GiB, .*, got 'many'"),
            ("rss > 80%", "expected 'of limit' after 80%, got nothing"),
            ("rss > 80% of memory", "expected 'of limit' after 80%, got 'of memory'"),
            ("rss > 0% of limit", "expected a part above 0% and up to 100%, got 0%"),
            ("rss > 101% of limit", "expected a part above 0% and up to 100%, got 101%"),
            ("rss > \x1b[31m" + "x" * 100, r"got '\\x1b\[31mx+\.\.\.'"),
        ],
    )
    def test_errors_name_what_was_expected(self, text: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Condition.parse(text)
