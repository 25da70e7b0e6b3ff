"""Where sentences were made: the places that several claims have in common."""

from __future__ import annotations

from .claim import Source

_VASWANI = "https://arxiv.org/abs/1706.03762"
_GITHUB = "https://github.com"


def vaswani(place: str, says: str = "") -> Source:
    """The paper that introduced the layer."""
    return Source(f"Vaswani et al. 2017, {place}", _VASWANI, says)


def issue(repository: str, number: int, says: str = "", *, what: str = "") -> Source:
    """A thread on GitHub; it leads from an issue to a pull request of that number by itself.

    What there is to see, where no words are quoted, is said behind its name.
    """
    name = f"{repository} #{number}{f', {what}' if what else ''}"
    return Source(name, f"{_GITHUB}/{repository}/issues/{number}", says)


BORGI = "https://alessioborgi.github.io/blog/transformers"
LEARNING = "https://community.deeplearning.ai/t"
WHY_10000 = Source(
    "Data Science Stack Exchange 82451",
    "https://datascience.stackexchange.com/questions/82451/"
    "why-is-10000-used-as-the-denominator-in-positional-encodings-in-the-transformer",
)
EMBEDDINGS = Source(
    "Machine Learning Reference, on the Annotated Transformer's embeddings",
    "https://machinelearningreference-raw.pages.dev/01-Statistical-(machine)-learning-(data-science"
    ")/30-Model-classes/10-Neural-networks/03-Architectures/Transformer-models/"
    "Annotated-Transformer,-The/11-Implementation-of-the-embedding-model",
)
