"""`context`: integers that carry a conversation (contract 5.7, 11.4)."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
import zlib
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama import context
from ollama_openai_proxy.translate.ollama.context import LIMIT, MAGIC, Conversation, Role, Turn

TURNS = [Turn("system", "Be brief."), Turn("user", "Hi ☃"), Turn("assistant", "Hello\0\n")]


def packed(data: bytes, *, size: int | None = None, checksum: int | None = None) -> list[int]:
    """Numbers as the module's docstring describes them."""
    filled = data + bytes(-len(data) % 3)
    numbers = [int.from_bytes(filled[at : at + 3], "little") for at in range(0, len(filled), 3)]
    head = [len(data) if size is None else size, zlib.crc32(data) & 0x7FFFFFFF if checksum is None else checksum]
    return [MAGIC, *head, *numbers]


def of(value: object) -> list[int]:
    return packed(zlib.compress(msgspec.msgpack.encode(value)))


def refused(numbers: list[int]) -> None:
    with pytest.raises(InvalidRequest, match=r"^invalid context$") as caught:
        context.decode(numbers)
    assert caught.value.status == 400


def test_round_trip() -> None:
    """Contract 5.7: what was encoded reversibly is decoded."""
    assert context.decode(context.encode(TURNS)) == TURNS


def test_form() -> None:
    """The docstring's form: magic, size, checksum, three bytes a number."""
    assert context.decode(of([["user", "a"], ["assistant", "b"]])) == [Turn("user", "a"), Turn("assistant", "b")]


def test_numbers_are_32_bit_integers() -> None:
    """Clients in Java, Rust and Swift read them into 32 bits; Ollama's are tokens, far smaller than the magic."""
    numbers = context.encode(TURNS)
    assert numbers[0] == MAGIC > 2**24
    assert all(type(number) is int and 0 <= number < 2**31 for number in numbers)
    assert json.loads(json.dumps(numbers)) == numbers


turns = st.lists(
    st.builds(Turn, st.sampled_from(["user", "assistant"]), st.text(max_size=200)),
    max_size=20,
)


@given(st.none() | st.text(max_size=200), turns)
def test_any_conversation_comes_back(system: str | None, said: list[Turn]) -> None:
    """Contract 5.7: any text, any number of turns."""
    whole = ([] if system is None else [Turn("system", system)]) + said
    assert context.decode(context.encode(whole)) == whole


def test_halves_of_surrogate_pairs() -> None:
    """No UTF-8 holds them; the conversation is carried without."""
    assert context.decode(context.encode([Turn("user", "a\ud800b")])) == [Turn("user", "a\ufffdb")]


@pytest.mark.parametrize("numbers", [None, [], [1, 2, 3], [151644, 872, 198], [-1], [2**63 - 1], [MAGIC + 256]])
def test_foreign_numbers_are_ignored(numbers: list[int] | None) -> None:
    """Contract 5.7: arrays that were not issued here, a real server's tokens, are ignored."""
    assert context.decode(numbers) == []


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_any_numbers_are_read_or_refused(numbers: list[int]) -> None:
    """Whatever comes after the magic, nothing but InvalidRequest leaves."""
    with suppress(InvalidRequest):
        context.decode([MAGIC, *numbers])


@given(st.data())
def test_damage_is_noticed(data: st.DataObject) -> None:
    """A number that was changed anywhere behind the magic makes the whole invalid."""
    numbers = context.encode(TURNS)
    at = data.draw(st.integers(1, len(numbers) - 1))
    numbers[at] = data.draw(st.integers(-5, 2**32).filter(lambda number: number != numbers[at]))
    refused(numbers)


def test_part_of_it_is_noticed() -> None:
    """Cut anywhere, or with anything after it, it is invalid."""
    numbers = context.encode(TURNS)
    for length in range(1, len(numbers)):
        refused(numbers[:length])
    refused([*numbers, 0])


DATA = zlib.compress(msgspec.msgpack.encode([["user", "a"]]))


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([MAGIC + 1, *packed(DATA)[1:]], id="another version"),
        pytest.param(packed(DATA, checksum=1), id="checksum"),
        pytest.param(packed(DATA, size=-1), id="negative size"),
        pytest.param(packed(DATA, size=2**62), id="huge size"),
        pytest.param(packed(DATA + b"\0"), id="bytes after the end"),
        pytest.param(packed(DATA[:-4]), id="no end"),
        pytest.param(packed(b"no zlib"), id="not compressed"),
        pytest.param(packed(zlib.compress(b"\xff\xff")), id="not MessagePack"),
        pytest.param([*packed(DATA)[:-1], packed(DATA)[-1] + 2**24], id="a number of four bytes"),
    ],
)
def test_damaged(numbers: list[int]) -> None:
    """Each part of the form is checked."""
    refused(numbers)


@pytest.mark.parametrize(
    "value",
    [
        {"role": "user"},
        [["tool", "a"]],
        [["user", 1]],
        [["user"]],
        [["user", "a", "b"]],
        [["user", "a"], ["system", "b"]],
        ["user", "a"],
        None,
    ],
    ids=repr,
)
def test_strange_conversations(value: object) -> None:
    """What is well packed is no more trusted: only text, of three roles, a system prompt first."""
    refused(of(value))


@pytest.mark.parametrize("size", [LIMIT + 1, 200 * LIMIT])
def test_bomb(size: int) -> None:
    """A few numbers that stand for very much text are not unpacked beyond the limit."""
    numbers = of([["user", "a" * size]])
    tracemalloc.start()
    refused(numbers)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * LIMIT


