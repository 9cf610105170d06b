import msgspec
import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama import generate as translation
from ollama_openai_proxy.translate.ollama.request import Completion
from ollama_openai_proxy.translate.ollama.wire import GenerateRequest, decode

PNG = "iVBORw0KGgo="


def generate(members: str) -> Completion:
    return translation.generate(decode(f'{{"model":"M",{members}}}'.encode(), GenerateRequest), Model(id="upstream/m"))


def refusal(members: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        generate(members)
    assert caught.value.status == 400
    return caught.value.message


def test_a_prompt_is_a_chat() -> None:
    """Contract 5.7, 11.4: a generation is a chat of one turn."""
    completion = generate('"prompt":"Hi","stream":false')
    assert completion.body == {"model": "upstream/m", "messages": [{"role": "user", "content": "Hi"}]}
    assert completion.raw is False


def test_system_and_images() -> None:
    """Contract 5.7: the system prompt comes first, the images with the prompt."""
    completion = generate(f'"prompt":"Hi","system":"Be brief.","images":["{PNG}"],"stream":false')
    assert msgspec.json.decode(msgspec.json.encode(completion.body)) == {
        "model": "upstream/m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hi"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            },
        ],
    }


def test_what_a_chat_has_too() -> None:
    """Contract 5.7: options, format, think, logprobs and stream mean what they mean to a chat."""
    members = '"prompt":"Hi","options":{"seed":1,"min_p":0.1},"format":"json","think":"low"'
    completion = generate(members + ',"logprobs":true,"top_logprobs":2')
    assert completion.body == {
        "model": "upstream/m",
        "messages": [{"role": "user", "content": "Hi"}],
        "seed": 1,
        "response_format": {"type": "json_object"},
        "logprobs": True,
        "top_logprobs": 2,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert completion.extensions == {"min_p": 0.1}
    assert completion.think == "low"


@pytest.mark.parametrize("members", ['"template":"{{ .Prompt }}"', '"context":[1,2]', '"suffix":""', '"images":[]'])
def test_what_is_left_out(members: str) -> None:
    """Contract 11.4: a template, foreign context and what is empty do not change the chat."""
    assert generate(f'"prompt":"Hi","stream":false,{members}').body == {
        "model": "upstream/m",
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_raw() -> None:
    """Contract 5.7, 11.4: a raw prompt goes untouched to a plain completion."""
    completion = generate('"prompt":"<s>[INST] Hi [/INST]","raw":true,"stream":false,"options":{"num_predict":5}')
    assert completion.raw is True
    assert completion.body == {"model": "upstream/m", "prompt": "<s>[INST] Hi [/INST]", "max_tokens": 5}


@pytest.mark.parametrize(
    ("members", "logprobs"),
    [('"logprobs":true', 1), ('"logprobs":true,"top_logprobs":0', 1), ('"logprobs":true,"top_logprobs":4', 4)],
)
def test_logprobs_of_raw(members: str, logprobs: int) -> None:
    """OpenAI's plain completions take the number of alternatives as logprobs, and no top_logprobs."""
    completion = generate(f'"prompt":"Hi","raw":true,"stream":false,{members}')
    assert completion.body == {"model": "upstream/m", "prompt": "Hi", "logprobs": logprobs}
    assert type(completion.body["logprobs"]) is int


@pytest.mark.parametrize("members", ['"template":"x"', '"system":"x"', '"context":[1]', '"suffix":"x","system":"x"'])
def test_raw_with_what_it_excludes(members: str) -> None:
    """Contract 5.7: raw has neither template nor system prompt nor context; that is checked before the suffix."""
    expected = "raw mode does not support template, system, or context"
    assert refusal(f'"prompt":"Hi","raw":true,{members}') == expected


@pytest.mark.parametrize("members", ['"template":""', '"system":""', '"context":[]', '"context":null'])
def test_raw_with_nothing_else(members: str) -> None:
    """Contract 5.7: what is empty excludes nothing."""
    assert generate(f'"prompt":"Hi","raw":true,{members}').raw is True


@pytest.mark.parametrize(
    ("model", "whole"),
    [
        ("m", "registry.ollama.ai/library/m:latest"),
        ("m:8b", "registry.ollama.ai/library/m:8b"),
        ("me/m", "registry.ollama.ai/me/m:latest"),
    ],
)
@pytest.mark.parametrize("raw", ["true", "false"])
def test_suffix(model: str, whole: str, raw: str) -> None:
    """Contract 5.7: fill-in-the-middle is refused in Ollama's words."""
    body = f'{{"model":"{model}","prompt":"a","suffix":"b","raw":{raw}}}'
    with pytest.raises(InvalidRequest) as caught:
        translation.generate(decode(body.encode(), GenerateRequest), Model(id="x"))
    assert caught.value.message == f"{whole} does not support insert"


def test_broken_image() -> None:
    """Contract 3.4: a generation's images are checked like a chat's."""
    assert refusal('"prompt":"Hi","images":["AAA"]') == "illegal base64 data at input byte 0"
