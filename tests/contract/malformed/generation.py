"""`/api/chat` and `/api/generate` (contract 5.7, 5.8)."""

from __future__ import annotations

from typing import Any

from contract.malformed import bodies, names, options
from contract.malformed.row import CANARY, PROMPT, Api, Row, mismatch, wrong_types

CHAT = Api("/api/chat", "ChatRequest", {"model": "m", "messages": [{"role": "user", "content": PROMPT}]})
GENERATE = Api("/api/generate", "GenerateRequest", {"model": "m", "prompt": PROMPT})
LOAD = CHAT._replace(valid={"model": "m"})

BOOLS = ("stream", "truncate", "shift", "logprobs", "_debug_render_only")
MAP = "map[string]interface {}"
LEVELS = '"high", "medium", "low", "max", true, or false'
SCHEMA = 'expected "json" or a valid JSON Schema object'


def both(api: Api) -> list[Row]:
    """What the two routes have in common."""
    too_many = "top_logprobs must be between 0 and 20"
    no_think = f"think must be a boolean or string ({LEVELS})"
    return [
        *bodies.rows(api),
        *wrong_types(api, "string", "model"),
        *wrong_types(api, "bool", *BOOLS),
        *wrong_types(api, "int", "top_logprobs"),
        *wrong_types(api, "map", "options", name=MAP),
        *(
            api.row(f"top_logprobs {n}", 400, too_many, logprobs=True, top_logprobs=n)
            for n in (-1, 21, 2**31, -(2**63))
        ),
        api.row("top_logprobs before the model", 400, too_many, model="nope", top_logprobs=21),
        *(api.row(f"think {value!r}", 400, _no_level(value), think=value) for value in ("", "maybe", "HIGH", "true")),
        *(api.row(f"think {value!r}", 400, no_think, think=value) for value in (0, 1, 1.5, [CANARY], {"x": CANARY})),
        *keep_alive(api),
        *(
            api.row(f"format {value!r}", 500, f"invalid format: {quoted}; {SCHEMA}", format=value)
            for value, quoted in (
                ("xml", '"\\"xml\\""'),
                ("JSON", '"\\"JSON\\""'),
                (5, '"5"'),
                (True, '"true"'),
                (["x"], '"[\\"x\\"]"'),
            )
        ),
        *options.rows(api, all_of_them=True),
        api.row("the model before options", 404, "model 'nope' not found", model="nope", options={"seed": "7"}),
        api.row("the first of two types", 400, _first(api), stream=CANARY, shift=CANARY),
    ]


def _no_level(value: str) -> str:
    return f'invalid think value: "{value}" (must be {LEVELS})'


def _first(api: Api) -> str:
    return mismatch("string", api.struct, "stream", "bool")


def keep_alive(api: Api) -> list[Row]:
    """The forms of `keep_alive` that are none (contract 3.1)."""

    def row(name: str, error: str, value: object) -> Row:
        return api.row(name, 400, error, keep_alive=value)

    return [
        *(row(f"keep_alive {n!r}", f'time: missing unit in duration "{n}"', n) for n in ("300", "-1")),
        *(
            row(f"keep_alive {value}", f'time: unknown unit "{unit}" in duration "{value}"', value)
            for value, unit in (("1d", "d"), ("5 m", " m"), ("1H", "H"), ("1h2x", "x"))
        ),
        *(
            row(f"keep_alive {value!r}", f'time: invalid duration "{value}"', value)
            for value in ("", "abc", "-", ".", "m", "forever")
        ),
        row("keep_alive true", "Unsupported type: 'bool'", True),
        row("keep_alive array", "Unsupported type: '[]interface {}'", [CANARY]),
        row("keep_alive object", f"Unsupported type: '{MAP}'", {"x": CANARY}),
    ]


def message(name: str, error: str, **fields: Any) -> Row:
    return CHAT.row(name, 400, error, messages=[{"role": "user", "content": PROMPT, **fields}])


def call(name: str, error: str, arguments: Any) -> Row:
    calls = [{"function": {"name": "f", "arguments": arguments}}]
    return CHAT.row(name, 400, error, messages=[{"role": "assistant", "tool_calls": calls}])


