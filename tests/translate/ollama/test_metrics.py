from ollama_openai_proxy.translate.events import Usage
from ollama_openai_proxy.translate.ollama.metrics import Stopwatch


def watch(opened: int, *tokens: int) -> Stopwatch:
    stopwatch = Stopwatch()
    stopwatch.opened = opened
    for elapsed in tokens:
        stopwatch.token(elapsed)
    return stopwatch


def test_streamed_reply() -> None:
    """Contract 3.9, 11.2: load until asked, prompt until the first token, eval from there, total is all; in order."""
    assert watch(100, 350, 500).metrics(Usage(7, 9), 1000) == (
        b',"total_duration":1000,"load_duration":100,"prompt_eval_count":7,"prompt_eval_duration":250'
        b',"eval_count":9,"eval_duration":650'
    )


def test_whole_reply() -> None:
    """ADR 4: a reply whose first token comes with its end spent all of the wait on the answer."""
    assert watch(100, 1000, 1000).metrics(Usage(7, 9), 1000) == (
        b',"total_duration":1000,"load_duration":100,"prompt_eval_count":7,"prompt_eval_duration":1'
        b',"eval_count":9,"eval_duration":900'
    )


def test_reply_without_tokens() -> None:
    """A reply that says nothing has durations all the same, and none of them is zero."""
    assert watch(100).metrics(Usage(7, None), 1000) == (
        b',"total_duration":1000,"load_duration":100,"prompt_eval_count":7,"prompt_eval_duration":1,"eval_duration":900'
    )


def test_no_usage() -> None:
    """Row H10: counts that the backend did not tell are left out, not invented; durations are always there."""
    assert watch(100, 350).metrics(Usage(), 1000) == (
        b',"total_duration":1000,"load_duration":100,"prompt_eval_duration":250,"eval_duration":650'
    )


def test_zero_counts_are_left_out() -> None:
    """Contract 3.9: each metric is omitted when zero."""
    assert b"count" not in watch(100, 350).metrics(Usage(0, 0), 1000)


def test_durations_are_never_zero() -> None:
    """Rule R7: clients divide by durations, so the least is a nanosecond, even if no time passed."""
    assert watch(0).metrics(Usage(), 0) == (
        b',"total_duration":1,"load_duration":1,"prompt_eval_duration":1,"eval_duration":1'
    )


def test_the_backends_own_durations_win() -> None:
    """ADR 4: a backend that measures knows better than what arrives through a network."""
    assert watch(100, 350).metrics(Usage(7, 9, prompt_ns=40, completion_ns=30), 1000) == (
        b',"total_duration":1000,"load_duration":100,"prompt_eval_count":7,"prompt_eval_duration":40'
        b',"eval_count":9,"eval_duration":30'
    )
