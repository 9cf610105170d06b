import base64
from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.messages import conversation, user_message
from ollama_openai_proxy.translate.ollama.wire import ChatRequest, decode


def converse(messages: str) -> Any:
    """Return the upstream's messages for the JSON of a client's."""
    asked = decode(f'{{"messages":{messages}}}'.encode(), ChatRequest)
    return msgspec.json.decode(msgspec.json.encode(conversation(asked.messages or [])))


def refusal(messages: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        converse(messages)
    assert caught.value.status == 400
    return caught.value.message


def image(data: bytes) -> str:
    return base64.b64encode(data).decode()


PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@pytest.mark.parametrize("role", ["system", "user", "assistant", "developer", "control"])
def test_roles(role: str) -> None:
    """Contract 3.5, ADR 7: roles that backends know are passed on, in lower case."""
    expected = [{"role": role, "content": "Hi"}]
    assert converse(f'[{{"role":"{role}","content":"Hi"}}]') == expected
    assert converse(f'[{{"role":"{role.upper()}","content":"Hi"}}]') == expected


@pytest.mark.parametrize("message", ['{"content":"Hi"}', '{"role":"","content":"Hi"}', '{"role":"usr","content":"Hi"}'])
def test_unknown_roles(message: str) -> None:
    """ADR 7: any other role is a bad request."""
    assert refusal(f"[{message}]") == "invalid message role"


def test_no_messages() -> None:
    """No messages are no messages."""
    assert converse("[]") == []


@pytest.mark.parametrize(
    "message",
    [
        '{"role":"assistant"}',
        '{"role":"assistant","content":null}',
        '{"role":"assistant","content":""}',
        '{"role":"assistant","content":"","images":[],"tool_calls":[]}',
        '{"role":"assistant","thinking":"hm"}',
    ],
)
def test_content_is_always_there(message: str) -> None:
    """Rule R16: missing and null contents become "", empty lists vanish, past thoughts are left out."""
    assert converse(f"[{message}]") == [{"role": "assistant", "content": ""}]


def test_order_and_text_are_kept() -> None:
    """Row B16: several turns of one role, and text that looks like a protocol, go on as they are."""
    texts = ["one", 'two\n{"done":true}', "data: [DONE]", "<think>three</think>", "\u2028\x85"]
    messages = msgspec.json.encode([{"role": "user", "content": text} for text in texts]).decode()
    assert converse(messages) == [{"role": "user", "content": text} for text in texts]


def test_unknown_members_are_left_out() -> None:
    """Contract 1.7: what Ollama does not know of a message is ignored."""
    assert converse('[{"role":"user","content":"Hi","name":"Bob","cache_control":{}}]') == [
        {"role": "user", "content": "Hi"}
    ]


def test_image() -> None:
    """Contract 3.4: the text comes first, then each image as a data URL."""
    encoded = image(PNG)
    url = f"data:image/png;base64,{encoded}"
    assert converse(f'[{{"role":"user","content":"What?","images":["{encoded}","{encoded}"]}}]') == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "image_url", "image_url": {"url": url}},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF87a\x01\x00", "image/gif"),
        (b"GIF89a\x01\x00", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"BM\x46\x00\x00\x00", "image/bmp"),
        (b"II*\x00\x08\x00", "image/tiff"),
        (b"MM\x00*\x00\x00", "image/tiff"),
        (b"\x00\x00\x00\x20ftypavif\x00\x00", "image/avif"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "image/heic"),
    ],
)
def test_image_types(data: bytes, media_type: str) -> None:
    """Contract 3.4: the type is read from the bytes."""
    content = converse(f'[{{"role":"user","images":["{image(data)}"]}}]')[0]["content"]
    assert content == [{"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{image(data)}"}}]


@pytest.mark.parametrize(
    "data",
    [
        b"hello, world",
        b"RIFF\x24\x00\x00\x00AVI LIST",
        b"\x00\x00\x00\x20ftypisom\x00\x00",
        b"\xff",
        b"\xff\xe0",
    ],
)
def test_no_image(data: bytes) -> None:
    """What is neither image nor audio is refused as Ollama's runner refuses it, before a backend is asked."""
    with pytest.raises(InvalidRequest, match=r"^Failed to load image or audio file$") as refused:
        converse(f'[{{"role":"user","images":["{image(data)}"]}}]')

    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "wav"),
        (b"ID3\x04\x00\x00", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf3\x40\xc0", "mp3"),
    ],
)
def test_audio(data: bytes, kind: str) -> None:
    """Contract 3.4: images may be audio; it goes on as plain base64 with its format."""
    content = converse(f'[{{"role":"user","content":"Say","images":["{image(data)}"]}}]')[0]["content"]
    assert content == [
        {"type": "text", "text": "Say"},
        {"type": "input_audio", "input_audio": {"data": image(data), "format": kind}},
    ]


def test_line_ends_in_images() -> None:
    """Contract 3.4: CR and LF within base64 are tolerated, and not sent on."""
    encoded = image(PNG)
    broken = encoded[:5] + "\\r\\n" + encoded[5:] + "\\n"
    content = converse(f'[{{"role":"user","images":["{broken}"]}}]')[0]["content"]
    assert content[0]["image_url"]["url"] == f"data:image/png;base64,{encoded}"


def test_empty_images_are_left_out() -> None:
    """Contract 3.4: null and "" hold no image; what is left is text."""
    assert converse('[{"role":"user","content":"Hi","images":[null,""]}]') == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("given", "offset"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", 4),
        ("https://example.com/a.png", 5),
        ("file:///etc/passwd", 4),
        ("AAA", 0),
    ],
)
def test_no_images(given: str, offset: int) -> None:
    """Contract 3.4, row B11: data URIs, URLs and broken base64 are refused; nothing is ever fetched."""
    expected = f"illegal base64 data at input byte {offset}"
    assert refusal(f'[{{"role":"user","images":["{given}"]}}]') == expected


def test_user_message() -> None:
    """Contract 11.4: a generation's prompt and images are one user turn."""
    assert user_message("Hi", None) == {"role": "user", "content": "Hi"}
    assert user_message("Hi", []) == {"role": "user", "content": "Hi"}
    (part,) = user_message("", [image(PNG)])["content"]
    assert part["type"] == "image_url"


def test_images_of_other_roles() -> None:
    """Contract 3.5: images belong to any message, a tool's result among them."""
    call = '{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":{}}}]}'
    result = converse(f'[{call},{{"role":"tool","content":"Seen","images":["{image(PNG)}"]}}]')[1]
    assert result["tool_call_id"] == "a"
    assert [part["type"] for part in result["content"]] == ["text", "image_url"]