BASE64 = "illegal base64 data at input byte"
# Contract 3.4: standard, padded base64 alone.
IMAGES = [
    ("a data URI", "data:image/png;base64,AAAA", f"{BASE64} 4"),
    ("a URL", "http://169.254.169.254/latest", f"{BASE64} 4"),
    ("a secure URL", "https://example.com/a.png", f"{BASE64} 5"),
    ("a path", "../../etc/passwd", f"{BASE64} 0"),
    ("no padding", "AAA", f"{BASE64} 0"),
    ("the URL's alphabet", "AAA_", f"{BASE64} 3"),
    ("no image", "aGVsbG8sIHdvcmxk", "Failed to load image or audio file"),
]
MESSAGES = [
    *wrong_types(CHAT, "[]", "messages", name="[]api.Message"),
    *wrong_types(CHAT, "{}", "messages", name="api.Message", around="[{}, %s]"),
    *(
        row
        for field in ("role", "content", "thinking", "tool_name", "tool_call_id")
        for row in wrong_types(CHAT, "string", f"messages.{field}", around=f'[{{"{field}":%s}}]')
    ),
    *wrong_types(CHAT, "[]", "messages.images", name="[]api.ImageData", around='[{"images":%s}]'),
    *(
        CHAT.row(f"image {value}", 400, mismatch(kind, "ChatRequest", "messages.images", "api.ImageData"), messages=m)
        for value, kind in ((5, "number"), (True, "bool"), ({"x": CANARY}, "object"))
        for m in ([{"role": "user", "images": [value]}],)
    ),
    *wrong_types(CHAT, "[]", "messages.tool_calls", name="[]api.ToolCall", around='[{"tool_calls":%s}]'),
    *wrong_types(CHAT, "{}", "messages.tool_calls", name="api.ToolCall", around='[{"tool_calls":[%s]}]'),
    *wrong_types(CHAT, "string", "messages.tool_calls.id", around='[{"tool_calls":[{"id":%s}]}]'),
    *wrong_types(
        CHAT,
        "{}",
        "messages.tool_calls.function",
        name="api.ToolCallFunction",
        around='[{"tool_calls":[{"function":%s}]}]',
    ),
    *wrong_types(
        CHAT, "string", "messages.tool_calls.function.name", around='[{"tool_calls":[{"function":{"name":%s}}]}]'
    ),
    *wrong_types(
        CHAT, "int", "messages.tool_calls.function.index", around='[{"tool_calls":[{"function":{"index":%s}}]}]'
    ),
    call("arguments text", "Value looks like object, but can't find closing '}' symbol", f'{{"x": "{CANARY}"}}'),
    *(message(name, error, images=[image]) for name, image, error in IMAGES),
    *(message(f"role {role!r}", "invalid message role", role=role) for role in ("", " ")),
    CHAT.row(
        "images before the model", 400, f"{BASE64} 4", model="nope", messages=[{"role": "user", "images": ["data:"]}]
    ),
    CHAT.row("no role", 400, "invalid message role", messages=[{"content": PROMPT}]),
    CHAT.row("null message", 400, "invalid message role", messages=[None]),
    *wrong_types(CHAT, "[]", "tools", name="api.Tools"),
    *wrong_types(CHAT, "{}", "tools", name="api.Tool", around="[%s]"),
]
PROMPTS = [
    *wrong_types(GENERATE, "string", "prompt", "suffix", "system", "template"),
    *wrong_types(GENERATE, "bool", "raw"),
    *wrong_types(GENERATE, "[]", "context", name="[]int"),
    *wrong_types(GENERATE, "int", "context", around="[1,%s]"),
    *wrong_types(GENERATE, "[]", "images", name="[]api.ImageData"),
    *(GENERATE.row(name, 400, error, images=[image]) for name, image, error in IMAGES),
    GENERATE.row("images before the model", 400, f"{BASE64} 4", model="nope", images=["data:"]),
    GENERATE.row("images without a prompt", 400, f"{BASE64} 4", prompt="", images=["data:"]),
    *(
        GENERATE.row(
            f"raw {field}", 400, "raw mode does not support template, system, or context", raw=True, **{field: value}
        )
        for field, value in (("system", CANARY), ("template", CANARY), ("context", [1]))
    ),
]


def _absent(name: str) -> str:
    return f"model '{name}' not found"


ROWS = [
    *both(CHAT),
    *both(GENERATE),
    *MESSAGES,
    *PROMPTS,
    *names.rows(CHAT, empty=(400, "model is required"), absent=_absent),
    *names.rows(GENERATE, empty=(404, "model '' not found"), absent=_absent),
    *(row._replace(name=f"load {row.name}") for row in options.rows(LOAD, all_of_them=False)),
]
