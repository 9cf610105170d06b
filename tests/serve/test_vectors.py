"""What is known of models' vectors (adr/0024)."""

from __future__ import annotations

from ollama_openai_proxy.serve.vectors import Known, Vectors

MODELS, PROVEN, SINGLES = 256, 64, 16  # as the ADR has them


def looked_at(known: Known, count: int, *, kept: bool = True) -> list[int]:
    """Return which vectors of a reply with so many are looked at; all of them are as they should be, or none is."""
    places = []
    for place in range(count):
        if known.due(count, first=place == 0):
            places.append(place)
            known.saw(kept=kept)
    return places


def proven() -> Known:
    known = Known()
    assert looked_at(known, PROVEN) == list(range(PROVEN))
    return known


def test_the_first_vectors_are_all_looked_at() -> None:
    """ADR 24: of a new model each vector is looked at, in however many replies they come, and the 65th is not."""
    known = Known()
    for _ in range(PROVEN - 4):
        assert looked_at(known, 1) == [0]
    assert looked_at(known, 10) == [0, 1, 2, 3]


def test_then_the_first_of_each_reply_is() -> None:
    """ADR 24: of replies with several vectors the first is looked at from then on."""
    known = proven()
    assert [looked_at(known, 256) for _ in range(40)] == [[0]] * 40


def test_and_one_in_16_that_come_alone() -> None:
    """ADR 24: of replies with one vector, each 16th is looked at, however many others come between them."""
    known = proven()
    seen = []
    for _ in range(3 * SINGLES):
        seen.append(looked_at(known, 1) == [0])
        looked_at(known, 2)
    assert seen == ([False] * (SINGLES - 1) + [True]) * 3


def test_a_vector_that_must_be_changed_puts_the_model_back() -> None:
    """ADR 24: one vector without length 1, and all of that model are looked at, for good."""
    known = proven()
    assert looked_at(known, 5, kept=False) == [0, 1, 2, 3, 4]
    assert looked_at(known, 3 * PROVEN) == list(range(3 * PROVEN))
    assert looked_at(known, 1) == [0]


def test_one_of_the_first_vectors_is_enough() -> None:
    """ADR 24: a model is not trusted that had one vector of another length, be it the first of all."""
    known = Known()
    looked_at(known, 1, kept=False)
    assert looked_at(known, 3 * PROVEN) == list(range(3 * PROVEN))


def test_models_and_dimensions_are_apart() -> None:
    """ADR 24: what is known of one model, cut or not, says nothing of another."""
    vectors = Vectors()
    looked_at(vectors.of("m"), PROVEN)
    assert looked_at(vectors.of("m"), 2) == [0]
    assert looked_at(vectors.of("n"), 2) == [0, 1]
    assert looked_at(vectors.of("m", 512), 2) == [0, 1]


def test_so_many_models_are_remembered() -> None:
    """ADR 24: names may come from clients, so there is a limit; those that nobody asked for longest are forgotten."""
    vectors = Vectors()
    kept = vectors.of("kept")
    forgotten = vectors.of("forgotten")
    for number in range(10 * MODELS):
        vectors.of(f"m{number}")
        assert vectors.of("kept") is kept
        assert len(vectors) <= MODELS
    assert vectors.of("forgotten") is not forgotten
