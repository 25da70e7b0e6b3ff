"""Real text for training: where it comes from, how it is split, and windows drawn from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from .checks import INTEGER_DTYPES, check_int, check_positive_int


def python_topics() -> str:
    """Read the prose of Python's own help: the text that the book trains on.

    465 126 characters, as Python 3.11.7 has them. Each version of Python, and even each patch of
    one, has its own wording; the package brings this one along, so that a run gives the same losses
    whichever Python runs it.

    Returns:
        All topics, in the order of their names, with an empty line between two.

    Example:
        >>> text = python_topics()
        >>> len(text)
        465126
        >>> "Boolean operations" in text
        True

    Source: ``pydoc_data.topics`` of Python 3.11.7, under the licence in the text's folder;
    ``help("topics")`` lists those of your Python.
    """
    file = resources.files(__package__) / "texts" / "python_topics.txt"
    return file.read_bytes().decode("utf-8")


def django_docs() -> str:
    """Read the documentation of Django: the book's long text, which no training here reads twice.

    6 075 119 characters of English about programming, in reStructuredText: every ``.txt`` of the
    folder ``docs`` of Django 5.2.8, in the order of their paths. The package brings it along,
    compressed.

    Returns:
        All pages, one after the other.

    Example:
        >>> text = django_docs()
        >>> len(text)
        6075119

    Source: the source distribution of Django 5.2.8, under the BSD licence in the text's folder.
    """
    import lzma  # which some builds of Python lack

    file = resources.files(__package__) / "texts" / "django_docs.txt.xz"
    return lzma.decompress(file.read_bytes()).decode("utf-8")


#: The texts that models are trained on, by the name that a run's ``corpus`` calls them.
CORPORA: dict[str, Callable[[], str]] = {"python": python_topics, "django": django_docs}


def read_text(path: str | os.PathLike[str], *, min_length: int = 1000) -> str:
    r"""Read a text file in UTF-8.

    A byte order mark is left out, and every line ends in a newline alone.

    Args:
        path: The file.
        min_length: Fewest characters that are enough.

    Returns:
        Its text.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
        ValueError: If it is empty, too short or not UTF-8; the message has the offset of the byte.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "poem.txt")
        ...     _ = path.write_bytes(b"one\r\ntwo\r\n")
        ...     read_text(path, min_length=5)
        'one\ntwo\n'
    """
    check_positive_int("min_length", min_length)
    shown = repr(os.fspath(path))
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"path {shown} does not exist; the current folder is {os.getcwd()!r}."
        ) from error
    except OSError as error:  # Windows raises PermissionError for a folder
        if Path(path).is_dir():
            raise IsADirectoryError(f"path {shown} is a folder: name a text file in it.") from error
        raise
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"path {shown} is not UTF-8: byte 0x{data[error.start]:02X} at offset {error.start} "
            "does not fit. Save the file as UTF-8, or read it with its own encoding: "
            "open(path, encoding=…).read()."
        ) from error
    if (offset := data.find(0)) >= 0:
        name = "utf-16-le" if offset % 2 else "utf-16-be"
        raise ValueError(
            f"path {shown} is no text in UTF-8: it holds a zero byte at offset {offset}. It looks "
            f"like UTF-16 without a byte order mark. Save it as UTF-8, or read it with its own "
            f"encoding: open(path, encoding={name!r}).read()."
        )
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ValueError(f"path {shown} is empty: it holds no text.")
    if len(text) < min_length:
        raise ValueError(
            f"path {shown} is too short: {len(text)} characters, min_length is {min_length}. Take "
            "a longer text, or pass a smaller min_length."
        )
    return text


def split_blocks(
    ids: Tensor, *, block: int = 1024, validation: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Cut a text into blocks and set every k-th aside for validation.

    Interleaved, because the end of a text is rarely like its beginning. No id is in both parts;
    only a last block that is not full is left out.

    Args:
        ids: The whole text, ``(number of ids,)``, integer.
        block: Ids in one block; the longest window is as long.
        validation: Share of the blocks for validation, above 0 and at most 0.5. It is rounded to
            one block in k.

    Returns:
        Blocks for training and for validation, each ``(blocks, block)``, in the text's order.

    Raises:
        TypeError: If ids are no integer tensor.
        ValueError: If there are fewer than k full blocks.

    Example:
        >>> train, validation = split_blocks(torch.arange(13), block=2, validation=0.33)
        >>> validation.tolist()
        [[4, 5], [10, 11]]
        >>> train.tolist()
        [[0, 1], [2, 3], [6, 7], [8, 9]]
    """
    if not isinstance(ids, Tensor) or ids.dtype not in INTEGER_DTYPES:
        what = f"dtype {ids.dtype}" if isinstance(ids, Tensor) else type(ids).__name__
        raise TypeError(f"ids must be an integer tensor, got {what}. Wrap them: torch.tensor(ids).")
    if ids.dim() != 1:
        raise ValueError(f"ids must have shape (number of ids,), got {tuple(ids.shape)}.")
    check_positive_int("block", block)
    if isinstance(validation, bool) or not isinstance(validation, (int, float)):
        raise TypeError(f"validation must be a number, got {validation!r}.")
    if not 0 < validation <= 0.5:
        raise ValueError(f"validation must be above 0 and at most 0.5, got {validation}.")
    every = round(1 / validation)
    whole = len(ids) // block
    if whole < every:
        raise ValueError(
            f"ids are too short: {len(ids)} ids are {whole} blocks of {block}, and one block in "
            f"{every} is for validation, so at least {every * block} ids are needed. Take a longer "
            f"text, a smaller block or a larger share than validation = {validation}."
        )
    blocks = ids[: whole * block].reshape(whole, block)
    held_out = torch.arange(whole, device=ids.device) % every == every - 1
    return blocks[~held_out], blocks[held_out]


