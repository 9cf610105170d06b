"""Several calls in one reply, kept apart (rows H16, H17)."""

from __future__ import annotations

import pytest

from support.decoding import Call, Fragment, calls_of

DUPLICATES: list[Call] = [("0", "f", '{"x":1}'), ("0", "g", '{"y":2}')]
TWO: list[Call] = [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]
NO_IDS: list[Call] = [("", "f", '{"x":1}'), ("", "g", '{"y":2}')]
TWICE: list[Call] = [("", "f", '{"x":1}'), ("", "f", '{"x":2}')]

SEVERAL = [
    pytest.param(
        [(0, "a", "f", ""), (0, None, None, '{"x":1}'), (1, "b", "g", ""), (1, None, None, '{"y":2}')], TWO, id="OpenAI"
    ),
    pytest.param(
        [
            (0, "a", "f", ""),
            (1, "b", "g", ""),
            (0, None, None, '{"x"'),
            (1, None, None, '{"y"'),
            (0, None, None, ":1}"),
            (1, None, None, ":2}"),
        ],
        TWO,
        id="interleaved",
    ),
    pytest.param([(0, "a", "f", '{"x":1}'), (0, "b", "g", '{"y":2}')], TWO, id="H16 Gemini: index is always 0"),
    pytest.param(
        [(0, "a", "f", ""), (0, None, None, '{"x":1}'), (0, "b", "g", ""), (0, None, None, '{"y":2}')],
        TWO,
        id="H16 index is always 0, arguments follow",
    ),
    pytest.param(
        [(0, "a", "f", ""), (0, "b", "g", ""), (0, "a", None, '{"x":1}'), (0, "b", None, '{"y":2}')],
        TWO,
        id="H16 index is always 0, the ids tell",
    ),
    pytest.param(
        [("0", "a", "f", ""), ("1", "b", "g", ""), ("0", None, None, '{"x":1}'), ("1", None, None, '{"y":2}')],
        TWO,
        id="H16 indexes are text, interleaved",
    ),
    pytest.param(
        [(0, "a", "f", '{"x"'), (1, "b", "g", '{"y":2}'), (None, "a", "f", ":1}")],
        TWO,
        id="H16 the index stops, the id tells",
    ),
    pytest.param(
        [(None, "a", "f", '{"x"'), (None, "b", "g", '{"y":2}'), (0, "a", "f", ":1}")],
        TWO,
        id="H16 the index comes late, the id tells",
    ),
    pytest.param([(None, "a", "f", '{"x":1}'), (None, "b", "g", '{"y":2}')], TWO, id="H16 no index"),
    pytest.param(
        [(None, "a", "f", ""), (None, "a", None, '{"x":1}'), (None, "b", "g", ""), (None, "b", None, '{"y":2}')],
        TWO,
        id="H16 no index, arguments follow by id",
    ),
    pytest.param(
        [(7, "a", "f", ""), (2, "b", "g", ""), (2, None, None, '{"y":2}'), (7, None, None, '{"x":1}')],
        TWO,
        id="H16 unordered",
    ),
    pytest.param(
        [(0, "a", "f", ""), (1, "b", "g", ""), (0, "b", None, '{"y":2}'), (1, "a", None, '{"x":1}')],
        TWO,
        id="H16 the id counts, not the index",
    ),
    pytest.param([(0, None, "f", '{"x":1}'), (1, None, "g", '{"y":2}')], NO_IDS, id="H17 no ids"),
    pytest.param(
        [(None, None, "f", '{"x":1}'), (None, None, "g", '{"y":2}')], NO_IDS, id="H17 neither ids nor indexes"
    ),
    pytest.param([(0, "", "f", '{"x":1}'), (0, "", "g", '{"y":2}')], NO_IDS, id="H17 no ids, and index always 0"),
    pytest.param(
        [(None, None, "f", ""), (None, None, None, '{"x":1}'), (None, None, "g", ""), (None, None, None, '{"y":2}')],
        NO_IDS,
        id="H17 neither, arguments follow",
    ),
    pytest.param([(None, None, "f", '{"x":1}'), (None, None, "f", '{"x":2}')], TWICE, id="H17 the same function twice"),
    pytest.param([(0, None, "f", '{"x":1}'), (0, None, "f", '{"x":2}')], TWICE, id="H17 twice, index always 0"),
    pytest.param(
        [(None, None, "f", ""), (None, None, None, '{"x":1}'), (None, None, "f", ""), (None, None, None, '{"x":2}')],
        TWICE,
        id="H17 twice, arguments follow",
    ),
    pytest.param(
        [(0, "0", "f", ""), (1, "0", "g", ""), (0, "0", None, '{"x":1}'), (1, "0", None, '{"y":2}')],
        DUPLICATES,
        id="H17 one id for all, interleaved",
    ),
    pytest.param(
        [(0, "a", "f", '{"x":1}'), (0, None, "f", '{"x":2}')],
        [("a", "f", '{"x":1}'), ("", "f", '{"x":2}')],
        id="H17 only the first has an id",
    ),
    pytest.param(
        [(None, None, "f", None), (None, None, "g", None)],
        [("", "f", ""), ("", "g", "")],
        id="H17 neither ids, nor indexes, nor arguments",
    ),
    pytest.param([(0, "0", "f", '{"x":1}'), (1, "0", "g", '{"y":2}')], DUPLICATES, id="H17 one id for all"),
    pytest.param(
        [(0, "0", "f", ""), (0, "0", None, '{"x":1}'), (1, "0", "g", ""), (1, "0", None, '{"y":2}')],
        DUPLICATES,
        id="H17 one id for all, arguments follow",
    ),
    pytest.param(
        [(0, "0", "f", '{"x":1}'), (0, "0", "g", '{"y":2}')], DUPLICATES, id="H17 one id and one index for all"
    ),
    pytest.param(
        [(None, "a", "f", '{"x":1}'), (None, "b", "f", '{"x":2}')],
        [("a", "f", '{"x":1}'), ("b", "f", '{"x":2}')],
        id="the same function, ids tell",
    ),
]


@pytest.mark.parametrize(("fragments", "calls"), SEVERAL)
@pytest.mark.parametrize("together", [False, True], ids=["a chunk each", "one chunk"])
def test_fragments_of_several_calls_are_kept_apart(
    fragments: list[Fragment], calls: list[Call], together: bool
) -> None:
    """H16, H17: the arguments of two calls are never merged (term-llm#314)."""
    assert calls_of(*fragments, together=together) == calls
