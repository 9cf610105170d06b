"""Streams as odd as the fault matrix has them in 2.G: whose framing is unusual, or broken."""

from __future__ import annotations

import json

from support.scenario import DONE, STOP, USAGE, Scenario, choice, data, said

HI = data(said("Hé"), said(" 日😀"), STOP, USAGE, DONE)
TEXT = "Hé 日😀"
CUT = "the upstream closed the stream before finishing"
INVALID = "the upstream sent invalid JSON"
SEPARATORS = "a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1ee"


def whole(stream: bytes, text: str = TEXT, *odd: str) -> Scenario:
    return Scenario(stream, text, counts=(3, 2), odd=odd)


def _pretty() -> bytes:
    return (
        b'data: {"choices": [{"index": 0,\ndata:  "delta": {"content":\ndata: "Hi"}, "finish_reason": "stop"}],\n'
        b'data: "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n' + data(DONE)
    )


def _mixed() -> bytes:
    first, second, *rest = HI.split(b"\n\n")
    return b"\n\n".join([first + b"\r\n\r\n" + second, *rest]).replace(b"\n\ndata: [DONE]", b"\r\rdata: [DONE]")


FRAMING: dict[str, Scenario] = {
    "G1 usual": whole(HI),
    "G2 CRLF": whole(HI.replace(b"\n", b"\r\n")),
    "G2 CR": whole(HI.replace(b"\n", b"\r")),
    "G2 mixed": whole(_mixed()),
    "G3 byte order mark": whole(b"\xef\xbb\xbf" + HI),
    "G4 no space": whole(HI.replace(b"data: ", b"data:")),
    "G4 two spaces": whole(HI.replace(b"data: ", b"data:  ")),
    "G4 tab": whole(HI.replace(b"data: ", b"data:\t")),
    "G5 several lines": whole(_pretty(), "Hi"),
    "G6 comments": whole(b": OPENROUTER PROCESSING\n\n:\n" + HI.replace(b"data", b": x\n\ndata"), TEXT, "comment"),
    "G7 fields": whole(
        b"retry: 100\nid: 1\nunknown: x\nno colon\n" + HI.replace(b"data", b"event: message\nid: 7\ndata"),
        TEXT,
        "unknown_field",
    ),
    "G8 empty data": whole(b"data:\n\n" + HI.replace(b"data", b"data: \n\ndata:\n\ndata"), TEXT, "empty"),
    "G9 no marker": whole(data(said("Hi"), STOP, USAGE), "Hi"),
    "G9 nothing after the reason": Scenario(data(said("Hi"), STOP), "Hi"),
    "G10 no reason": Scenario(data(said("Hi"), DONE), "Hi", odd=("finish_missing",)),
    "G10 usage is the end": Scenario(data(said("Hi"), USAGE), "Hi", counts=(3, 2), odd=("finish_missing",)),
    "G11 data after it": whole(HI + data(said("late"), choice({}, "length")), TEXT, "after_done"),
    "G11 twice": whole(HI + data(DONE), TEXT, "after_done"),
    "G11 spaces": whole(HI.replace(b"[DONE]", b" [DONE] ")),
    "G11 quotes": Scenario(data(said("Hi"), STOP, '"[DONE]"'), "Hi"),
    "G11 lower case": Scenario(data(said("Hi"), STOP, "[done]"), "Hi"),
    "G12 no blank line": Scenario(data(said("Hi"), STOP).removesuffix(b"\n\n"), "Hi"),
    "G12 no blank line after the marker": Scenario(data(said("Hi"), DONE).removesuffix(b"\n\n"), "Hi"),
    "G12 half an event": Scenario(data(said("Hi"), STOP)[:-8], "Hi", error=CUT),
    "G12 a whole one that is no end": Scenario(data(said("Hi"), said("!")).removesuffix(b"\n\n"), "Hi!", error=CUT),
    "G16 NDJSON": Scenario(b'{"response":"Hi","done":false}\n{"response":"","done":true}\n', error=INVALID),
    "G16 concatenated": Scenario(b'{"response":"Hi"}{"response":"!"}', error=INVALID),
    "G17 no UTF-8": whole(HI.replace("é".encode(), b"\xff"), "H\ufffd 日😀", "bad_utf8"),
    "G17 half a character": whole(HI.replace("日".encode(), b"\xe6\x97"), "Hé \ufffd😀", "bad_utf8"),
    "G18 raw": Scenario(data(said(SEPARATORS), STOP, DONE), SEPARATORS),
    "G18 escaped": Scenario(data(json.dumps(said(SEPARATORS)), STOP, DONE), SEPARATORS),
}
