"""Streams as odd as the fault matrix has them in 2.H: each chunk is well framed, and says it in its own way."""

from __future__ import annotations

from typing import Any

from support.scenario import DONE, STOP, TAIL, USAGE, Scenario, called, choice, data, fragment, said

CUT = "the upstream closed the stream before finishing"
INVALID = "the upstream sent invalid JSON"
HI = data(said("Hi"))
BROKEN = "model returned invalid tool arguments"


def ok(*payloads: object, text: str = "Hi", odd: tuple[str, ...] = (), **more: Any) -> Scenario:
    """A stream that ends as it should after these chunks."""
    return Scenario(data(*payloads) + TAIL, text, counts=(3, 2), odd=odd, **more)


def usage(**counts: object) -> dict[str, Any]:
    return {"choices": [], "usage": counts}


NOTHING: dict[str, tuple[object, str]] = {
    "H2 empty object": ({}, "no_choices"),
    "H2 ping": ({"type": "ping"}, "no_choices"),
    "H2 no choices": ({"choices": None}, "no_choices"),
    "H3 empty choices": ({"choices": [], "prompt_filter_results": [{}]}, "no_choices"),
    "H4 no delta": ({"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}}]}, "no_delta"),
    "H4 null delta": (choice(None), "no_delta"),
    "H5 null content": (said(None), ""),
    "H5 empty content": (said(""), ""),
    "H5 no content": (choice({}), ""),
    "H6 role only": (choice({"role": "assistant"}), ""),
    "H6 role and empty content": (choice({"role": "assistant", "content": ""}), ""),
    "H7 another choice": ({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]}, ""),
    "H24 logprobs without content": (choice({"content": None}, logprobs={"content": None}), ""),
    "H25 unknown keys": (choice({"annotations": [], "audio": None, "x": {"y": 1}}, obfuscation="a") | {"z": []}, ""),
}

SAID: dict[str, Scenario] = {
    "H1 half an object": Scenario(HI + data('{"choices":[', STOP), "Hi", error=INVALID, odd=("invalid_json",)),
    "H1 words": Scenario(HI + data("garbage", STOP), "Hi", error=INVALID),
    "H1 first": Scenario(data("garbage", STOP), error=INVALID),
    "H2 null": Scenario(HI + data("null", STOP), "Hi", error=INVALID),
    "H2 a list": Scenario(HI + data("[]", STOP), "Hi", error=INVALID),
    "H2 a number": Scenario(HI + data("7", STOP), "Hi", error=INVALID),
    "H5 parts": ok(said([{"type": "text", "text": "H"}, {"type": "text", "text": "i"}])),
    "H6 role repeated": ok(
        choice({"role": "assistant", "content": "H"}), choice({"role": "assistant", "content": "i"})
    ),
    "H7 interleaved": ok(
        {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "H"}}]},
        {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]},
        said("i"),
    ),
    "H8 the reason with the last token": Scenario(
        data(said("H"), choice({"content": "i"}, "length")), "Hi", reason="length"
    ),
    "H9 reason twice": ok(said("Hi"), STOP, odd=("dup_finish",)),
    "H9 usage first": Scenario(data(USAGE, said("Hi"), STOP, DONE), "Hi", counts=(3, 2)),
    "H9 usage before the reason": Scenario(data(said("Hi"), USAGE, STOP, DONE), "Hi", counts=(3, 2)),
    "H9 usage before more text": Scenario(
        data(said("H"), USAGE, said("i"), choice({}, "length"), DONE), "Hi", reason="length", counts=(3, 2)
    ),
    "H9 usage with the reason": Scenario(
        data(said("Hi"), {**STOP, "usage": USAGE["usage"]}, DONE), "Hi", counts=(3, 2)
    ),
    "H9 usage twice": Scenario(
        data(said("Hi"), usage(prompt_tokens=3, completion_tokens=1), USAGE, STOP, DONE),
        "Hi",
        counts=(3, 2),
        odd=("dup_usage",),
    ),
    "H9 usage with each chunk": ok({**said("H"), "usage": {"prompt_tokens": 3, "completion_tokens": 1}}, said("i")),
    "H9 null": Scenario(data({**said("Hi"), "usage": None}, STOP, DONE), "Hi"),
    "H9 negative": Scenario(
        data(said("Hi"), STOP, usage(prompt_tokens=-3, completion_tokens=-1), DONE), "Hi", odd=("bad_usage",)
    ),
    "H9 strings and floats": Scenario(
        data(said("Hi"), STOP, usage(prompt_tokens="3", completion_tokens=2.0), DONE),
        "Hi",
        counts=(3, 2),
        odd=("bad_usage",),
    ),
    "H9 no object": Scenario(data(said("Hi"), STOP, {"choices": [], "usage": "many"}, DONE), "Hi", odd=("bad_usage",)),
    "H10 none": Scenario(data(said("Hi"), STOP, DONE), "Hi"),
    "H11 after the reason": Scenario(
        data(said("H"), STOP, said("i"), USAGE, DONE), "Hi", counts=(3, 2), odd=("late_content",)
    ),
    "H11 the end of a think tag": Scenario(data(said("<think>hm"), STOP, said("</think>Hi"), DONE), "Hi", "hm"),
    "H20 legacy": ok(
        choice({"function_call": {"name": "f", "arguments": ""}}),
        choice({"function_call": {"arguments": '{"x"'}}),
        choice({"function_call": {"arguments": ":1}"}}, "function_call"),
        text="",
        calls=(("f", {"x": 1}),),
    ),
    "H23 only reasoning": ok(choice({"reasoning_content": "hm"}), choice({"content": ""}), text="", thinking="hm"),
    "H25 refusal": ok(choice({"refusal": "H"}), choice({"refusal": "i", "content": None})),
}

