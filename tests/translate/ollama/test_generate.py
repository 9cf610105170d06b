"""`/api/generate` (contract 5.7, 11.4)."""

from __future__ import annotations

import json

import msgspec
import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import Model, Preset
from ollama_openai_proxy.translate.ollama import generate as translation
from ollama_openai_proxy.translate.ollama.context import Turn
from ollama_openai_proxy.translate.ollama.context import decode as decode_context
from ollama_openai_proxy.translate.ollama.context import encode as encode_context
from ollama_openai_proxy.translate.ollama.request import Completion
from ollama_openai_proxy.translate.ollama.wire import GenerateRequest, decode

PNG = "iVBORw0KGgo="


MODEL = Model(id="upstream/m")


def translate(members: str, model: Model = MODEL) -> translation.Generation:
    return translation.generate(decode(f'{{"model":"M",{members}}}'.encode(), GenerateRequest), model)


def generate(members: str, model: Model = MODEL) -> Completion:
    return translate(members, model).completion


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


@pytest.mark.parametrize("members", ['"template":""', '"context":[1,2]', '"suffix":""', '"images":[]', '"raw":false'])
def test_what_is_left_out(members: str) -> None:
    """Contract 5.7, 11.4: foreign context and what is empty do not change the chat."""
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
def test_suffix_without_a_route(model: str, whole: str) -> None:
    """Contract 5.7: filling in is refused in Ollama's words; the request's own template needs no route for it."""
    suffixed = GenerateRequest(model=model, prompt="a", suffix="b")
    with pytest.raises(InvalidRequest) as caught:
        translation.check_route(suffixed, inserts=False)
    assert caught.value.message == f"{whole} does not support insert"
    translation.check_route(suffixed, inserts=True)
    translation.check_route(GenerateRequest(model=model, prompt="a", suffix=""), inserts=False)
    translation.check_route(GenerateRequest(model=model, prompt="a", suffix="b", template="x"), inserts=False)


@pytest.mark.parametrize("raw", ["true", "false"])
def test_suffix(raw: str) -> None:
    """Contract 11.4: a suffix makes a plain completion; editors send `raw` with it (clients 2.11, 2.13)."""
    completion = generate(f'"prompt":"def f(","suffix":"return x","raw":{raw},"stream":false')
    assert completion.raw is True
    assert completion.body == {"model": "upstream/m", "prompt": "def f(", "suffix": "return x"}


def test_words_for_a_backend_of_chats() -> None:
    """What cannot be done is told of the model by the client's name."""
    assert translation.no_completions("m").startswith('"m" does not support raw prompts')


def test_template_is_told_of_thinking() -> None:
    """Contract 3.2, 5.7: the request's own template knows of `think`, with a suffix and without."""
    template = '"prompt":"Hi","template":"{{ .ThinkLevel }}{{ .Prompt }}{{ .Suffix }}","think":"low"'
    assert generate(template).body["prompt"] == "lowHi"
    assert generate(f'{template},"suffix":"b"').body["prompt"] == "lowHib"


def test_template() -> None:
    """Contract 5.7: a template is rendered with the system prompt and the prompt, up to the response."""
    template = "{{ if .System }}[{{ .System }}]{{ end }}<{{ .Prompt }}>{{ .Response }}</s>"
    completion = generate(f'"prompt":"Hi","system":"S","template":"{template}","stream":false')
    assert completion.raw is True
    assert completion.body == {"model": "upstream/m", "prompt": "[S]<Hi>"}


def test_template_with_a_suffix() -> None:
    """Contract 5.7: a template may say how the model fills in."""
    completion = generate('"prompt":"a","suffix":"b","template":"<P>{{ .Prompt }}<S>{{ .Suffix }}<M>","stream":false')
    assert completion.body == {"model": "upstream/m", "prompt": "<P>a<S>b<M>"}


@pytest.mark.parametrize("members", ['"raw":true', '"suffix":"b"', '"template":"{{ .Prompt }}"'])
def test_images_of_plain_prompts(members: str) -> None:
    """A plain completion takes no images: they are refused, not dropped; an empty list is none (clients 2.7)."""
    assert refusal(f'"prompt":"a","images":["{PNG}"],{members}') == (
        "images are not supported with raw, suffix or template"
    )
    assert generate(f'"prompt":"a","images":[],{members}').raw


def test_options_before_the_template() -> None:
    """Contract 5.7: options are checked before anything is generated, with status 500."""
    with pytest.raises(InvalidRequest) as caught:
        generate('"prompt":"a","template":"{{","options":{"seed":"x"}')
    assert caught.value.status == 500


def carried(members: str, model: Model = MODEL) -> list[Turn] | None:
    """The turns that the context of the answer `Ho` would hold."""
    conversation = translate(members, model).conversation
    if conversation is None:
        return None
    conversation.add("Ho")
    return decode_context(conversation.numbers())


