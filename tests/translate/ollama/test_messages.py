import base64
from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.messages import conversation, user_message
from ollama_openai_proxy.translate.ollama.wire import ChatRequest, Message, decode


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


@pytest.mark.parametrize("role", ["system", "user", "assistant", "developer", "control", "robot"])
def test_roles(role: str) -> None:
    """Contract 3.5, ADR 7: any role is passed on, in lower case."""
    expected = [{"role": role, "content": "Hi"}]
    assert converse(f'[{{"role":"{role}","content":"Hi"}}]') == expected
    assert converse(f'[{{"role":"{role.upper()}","content":"Hi"}}]') == expected


@pytest.mark.parametrize("message", ['{"content":"Hi"}', '{"role":"","content":"Hi"}', '{"role":" ","content":"Hi"}'])
def test_no_role(message: str) -> None:
    """ADR 7: a message without a role is a bad request."""
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
        '{"role":"assistant","thinking":""}',
    ],
)
def test_content_is_always_there(message: str) -> None:
    """Rule R16: missing and null contents become "", empty lists and thoughts vanish."""
    assert converse(f"[{message}]") == [{"role": "assistant", "content": ""}]


def test_order_and_text_are_kept() -> None:
    """Row B16: several turns of one role, and text that looks like a protocol, go on as they are."""
    texts = ["one", 'two\n{"done":true}', "data: [DONE]", "<think>three</think>", "\u2028\x85"]
    messages = msgspec.json.encode([{"role": "user", "content": text} for text in texts]).decode()
    assert converse(messages) == [{"role": "user", "content": text} for text in texts]


@pytest.mark.parametrize("role", ["Assistant", "USER", "assistant", "user"])
def test_past_thoughts(role: str) -> None:
    """Contract 11.1: an assistant's past thinking is kept, for the backends that want it; others have none."""
    kept = {"thinking": "hm"} if role.lower() == "assistant" else {}
    expected = [{"role": role.lower(), "content": "4"} | kept]
    assert converse(f'[{{"role":"{role}","content":"4","thinking":"hm"}}]') == expected


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>hm</think>\n\n4", "4"),
        (" \n<think>hm</think>4<think>x</think>", "4<think>x</think>"),
        ("<think>hm", ""),
        ("4 <think>hm</think>", "4 <think>hm</think>"),
        ("4", "4"),
    ],
)
def test_thoughts_in_the_text(text: str, left: str) -> None:
    """Contract 5.8: for some models, thoughts that open an answer before the last question are taken out of it."""
    answer, question = Message(role="assistant", content=text), Message(role="user", content="Hi")
    messages = [question, answer, question, answer]
    said = [message["content"] for message in conversation(messages, strip_thoughts=True)]
    assert said == ["Hi", left, "Hi", text]
    assert [message["content"] for message in conversation(messages)] == ["Hi", text, "Hi", text]
    assert conversation([answer], strip_thoughts=True) == [{"role": "assistant", "content": text}]


TEXT = {"type": "text", "text": "What?"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAAAAAAAAA=="}}


@pytest.mark.parametrize(
    ("turns", "contents"),
    [
        pytest.param("T I", [[TEXT, IMAGE]], id="text, image"),
        pytest.param("I T", [[IMAGE, TEXT]], id="image, text"),
        pytest.param("I I", [[IMAGE, IMAGE]], id="two images"),
        pytest.param("T I I", [[TEXT, IMAGE, IMAGE]], id="text, two images"),
        pytest.param("T I T", [[TEXT, IMAGE], "What?"], id="another text"),
        pytest.param("E I", [[IMAGE]], id="an empty text"),
        pytest.param("T T", ["What?", "What?"], id="texts stay apart"),
        pytest.param("TI TI", [[TEXT, IMAGE], [TEXT, IMAGE]], id="whole messages stay apart"),
        pytest.param("I A I", [[IMAGE], "Yes", [IMAGE]], id="an answer between"),
    ],
)
def test_images_join_their_text(turns: str, contents: list[Any]) -> None:
    """Clients, section 4: LangChain.js sends a text and its images as several messages of the user."""
    png = image(PNG)
    sent = {
        "T": {"role": "user", "content": "What?"},
        "I": {"role": "user", "content": "", "images": [png]},
        "TI": {"role": "user", "content": "What?", "images": [png]},
        "E": {"role": "user", "content": ""},
        "A": {"role": "assistant", "content": "Yes"},
    }
    messages = msgspec.json.encode([sent[turn] for turn in turns.split()]).decode()
    assert [message["content"] for message in converse(messages)] == contents


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


def test_user_message() -> None:
    """Contract 11.4: a generation's prompt and images are one user turn."""
    assert user_message("Hi", None) == {"role": "user", "content": "Hi"}
    assert user_message("Hi", []) == {"role": "user", "content": "Hi"}
    (part,) = user_message("", [image(PNG)])["content"]
    assert part["type"] == "image_url"


def test_images_of_results() -> None:
    """Contract 3.5: a result may hold images; backends take them from the user alone, when all results are there."""
    call = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}, {"id": "b"}]}
    png = image(PNG)
    results = [{"role": "tool", "content": "Seen", "images": [png]}, {"role": "tool", "images": [None, png]}]
    question = {"role": "user", "content": "What?"}
    for rest, expected in (([], [IMAGE, IMAGE]), ([question], [IMAGE, IMAGE, TEXT])):
        found = converse(msgspec.json.encode([call, *results, *rest]).decode())[1:]
        assert found == [
            {"role": "tool", "tool_call_id": "a", "content": "Seen"},
            {"role": "tool", "tool_call_id": "b", "content": ""},
            {"role": "user", "content": expected},
        ]
    orphan = {"role": "tool", "content": "What?", "images": [png]}
    assert converse(msgspec.json.encode([orphan]).decode()) == [{"role": "user", "content": [TEXT, IMAGE]}]