REASONS = {
    **dict.fromkeys(("stop", "tool_calls", "function_call", "content_filter", "eos", "eos_token", "end_turn"), "stop"),
    "\u2028 something\nnew": "stop",
    "length": "length",
    "MAX_TOKENS": "length",
}
FAILURES = {
    "error": "the upstream failed while generating",
    "ERROR": "the upstream failed while generating",
    "abort": "the upstream aborted the generation",
}

F, G = ("f", {"x": 1}), ("g", {"y": 2})
AF = fragment(0, "a", "f", '{"x":1}')


def calls(*fragments: dict[str, Any], expected: tuple[Any, ...] = (F,), odd: tuple[str, ...] = ()) -> Scenario:
    return ok(*(called(one) for one in fragments), text="", calls=expected, odd=odd)


CALLS: dict[str, Scenario] = {
    "H13 stop after a call": calls(AF, odd=("finish_mismatch",)),
    "H14 no call": Scenario(data(said("Hi"), choice({}, "tool_calls"), DONE), "Hi", odd=("finish_mismatch",)),
    "H15 id, then name": calls(
        fragment(0, "a"), fragment(0, name="f"), fragment(0, arguments='{"x":1}'), odd=("tool_late_name",)
    ),
    "H15 empty name first": calls(fragment(0, "a", ""), fragment(0, None, "f", '{"x":1}')),
    "H15 null name first": calls(
        {"index": 0, "id": "a", "function": {"name": None}}, fragment(0, None, "f", '{"x":1}')
    ),
    "H15 name repeated": calls(fragment(0, "a", "f", '{"x"'), fragment(0, "a", "f", ":1"), fragment(0, "a", "f", "}")),
    "H15 name in two": ok(
        called(fragment(0, "a", "get_")),
        called(fragment(0, None, "time")),
        called(fragment(0, arguments="{}")),
        text="",
        calls=(("get_time", {}),),
    ),
    "H16 no index": calls(
        fragment(None, "a", "f", '{"x":1}'),
        fragment(None, "b", "g", '{"y":2}'),
        expected=(F, G),
        odd=("tool_no_index",),
    ),
    "H16 always 0": calls(
        fragment(0, "a", "f"), fragment(0, None, None, '{"x":1}'), fragment(0, "b", "g", '{"y":2}'), expected=(F, G)
    ),
    "H16 from 1": calls(fragment(1, "a", "f", '{"x":1}'), fragment(2, "b", "g", '{"y":2}'), expected=(F, G)),
    "H16 text": calls(fragment("0", "a", "f", '{"x":1}'), fragment("1", "b", "g", '{"y":2}'), expected=(F, G)),
    "H16 unordered": calls(
        fragment(7, "a", "f"),
        fragment(2, "b", "g"),
        fragment(2, arguments='{"y":2}'),
        fragment(7, arguments='{"x":1}'),
        expected=(F, G),
    ),
    "H16 the id against the index": calls(
        fragment(0, "a", "f"),
        fragment(1, "b", "g"),
        fragment(0, "b", None, '{"y":2}'),
        fragment(1, "a", None, '{"x":1}'),
        expected=(F, G),
    ),
    "H17 no id": calls(
        fragment(0, None, "f", '{"x":1}'), fragment(1, "", "g", '{"y":2}'), expected=(F, G), odd=("tool_no_id",)
    ),
    "H17 one id for all": calls(fragment(0, "a", "f", '{"x":1}'), fragment(1, "a", "g", '{"y":2}'), expected=(F, G)),
    "H21 interleaved": ok(
        choice({"reasoning_content": "h"}),
        called(fragment(0, "a", "f", '{"x"')),
        said("H"),
        called(fragment(0, arguments=":1}")),
        choice({"reasoning_content": "m"}),
        said("i"),
        thinking="hm",
        calls=(F,),
    ),
}