def test_what_fills_up_the_last_number() -> None:
    """What is no byte of the data is zero."""
    data = next(
        data for at in range(9) if len(data := zlib.compress(msgspec.msgpack.encode([["user", "abc" * at]]))) % 3
    )
    *numbers, last = packed(data)
    assert context.decode([*numbers, last])
    refused([*numbers, last + 2**16])


def test_too_many_numbers() -> None:
    """More numbers than any conversation within the limit has are refused unread."""
    noise = b"".join(hashlib.sha256(b"%d" % at).digest() for at in range(LIMIT // 16))
    refused(of([["user", noise.hex()]]))


def test_oldest_turns_are_left_out() -> None:
    """What is carried is limited: the newest stay, and the system prompt."""
    said = [Turn("user" if at % 2 == 0 else "assistant", f"{at}:" + "x" * (LIMIT // 10)) for at in range(20)]
    kept = context.decode(context.encode([Turn("system", "S"), *said]))
    assert kept[0] == Turn("system", "S")
    assert kept[1:] == said[-(len(kept) - 1) :]
    assert len(kept) - 1 == 8  # four prompts and their answers


@pytest.mark.parametrize("system", [0, LIMIT // 2, LIMIT])
@pytest.mark.parametrize("sizes", [(1, 5), (2 * LIMIT, 5), (5, 2 * LIMIT), (2 * LIMIT, 2 * LIMIT), (LIMIT - 40, 8)])
def test_last_round_is_whole(sizes: tuple[int, int], system: int) -> None:
    """However long the last prompt and its answer are, both go on, or their ends, and the conversation with them."""
    prompt, answer = sizes
    last = [Turn("user", "p" * prompt), Turn("assistant", "a" * answer)]
    turns = [Turn("system", "s" * system), Turn("user", "x" * 300), Turn("assistant", "y" * 300), *last]
    kept = context.decode(context.encode(turns))
    assert [turn.role for turn in kept[-2:]] == ["user", "assistant"]
    assert all(whole.text.endswith(turn.text) and turn.text for whole, turn in zip(last, kept[-2:], strict=True))
    assert sum(len(turn.text) for turn in kept) > min(sum(len(turn.text) for turn in last), LIMIT // 3)


@pytest.mark.parametrize("left", range(12, 52, 3))
def test_answer_that_leaves_hardly_any_room(left: int) -> None:
    """Whatever is issued is accepted, to the last byte of the limit."""
    turns = [Turn("user", "p" * 500), Turn("assistant", "a" * (LIMIT - left))]
    kept = context.decode(context.encode(turns))
    assert [turn.role for turn in kept] == ["user", "assistant"]


def test_what_is_left_begins_with_a_prompt() -> None:
    """Templates that want turns to alternate (Gemma's, Mistral's) refuse a conversation that an answer begins."""
    sides: tuple[Role, Role] = ("user", "assistant")
    for size in range(LIMIT // 12, LIMIT // 8, 997):
        said = [Turn(sides[at % 2], f"{at}" + "x" * size * (1 + at % 2)) for at in range(20)]
        kept = context.decode(context.encode(said))
        assert kept[0].role == "user"
        assert kept == said[-len(kept) :]


@pytest.mark.parametrize("character", ["x", "☃", "🎈"])
def test_end_of_a_turn_that_is_too_long(character: str) -> None:
    """Of a last turn that exceeds the limit alone the end is kept, and no half character; its prompt stays."""
    text = character * LIMIT + "end"
    turns = [Turn("user", "old"), Turn("assistant", "older"), Turn("user", "before"), Turn("assistant", text)]
    prompt, kept = context.decode(context.encode(turns))
    assert prompt == Turn("user", "before")
    assert kept.role == "assistant"
    assert text.endswith(kept.text)
    assert LIMIT - 64 < len(kept.text.encode()) <= LIMIT


def test_system_prompt_that_is_too_long() -> None:
    """A system prompt that takes more than half of the room is not carried."""
    said = [Turn("user", "Hi"), Turn("assistant", "Ho")]
    assert context.decode(context.encode([Turn("system", "x" * LIMIT), *said])) == said
    assert context.decode(context.encode([Turn("system", "x" * LIMIT)])) == []


@pytest.mark.parametrize("noise", [False, True])
def test_largest_context_is_taken_back(noise: bool) -> None:
    """Whatever is issued is accepted, text that no compression makes smaller too."""
    blocks = b"".join(hashlib.sha256(b"%d" % at).digest() for at in range(LIMIT // 64))
    text = "".join(chr(0x10000 + high * 256 + low) for high, low in zip(blocks[::2], blocks[1::2], strict=True))
    text = text if noise else "x" * LIMIT
    (kept,) = context.decode(context.encode([Turn("user", text)]))
    assert text.endswith(kept.text)


def test_conversation() -> None:
    """Contract 5.7: the context of an answer is the prompt and the answer, in whatever pieces it came."""
    conversation = Conversation([Turn("user", "Hi")])
    for piece in ("Hel", "lo", "!"):
        conversation.add(piece)
    assert context.decode(conversation.numbers()) == [Turn("user", "Hi"), Turn("assistant", "Hello!")]


def test_endless_answer() -> None:
    """Of an answer far beyond the limit, the end is carried."""
    conversation = Conversation([Turn("user", "Hi")])
    for _ in range(40):
        conversation.add("y" * (LIMIT // 8))
    conversation.add("end")
    prompt, kept = context.decode(conversation.numbers())
    assert prompt == Turn("user", "Hi")
    assert kept.text.endswith("yend")
