"""Make _ext/math/book_math.css: the part of Latin Modern Math that formulas are drawn with.

    pip install fonttools brotli
    apt-get download fonts-lmodern && dpkg-deb -x fonts-lmodern_*.deb lmodern
    python -m tools.math_font lmodern/usr/share/texmf/fonts/opentype/public/*/latinmodern-math.otf

The result is committed; this runs again only when a formula needs a character that is not in it,
which the build reports. The font is embedded in the style sheet: it is there when the page is first
laid out, so no formula changes its size later, and a page opened from the disk may use it.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

from tools.machine.common import ROOT, main_guard, write_atomically

STYLE = ROOT / "_ext" / "math" / "book_math.css"
FAMILY = "Book Math"  # a changed font must not go by the name of the whole one

# What formulas of such a book use: upright and italic letters, Greek, the common operators, arrows,
# delimiters and accents. (Italic letters are characters of their own.)
CHARACTERS = [
    *map(ord, "¬¯°±·×÷ˆ˜ε…–‖′″ℎℓℕℝℤ←↑→↓↔↦⇒⇔∀∂∃∅∇∈∉∏∑−∓∗∘√∝∞∣∥∧∨∩∪∫∼≈≠≡≤≥≪≫⊂⊆⊙⊕⊗⊤⊥⋅⋮⋯⋱"),
    *map(ord, "⌈⌉⌊⌋⏞⏟⟨⟩"),
    *(0xA0, 0x302, 0x303, 0x304, 0x2061, 0x2062, 0x2063),  # a space, accents, unseen operators
    *range(0x20, 0x7F),
    *range(0x391, 0x3CA),  # Greek
    *(0x3D1, 0x3D5, 0x3F5),
    *range(0x1D434, 0x1D468),  # italic
    *range(0x1D6FC, 0x1D71C),  # italic Greek
]

HEAD = """\
/* Made by tools/math_font.py: a part of Latin Modern Math, by B. Jackowski, P. Strzelczyk and
   P. Pianowski on behalf of TeX users groups, under _ext/math/GUST-FONT-LICENSE.txt. */
"""


def ranges(characters: list[int]) -> str:
    """Write characters as CSS does: U+20-7E, U+AC."""
    parts: list[list[int]] = []
    for character in sorted(characters):
        if parts and character == parts[-1][1] + 1:
            parts[-1][1] = character
        else:
            parts.append([character, character])
    return ", ".join(f"U+{a:X}" if a == b else f"U+{a:X}-{b:X}" for a, b in parts)


def subset(source: Path) -> tuple[bytes, list[int]]:
    """Return the part of a font as WOFF2, and the characters that it has."""
    from fontTools import subset as tool

    options = tool.Options(
        flavor="woff2",
        layout_features=[],
        name_IDs=[0, 1, 2, 4, 6, 13, 14],  # names, and whose work it is under which licence
        hinting=False,
        desubroutinize=True,
        drop_tables=["FFTM"],
    )
    font = tool.load_font(str(source), options)
    cutter = tool.Subsetter(options)
    cutter.populate(unicodes=CHARACTERS)
    cutter.subset(font)
    for record in font["name"].names:
        if record.nameID in (1, 4, 6):
            record.string = FAMILY.replace(" ", "") if record.nameID == 6 else FAMILY
    out = io.BytesIO()
    tool.save_font(font, out, options)
    return out.getvalue(), sorted(font.getBestCmap())


def main() -> int:
    """Write the style sheet from the font named on the command line."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        raise SystemExit(__doc__)
    data, characters = subset(Path(sys.argv[1]))
    text = base64.b64encode(data).decode()
    style = (
        f'{HEAD}@font-face {{\n  font-family: "{FAMILY}";\n'
        f"  unicode-range: {ranges(characters)};\n"
        f"  src: url(data:font/woff2;base64,{text}) format('woff2');\n}}\n"
    )
    write_atomically(STYLE, style.encode())
    print(f"{STYLE.relative_to(ROOT)}: {len(characters)} characters, {len(style)} bytes")
    return 0


if __name__ == "__main__":
    main_guard(main)