# What a fragment has as its arguments, and the client's; None: the answer is an error.
ARGUMENTS: dict[str, tuple[object, dict[str, Any] | None]] = {
    "object": ({"x": 1}, {"x": 1}),
    "empty": ("", {}),
    "null": (None, {}),
    "null as text": ("null", {}),
    "white space": (" \n", {}),
    "encoded twice": ('"{\\"x\\":1}"', {"x": 1}),
    "NaN": ('{"x":NaN}', None),
    "trailing comma": ('{"x":1,}', None),
    "half": ('{"x":', None),
    "a list": ("[1]", None),
    "a number": ("7", None),
    "words": ("x=1", None),
}

THOUGHT = ("hm, ", "yes")
REASONING: dict[str, Scenario] = {
    "H22 reasoning_content": ok(
        *(choice({"reasoning_content": part}) for part in THOUGHT), said("Hi"), thinking="hm, yes"
    ),
    "H22 reasoning": ok(*(choice({"reasoning": part}) for part in THOUGHT), said("Hi"), thinking="hm, yes"),
    "H22 thinking": ok(*(choice({"thinking": part}) for part in THOUGHT), said("Hi"), thinking="hm, yes"),
    "H22 details": ok(
        *(choice({"reasoning_details": [{"type": "reasoning.text", "text": part}]}) for part in THOUGHT),
        said("Hi"),
        thinking="hm, yes",
    ),
    "H22 all with the same text": ok(
        *(
            choice({"reasoning": part, "reasoning_content": part, "reasoning_details": [{"text": part}]})
            for part in THOUGHT
        ),
        said("Hi"),
        thinking="hm, yes",
        odd=("reasoning_alias",),
    ),
    "H22 tags": ok(*map(said, ("<th", "ink>hm, ", "yes</thi", "nk>", "\n\nHi")), thinking="hm, yes"),
    "H22 tags never closed": ok(*map(said, ("<think>hm, ", "yes</thi")), text="", thinking="hm, yes</thi"),
    "H22 tags within tags": ok(said("<think>a <think> b</think>Hi"), thinking="a <think> b"),
    "H22 tags in code": ok(said("Hi `<think>x</think>`"), text="Hi `<think>x</think>`"),
}