def random_windows(
    blocks: Tensor, batch: int, seq_len: int, *, generator: torch.Generator
) -> Tensor:
    """Draw windows anywhere in the blocks; none crosses from one block into another.

    The inputs are ``windows[:, :-1]`` and the targets ``windows[:, 1:]``. From the rows of
    ``aligned_windows`` this draws whole rows, in random order.

    Args:
        blocks: ``(blocks, block)``, as ``split_blocks`` gives them.
        batch: Number of windows.
        seq_len: Number of ids the model reads; at most block - 1.
        generator: Decides the draw.

    Returns:
        ``(batch, seq_len + 1)``.

    Raises:
        ValueError: If a block is too short for a window.

    Example:
        >>> blocks = torch.arange(20).reshape(2, 10)
        >>> windows = random_windows(blocks, 4, 3, generator=torch.Generator().manual_seed(0))
        >>> windows.shape
        torch.Size([4, 4])
        >>> bool((windows[:, 0] // 10 == windows[:, -1] // 10).all())  # each within one block
        True
    """
    check_positive_int("batch", batch)
    block = _check_fits(blocks, seq_len, 0)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator, got {type(generator).__name__}. "
            "Make one: torch.Generator().manual_seed(0)."
        )
    place = generator.device
    rows = torch.randint(len(blocks), (batch, 1), generator=generator, device=place)
    starts = torch.randint(block - seq_len, (batch, 1), generator=generator, device=place)
    columns = starts + torch.arange(seq_len + 1, device=place)  # (batch, seq_len + 1)
    return blocks[rows.to(blocks.device), columns.to(blocks.device)]


def aligned_windows(blocks: Tensor, seq_len: int, *, shift: int = 0) -> Tensor:
    """Cut the blocks into windows at fixed places: each begins where the one before ends.

    With another ``shift`` the same text is at other positions.

    Args:
        blocks: ``(blocks, block)``, as ``split_blocks`` gives them.
        seq_len: Number of ids the model reads; at most block - 1 - shift.
        shift: Ids left out at the start of each block.

    Returns:
        ``(windows, seq_len + 1)``. The last id of a window is the first of the next, so that
        each id after the first is predicted once; what is too short for a window is left out.

    Raises:
        ValueError: If a block is too short for a window, or shift is negative.

    Example:
        >>> aligned_windows(torch.arange(10).unsqueeze(0), 3).tolist()
        [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
        >>> aligned_windows(torch.arange(10).unsqueeze(0), 3, shift=1).tolist()
        [[1, 2, 3, 4], [4, 5, 6, 7]]
    """
    _check_fits(blocks, seq_len, shift)
    return blocks[:, shift:].unfold(1, seq_len + 1, seq_len).reshape(-1, seq_len + 1).clone()


def _check_fits(blocks: object, seq_len: int, shift: int) -> int:
    """Refuse blocks that hold no window, and return their width."""
    if not isinstance(blocks, Tensor):
        raise TypeError(f"blocks must be a tensor (blocks, block), got {type(blocks).__name__}.")
    if blocks.dim() != 2 or not len(blocks):
        raise ValueError(
            f"blocks must have shape (blocks, block) with at least one block, got "
            f"{tuple(blocks.shape)}. split_blocks makes them; one whole text is ids.unsqueeze(0)."
        )
    check_positive_int("seq_len", seq_len)
    check_int("shift", shift)
    if shift < 0:
        raise ValueError(f"shift must be at least 0, got {shift}.")
    block = blocks.shape[1]
    if shift + seq_len + 1 > block:
        after = f" after shift = {shift}" if shift else ""
        raise ValueError(
            f"seq_len must be at most {block - 1 - shift}, got {seq_len}: a window is seq_len + 1 "
            f"ids{after}, and a block has {block}. Take a smaller seq_len, or larger blocks: "
            "split_blocks(ids, block=…)."
        )
    return block
