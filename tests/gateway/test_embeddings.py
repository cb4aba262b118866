"""Vectors of texts: by default from the model that comes along."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from agents.gateway import embeddings, minilm
from agents.gateway.embeddings import embed, embedding_model, validate_embeddings_name
from agents.gateway.exceptions import (
    InvalidModelName,
    MissingProviderPackage,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
    UnknownProvider,
)

pytestmark = pytest.mark.embedded


def test_rows_have_unit_length_and_like_texts_are_near() -> None:
    rows = embed(["How do I pay?", "What is the way to pay?", "The moon is round."])
    assert rows.shape == (3, 384)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


def test_order_and_company_do_not_change_a_vector() -> None:
    texts = [f"Text {'very ' * n}long number {n}" for n in range(40)]
    together = minilm.bundled().encode(texts)
    assert np.allclose(together[7], minilm.bundled().encode([texts[7]])[0], atol=1e-4)
    assert np.allclose(together[::-1], minilm.bundled().encode(texts[::-1]), atol=1e-4)


def test_no_texts_give_no_rows_and_empty_text_gives_one() -> None:
    assert len(embed([])) == 0
    assert embed([""]).shape == (1, 384)


def test_threads_share_the_model() -> None:
    with ThreadPoolExecutor(4) as threads:
        rows = list(threads.map(lambda n: embed([f"thread text {n % 3}"])[0], range(24)))
    assert all(np.allclose(rows[n], rows[n % 3], atol=1e-5) for n in range(24))


def test_recent_texts_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = embed(["remember this text"])
    monkeypatch.setattr(embeddings, "_vectors", lambda name, texts: pytest.fail("computed again"))
    assert np.array_equal(embed(["remember this text"]), first)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "REMEMBERED", 5)
    monkeypatch.setattr(embeddings, "_vectors", lambda name, texts: np.ones((len(texts), 3), np.float32))
    embed([f"bounded {n}" for n in range(20)])
    assert len(embeddings._remembered) <= 5


def test_a_folder_with_an_export_is_a_model(tmp_path: Path, settings: Any) -> None:
    model, tokenizer = minilm._bundled_files()
    (tmp_path / "model.onnx").symlink_to(model)
    (tmp_path / "tokenizer.json").symlink_to(tokenizer)
    bundled = embed(["one text"])
    settings.EMBEDDINGS_MODEL = f"onnx:{tmp_path}"
    validate_embeddings_name(embedding_model())
    assert np.allclose(embed(["one text"]), bundled, atol=1e-4)


def test_a_folder_without_an_export_is_refused(tmp_path: Path, settings: Any) -> None:
    settings.EMBEDDINGS_MODEL = f"onnx:{tmp_path}"
    with pytest.raises(ModelRejected, match=r"no model\.onnx"):
        embed(["one text"])


@pytest.fixture
def provided(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """`openai:fake` is LangChain's fake embedding, found as it finds any other."""
    settings.EMBEDDINGS_MODEL = "openai:fake"
    monkeypatch.setattr("langchain_openai.OpenAIEmbeddings", lambda model: DeterministicFakeEmbedding(size=8))
    monkeypatch.setattr(embeddings, "_quiet_until", 0.0)
    monkeypatch.setattr(embeddings, "_remembered", OrderedDict())
    embeddings._provider.cache_clear()
    yield monkeypatch
    embeddings._provider.cache_clear()


def test_any_embeddings_of_langchain_can_be_set(provided: pytest.MonkeyPatch) -> None:
    validate_embeddings_name(embedding_model())
    rows = embed(["one", "two", "one"])
    assert rows.shape == (3, 8)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    plain = np.asarray(DeterministicFakeEmbedding(size=8).embed_query("one"))
    assert np.allclose(rows[0], plain / np.linalg.norm(plain), atol=1e-5)
    assert np.array_equal(rows[0], rows[2])


def test_their_failure_is_the_gateways_and_keeps_what_was_sent_to_itself(provided: pytest.MonkeyPatch) -> None:
    def fail(_model: Any, _texts: list[str]) -> Any:
        raise ValueError("quoted: sk-secret")

    provided.setattr(DeterministicFakeEmbedding, "embed_documents", fail)
    with pytest.raises(ModelUnavailable, match=r"failed: ValueError\.$"):
        embed(["one"])


def test_a_call_does_not_wait_for_them_without_end(provided: pytest.MonkeyPatch) -> None:
    asked, let_go = [], threading.Event()

    def hang(_model: Any, texts: list[str]) -> Any:
        asked.append(texts)
        let_go.wait(30)

    provided.setattr(DeterministicFakeEmbedding, "embed_documents", hang)
    provided.setattr(embeddings, "WITHIN_SECONDS", 0.1)
    try:
        # The second is not even asked: they are left alone for a while.
        for text in ("one", "two"):
            with pytest.raises(ModelTimeout):
                embed([text])
        assert asked == [["one"]]
    finally:
        let_go.set()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("minilm", InvalidModelName), ("local:other", InvalidModelName), ("onnx:/no/such/folder", InvalidModelName),
        ("nobody:model", UnknownProvider), ("cohere:embed-english-v3.0", MissingProviderPackage),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_used_is_refused(name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        validate_embeddings_name(name)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingProviderPackage, match="onnxruntime"):
        minilm.require_packages(("onnxruntime",))


def test_word_vectors_know_words_of_one_field_from_others() -> None:
    words = minilm.word_vectors()
    assert (
        words.vector("luggage") @ words.vector("baggage") > words.vector("luggage") @ words.vector("antibiotic") + 0.2
    )
    assert len(words.pieces("cancel")) == 1
    assert len(words.pieces("allowence")) > 1


def test_nothing_heavy_is_imported_before_the_first_text() -> None:
    code = (
        "import sys, django; django.setup(); import agents.gateway.embeddings, agents.cache.semantic.verifier;"
        "print([name for name in ('onnxruntime', 'tokenizers', 'langchain') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
