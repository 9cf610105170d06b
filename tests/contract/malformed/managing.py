"""What manages models: pull, push, create, copy, delete and blobs (contract 5.11 to 5.16)."""

from __future__ import annotations

from contract.malformed import bodies, names
from contract.malformed.generation import MAP
from contract.malformed.row import CANARY, Api, Row, mismatch, wrong_types

PULL = Api("/api/pull", "PullRequest", {"model": "m"})
PUSH = Api("/api/push", "PushRequest", {"model": "m"})
CREATE = Api("/api/create", "CreateRequest", {"model": "made", "from": "m"})
COPY = Api("/api/copy", "CopyRequest", {"source": "m", "destination": "made"})
DELETE = Api("/api/delete", "DeleteRequest", {"model": "m"}, "DELETE")

FILES = "map[string]string"
STRINGS = (
    *("model", "name", "from", "template", "system", "renderer", "parser", "requires"),
    *("quantize", "quantization", "remote_host", "draft_quantize"),
)


def quoted(name: str) -> str:
    """The name as Go's %q writes it."""
    spelled = {"\t": "\\t", "\n": "\\n", "\x00": "\\x00", "\u2028": "\\u2028", '"': '\\"'}
    return '"' + "".join(spelled.get(char, char) for char in name) + '"'


def began(row: Row) -> Row:
    """The row of an error that a stream begins with: its type has no charset (contract 1.3, 5.13)."""
    return row._replace(type="application/json")


TRANSFERS = [
    row
    for api in (PULL, PUSH)
    for row in (
        *bodies.rows(api),
        *wrong_types(api, "string", "model", "name", "username", "password"),
        *wrong_types(api, "bool", "insecure", "stream"),
    )
]
CREATIONS = [
    *bodies.rows(CREATE),
    *wrong_types(CREATE, "string", *STRINGS),
    *wrong_types(CREATE, "bool", "stream"),
    *wrong_types(CREATE, "map", "parameters", "info", name=MAP),
    *wrong_types(CREATE, "map", "files", "adapters", "draft_files", name=FILES),
    *wrong_types(CREATE, "[]", "messages", name="[]api.Message"),
    *wrong_types(CREATE, "{}", "messages", name="api.Message", around="[%s]"),
    *wrong_types(CREATE, "string", "messages.content", around='[{"content":%s}]'),
    *(
        CREATE.row(
            f"{field} of {value!r}", 400, mismatch(found, "CreateRequest", field, "string"), **{field: {"a": value}}
        )
        for field in ("files", "adapters", "draft_files")
        for value, found in ((5, "number"), ([CANARY], "array"))
    ),
    began(CREATE.row("neither", 400, "neither 'from' or 'files' was specified", **{"from": ""})),
    *(
        CREATE.row(f"file {path!r}", 400, "file path must be relative", files={path: "sha256:" + "0" * 64})
        for path in ("/etc/passwd", "../x", "a/../../x")
    ),
    CREATE.row("no digest", 400, "invalid digest format", files={"model.gguf": ""}),
    CREATE.row("draft_quantize", 400, "--draft-quantize requires a DRAFT model", draft_quantize="q4"),
    *(began(CREATE.row(f"from {name!r}", 400, "invalid model name", **{"from": name})) for name in ("a b", "m:", "@m")),
]


def blob(name: str, digest: str, error: str) -> Row:
    return Row(name, f"/api/blobs/{digest}", CANARY.encode(), 400, error)


BLOBS = [
    blob("no digest", "x", "invalid digest format"),
    blob("short", "sha256:" + "0" * 63, "invalid digest format"),
    blob("long", "sha256:" + "0" * 65, "invalid digest format"),
    blob("no hex", "sha256:" + "g" * 64, "invalid digest format"),
    blob("another hash", "md5:" + "0" * 64, "invalid digest format"),
    blob("a way out", "..%2e", "invalid digest format"),
]
NAMES = [
    *names.rows(PULL, empty=(400, "invalid model name"), alias="name"),
    *names.rows(CREATE, empty=(400, "invalid model name"), alias="name"),
    *names.rows(PUSH, empty=(400, "model is required"), alias="name"),
    *names.rows(
        DELETE,
        empty=(400, "model is required"),
        invalid=lambda name: f"name {quoted(name)} is invalid",
        absent=lambda name: f"model '{name}' not found",
        alias="name",
    ),
    *names.rows(
        COPY,
        field="source",
        empty=(400, lambda name: f"source {quoted(name)} is invalid"),
        invalid=lambda name: f"source {quoted(name)} is invalid",
        absent=lambda name: f'model "{name}" not found',
    ),
    *names.rows(
        COPY,
        field="destination",
        empty=(400, lambda name: f"destination {quoted(name)} is invalid"),
        invalid=lambda name: f"destination {quoted(name)} is invalid",
    ),
]
SEARCHES = [
    Row("empty", f"/api/experimental/{path}", b"", 400, "missing request body") for path in ("web_search", "web_fetch")
]
ROWS = [
    *TRANSFERS,
    *CREATIONS,
    *bodies.rows(COPY),
    *wrong_types(COPY, "string", "source", "destination"),
    *bodies.rows(DELETE),
    *wrong_types(DELETE, "string", "model", "name"),
    *BLOBS,
    *NAMES,
    *SEARCHES,
]
