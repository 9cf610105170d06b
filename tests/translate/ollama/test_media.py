"""Images and audio, told by their bytes (contract 3.4)."""

import base64
from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.media import content

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def image(data: bytes) -> str:
    return base64.b64encode(data).decode()


def said(text: str, *images: str | None) -> Any:
    """Return a message's content as JSON reads it."""
    return msgspec.json.decode(msgspec.json.encode(content(text, list(images))))


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
    url = f"data:{media_type};base64,{image(data)}"
    assert said("", image(data)) == [{"type": "image_url", "image_url": {"url": url}}]


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
        content("", [image(data)])
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
    assert said("Say", image(data)) == [
        {"type": "text", "text": "Say"},
        {"type": "input_audio", "input_audio": {"data": image(data), "format": kind}},
    ]


def test_line_ends_in_images() -> None:
    """Contract 3.4: CR and LF within base64 are tolerated, and not sent on."""
    encoded = image(PNG)
    (part,) = said("", encoded[:5] + "\r\n" + encoded[5:] + "\n")
    assert part["image_url"]["url"] == f"data:image/png;base64,{encoded}"


@pytest.mark.parametrize("ends", ["\n", "\r"])
def test_line_ends_before_what_tells_the_type(ends: str) -> None:
    """Contract 3.4: the type is read from the first bytes, however many line ends stand around them."""
    data = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(100)
    (part,) = said("", ends * 50 + ends.join(image(data)))
    assert part["image_url"]["url"] == f"data:image/webp;base64,{image(data)}"


def test_empty_images_are_left_out() -> None:
    """Contract 3.4: null and "" hold no image; what is left is text."""
    assert said("Hi", None, "") == said("Hi") == "Hi"


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
    with pytest.raises(InvalidRequest) as refused:
        content("", [given])
    assert (refused.value.message, refused.value.status) == (f"illegal base64 data at input byte {offset}", 400)
