import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama.capabilities import check_capabilities

EMBEDDER = Model(id="e", capabilities=("embedding",))
PLAIN = Model(id="p", capabilities=("completion",))
ABLE = Model(id="a", capabilities=("completion", "tools", "thinking", "insert"))


@pytest.mark.parametrize("action", ["chat", "generate"])
def test_no_completion(action: str) -> None:
    """Contract 5.7, 5.8: an embedding model neither chats nor generates; the name is the client's, quoted."""
    with pytest.raises(InvalidRequest) as caught:
        check_capabilities(EMBEDDER, "E:latest", action=action)
    assert caught.value.message == f'"E:latest" does not support {action}'
    assert caught.value.status == 400


@pytest.mark.parametrize("think", [True, "low", "medium", "high", "max"])
def test_no_thinking(think: object) -> None:
    """Contract 3.2: true or any level is refused by a model without thinking."""
    with pytest.raises(InvalidRequest) as caught:
        check_capabilities(PLAIN, "P", action="chat", think=think)
    assert caught.value.message == '"P" does not support thinking'


@pytest.mark.parametrize("think", [None, False])
def test_no_thinking_wanted(think: object) -> None:
    """Contract 3.2: unset and false are fine for a model without thinking."""
    check_capabilities(PLAIN, "P", action="chat", think=think)


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("P", "registry.ollama.ai/library/P:latest"),
        ("p:8b", "registry.ollama.ai/library/p:8b"),
        ("me/p", "registry.ollama.ai/me/p:latest"),
    ],
)
def test_no_tools(name: str, whole: str) -> None:
    """Contract 3.7: the error about tools shows the fully qualified name."""
    with pytest.raises(InvalidRequest) as caught:
        check_capabilities(PLAIN, name, action="chat", tools=True)
    assert caught.value.message == f"{whole} does not support tools"


def test_no_insert() -> None:
    """Contract 5.7, step 9: a suffix is refused with the fully qualified name."""
    with pytest.raises(InvalidRequest) as caught:
        check_capabilities(PLAIN, "p:8b", action="generate", insert=True)
    assert caught.value.message == "registry.ollama.ai/library/p:8b does not support insert"
    assert caught.value.status == 400


def test_order() -> None:
    """Contract 5.7: thinking is step 8, completion and then the rest are step 9."""
    with pytest.raises(InvalidRequest, match="does not support thinking"):
        check_capabilities(EMBEDDER, "m", action="chat", think=True, tools=True)
    with pytest.raises(InvalidRequest, match="does not support chat"):
        check_capabilities(EMBEDDER, "m", action="chat", tools=True, insert=True)


def test_able_model() -> None:
    """A model that lists everything is asked anything."""
    check_capabilities(ABLE, "a", action="chat", think="high", tools=True, insert=True)


def test_unknown_capabilities() -> None:
    """Nothing is invented: where nobody lists them, the backend answers for itself, whatever is guessed."""
    unknown = Model(id="embed", offers=("vision",), lacks=("tools",))
    check_capabilities(unknown, "u", action="generate", think=True, tools=True, insert=True)


def test_insert_of_which_nobody_spoke() -> None:
    """Contract 5.7, step 9: only what a model is known to lack is refused; the backend answers for the rest."""
    model = Model(id="m", capabilities=("completion",), unsaid=("insert",))
    check_capabilities(model, "m", action="generate", insert=True)
    with pytest.raises(InvalidRequest, match="tools"):
        check_capabilities(model, "m", action="chat", tools=True)