USER, ASSISTANT = Turn("user", "Hi"), Turn("assistant", "Ho")
BEFORE = [Turn("system", "S"), Turn("user", "1"), Turn("assistant", "2")]
CONTEXT = json.dumps(encode_context(BEFORE))


@pytest.mark.parametrize(
    ("members", "turns"),
    [
        ('"prompt":"Hi"', [USER, ASSISTANT]),
        ('"prompt":"Hi","system":"T"', [Turn("system", "T"), USER, ASSISTANT]),
        ('"prompt":"Hi","context":[1,2,3]', [USER, ASSISTANT]),
        (f'"prompt":"Hi","context":{CONTEXT}', [*BEFORE, USER, ASSISTANT]),
        (f'"prompt":"Hi","system":"T","context":{CONTEXT}', [Turn("system", "T"), *BEFORE[1:], USER, ASSISTANT]),
        (f'"prompt":"Hi","images":["{PNG}"]', [USER, ASSISTANT]),
        ('"prompt":"Hi","suffix":"b"', [USER, ASSISTANT]),
        ('"prompt":"Hi","template":"{{ .Prompt }}"', [USER, ASSISTANT]),
        ('"prompt":"Hi","raw":true', None),
    ],
)
def test_context_of_the_answer(members: str, turns: list[Turn] | None) -> None:
    """Contract 5.7: all but raw generations have a context, which holds the prompt and the answer."""
    assert carried(members) == turns


def test_context_of_the_request() -> None:
    """Contract 11.4: the turns that a context holds stand before the prompt."""
    messages = [{"role": turn.role, "content": turn.text} for turn in BEFORE]
    said = generate(f'"prompt":"Hi","context":{CONTEXT}').body["messages"]
    assert said == [*messages, {"role": "user", "content": "Hi"}]
    said = generate(f'"prompt":"Hi","system":"T","context":{CONTEXT}').body["messages"]
    assert said == [{"role": "system", "content": "T"}, *messages[1:], {"role": "user", "content": "Hi"}]


def test_context_with_a_template() -> None:
    """The turns that a context holds are rendered as the template says."""
    template = "{{ if .System }}[{{ .System }}]{{ end }}<{{ .Prompt }}>{{ .Response }};"
    completion = generate(f'"prompt":"Hi","template":"{template}","context":{CONTEXT}')
    assert completion.body["prompt"] == "[S]<1>2;<Hi>"


def test_damaged_context() -> None:
    """A context that was issued here and damaged is refused, not misread."""
    assert refusal(f'"prompt":"Hi","context":{json.dumps(encode_context(BEFORE)[:-1])}') == "invalid context"


EXAMPLES = ({"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"})
PRESET = Model(id="x", preset=Preset(system="P", messages=EXAMPLES))


@pytest.mark.parametrize("capabilities", [None, (), ("completion", "image"), ("completion",)])
def test_models_that_make_text(capabilities: tuple[str, ...] | None) -> None:
    """Contract 5.7, step 6: only a model that is known to make images and no text is refused."""
    translation.check_images(Model(id="x", capabilities=capabilities))
    with pytest.raises(InvalidRequest, match=r"^image generation models are not currently supported$"):
        translation.check_images(Model(id="x", capabilities=("image",)))


def test_preset() -> None:
    """Contract 5.7: the model's system prompt and messages come first; the request's system prompt replaces its own."""
    prompt = {"role": "user", "content": "Hi"}
    assert generate('"prompt":"Hi"', PRESET).body["messages"] == [{"role": "system", "content": "P"}, *EXAMPLES, prompt]
    said = generate('"prompt":"Hi","system":"T"', PRESET).body["messages"]
    assert said == [{"role": "system", "content": "T"}, *EXAMPLES, prompt]


def test_preset_is_not_carried() -> None:
    """What the model's preset says is no part of a context: it is put before each request anew."""
    assert carried('"prompt":"Hi"', PRESET) == [USER, ASSISTANT]
    context = json.dumps(encode_context(BEFORE[1:]))
    said = generate(f'"prompt":"Hi","context":{context}', PRESET).body["messages"]
    assert [message["content"] for message in said] == ["P", "1+1", "2", "1", "2", "Hi"]


def test_preset_with_a_template() -> None:
    """Of a preset's messages a template is given the text."""
    tool = {"role": "tool", "content": "3", "tool_name": "f"}
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    picture = {"role": "user", "content": "see", "images": [PNG]}
    model = Model(id="x", preset=Preset(system="P", messages=(*EXAMPLES, call, tool, picture)))
    template = "{{ range .Messages }}{{ .Role }}:{{ .Content }};{{ end }}"
    completion = generate(f'"prompt":"Hi","template":"{template}"', model)
    assert completion.body["prompt"] == "system:P;user:1+1;assistant:2;user:Hi;"


def test_broken_image() -> None:
    """Contract 3.4: a generation's images are checked like a chat's."""
    assert refusal('"prompt":"Hi","images":["AAA"]') == "illegal base64 data at input byte 0"
