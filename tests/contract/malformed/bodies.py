"""Bodies that are no request of the route, whatever the route (contract 1.7)."""

from __future__ import annotations

from contract.malformed.row import CANARY, LIMIT, PROMPT, Api, Row

_UNFINISHED = b'{"model": "m", "x": "' + PROMPT.encode()
_DEEP = 12_000  # Go goes to 10,000


def rows(api: Api) -> list[Row]:
    """Rows for one route that reads a body."""
    return [
        api.raw("empty", b"", "missing request body"),
        api.raw("blank", b" \r\n\t", "missing request body"),
        api.raw("cut in a string", _UNFINISHED, "unexpected EOF"),
        api.raw("cut after a value", _UNFINISHED + b'"', "unexpected EOF"),
        api.raw("no quotes", b"{model:1}", "invalid character 'm' looking for beginning of object key string"),
        api.raw("no JSON", b"not json", "invalid character 'o' in literal null (expecting 'u')"),
        api.raw("a form", b"model=m&prompt=x", "invalid character 'm' looking for beginning of value"),
        api.raw("a mark", b'\xef\xbb\xbf{"model":"m"}', "invalid character 'ï' looking for beginning of value"),
        api.raw("UTF-16", '{"model":"m"}'.encode("utf-16"), "invalid character 'ÿ' looking for beginning of value"),
        api.raw("gzip", b"\x1f\x8b\x08\x00", "invalid character '\\x1f' looking for beginning of value"),
        api.raw("NaN", b'{"model": NaN}', "invalid character 'N' looking for beginning of value"),
        api.raw("a comma", b'{"model":"m",}', "invalid character '}' looking for beginning of object key string"),
        api.raw("a control", b'{"model":"a\nb"}', "invalid character '\\n' in string literal"),
        api.raw("an escape", b'{"model":"\\x"}', "invalid character 'x' in string escape code"),
        api.raw("array", f'["{CANARY}"]'.encode(), _top("array", api)),
        api.raw("text", f'"{CANARY}"'.encode(), _top("string", api)),
        api.raw("number", b"5", _top("number", api)),
        api.raw("bool", b"true", _top("bool", api)),
        api.raw("depth", b'{"x":' + b"[" * _DEEP + b"]" * _DEEP + b"}", "exceeded max depth"),
        api.raw("by length", b" " * LIMIT + b"{}", "request body too large")._replace(status=413, closes=True),
    ]


def _top(found: str, api: Api) -> str:
    return f"json: cannot unmarshal {found} into Go value of type api.{api.struct}"
