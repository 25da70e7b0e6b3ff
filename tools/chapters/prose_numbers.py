"""Check that every number in a chapter's prose is in the outputs or the code of its notebook.

What is checked: every decimal, and every integer of three or more digits, in the markdown cells and
in the alt texts. Each must occur, as a whole number with the same value, in an output of the same
notebook or as a number in its code (an assert, a setting). 0.30 is not in 10.301, nor 2.5
in 2.511: round where you print. Thousands may be set apart: 10 000, 10,000, 10\\,000, 10{,}000.

What is exempt: citations with their years, links, cross references, directive options, section,
issue and version numbers, shell commands and configuration shown as code, and in a formula the
constants of the definition (10000).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from decimal import Decimal

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from tools.chapters.markdown_cells import VERBATIM, html_parts, parts

# ---- what counts as prose ------------------------------------------------------------------------

# Languages whose code is a command or a setting rather than a claim.
COMMANDS = {"bash", "sh", "shell", "console", "yaml", "yml", "toml", "json", "ini", "bibtex"}
NO_CLAIM = {*COMMANDS, *VERBATIM, "html"}
# Roles whose text is a place or a source; glue shows a number that the notebook computed.
ADDRESS = re.compile(
    r"(?:cite|ref|doc|numref|eq|download|term|glue|prf|py|class|func|meth|mod|attr|any)(?![a-z])"
)
FORMULA_CONSTANTS = {Decimal(10000)}

NAME = r"[A-ZÀ-Ý][\w'’-]+"
AUTHORS = rf"{NAME}(?:\s+(?:and|&)\s+{NAME}|\s+et\s+al\.?)"
YEAR = r"(?:19[5-9]\d|20[0-2]\d)[a-z]?"
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"

# Removed before numbers are looked for. Each is a place where a number is an address, not a claim.
EXEMPT = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\bhttps?://[^\s)>\]]+",
        r"\barXiv:\s?\d+\.\d+(?:v\d+)?|\bdoi:\s?\S+",
        # Vaswani et al. (2017, section 3.4) · Vaswani et al. 2017 · Vaswani (2017) · (Press, 2022)
        rf"\b{AUTHORS},?\s*\(?{YEAR}(?:,[^()]*\))?|\b{NAME}\s*\({YEAR}(?:[,;][^()]*)?\)"
        rf"|\b{NAME},\s{YEAR}\b",
        rf"\b(?:{MONTHS})\s+{YEAR}\b|\b\d{{4}}-\d\d-\d\d\b",
        r"\b(?i:in|since|until|of)\s(?:19[5-9]\d|20(?!00)[0-2]\d)(?=[,.;:)]|\s(?:the|by|and)\b|$)",
        r"§+\s?\d+(?:\.\d+)*|\b(?i:sections?|chapters?|figures?|tables?|equations?|exercises?)"
        r"\s+\(?[1-9]\d?\.\d+(?:\.\d+)*(?:(?:,| and| or| to|–)\s*[1-9]\d?\.\d+)*\)?",
        r"(?<![\w&])#\d+",  # an issue
        r"\b(?i:python|pytorch|torch|numpy|jupyter(?: book| ?lab)?|sphinx|matplotlib|version"
        r"|cc by(?:-sa)?)\s?v?\d+(?:\.\d+)+|\bv\d+(?:\.\d+)+",
        r"\b\d+\.\d+\.\d+[\w.]*",  # any version
        r"(?m)^#+\s+\d+(?:\.\d+)*\.?\s",  # a numbered heading
    )
]

POWER = re.compile(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")

# ---- numbers -------------------------------------------------------------------------------------

# No-break, figure, thin, narrow and ordinary space, comma, apostrophe; LaTeX's \, and {,}.
SEPARATOR = r"(?:[\u00a0\u2007\u2009\u202f ,'_]|\\[,; ]|\{,\})"
NUMBER = re.compile(
    r"(?<![^\W_])(?<!\.)(?<!\w_)"  # float32, d2l, x_100 and the second half of 1.2.3 are none
    rf"(?P<whole>\d{{1,3}}(?:{SEPARATOR}\d{{3}})+(?!\d)|\d+)?"
    r"(?P<fraction>\.\d+)?"
    r"(?P<exponent>[eE][+-]?\d+|\s*(?:\\times|\\cdot|×|·)\s*10\^\{?(?P<power>[-−]?\d+)\}?)?"
)
# A minus sign, and not a hyphen (512-dimensional) or a dash (16-64): something else precedes it.
MINUS = re.compile(r"(?:^|[^\w.)\]}'’”])[-−]$")


@dataclass(frozen=True)
class Number:
    """A number as it is printed, and its value."""

    text: str
    value: Decimal
    decimal: bool
    negative: bool
    start: int  # its index in the text
    parts: tuple[Decimal, ...] = ()  # of [15 234], which may also be two numbers: 15 and 234

    @property
    def checked(self) -> bool:
        """A decimal, or an integer of three or more digits."""
        return self.decimal or abs(self.value) >= 100


def in_list(text: str, at: int) -> bool:
    """Return whether a place in a text is inside [brackets] or `code` opened on its line."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line.rfind("[") > line.rfind("]") or line.count("`") % 2 == 1


def numbers_in(text: str) -> list[Number]:
    """Return the numbers in a text, thousands joined."""
    found = []
    for match in NUMBER.finditer(text):
        whole, fraction = match["whole"] or "", match["fraction"] or ""
        if not (whole or fraction) or text[match.start() :][:2].lower() == "0x":
            continue
        value = Decimal((re.sub(r"\D", "", whole) or "0") + fraction)
        exponent = (match["exponent"] or "").strip()
        if exponent:
            value = value.scaleb(int((match["power"] or exponent[1:]).replace("−", "-")))
        parts: tuple[Decimal, ...] = ()
        if re.fullmatch(r"\d+(?: [1-9]\d\d)+", whole) and in_list(text, match.start()):
            parts = tuple(Decimal(part) for part in whole.split(" "))
        found.append(
            Number(
                text=match.group(),
                value=value,
                decimal=bool(fraction or exponent),
                negative=bool(MINUS.search(text[max(0, match.start() - 2) : match.start()])),
                start=match.start(),
                parts=parts,
            )
        )
    return found


@dataclass
class Evidence:
    """The numbers that a notebook's outputs and code hold."""

    positive: set[Decimal] = field(default_factory=set)
    negative: set[Decimal] = field(default_factory=set)

    def add(self, text: str) -> None:
        """Take up every number of an output, with thousands joined and apart."""
        for number in numbers_in(text):
            for value in (number.value, *number.parts):
                (self.negative if number.negative else self.positive).add(value)
        # In an output, a space or a comma may also separate two numbers: [1,15,234].
        for digits in re.findall(r"(?<![\w.])\d+(?![\w.])", text):
            self.positive.add(Decimal(digits))

    def holds(self, number: Number) -> bool:
        """Return whether a number of the prose is among these, with its minus if it has one."""

        def one(value: Decimal) -> bool:
            return value in self.negative or (not number.negative and value in self.positive)

        return one(number.value) or (bool(number.parts) and all(map(one, number.parts)))


def text_of_html(source: str) -> str:
    """Return the visible text of a piece of HTML."""
    return "".join(p.text if p.kind == "words" and p.text else "\n" for p in html_parts(source))


def numbers_in_code(source: str) -> list[Decimal]:
    """Return the number literals of a cell (not those in comments and strings), signs left out."""
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError):
        return []  # a cell that shows a syntax error
    return [
        Decimal(str(abs(node.value)))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
        and abs(node.value) != float("inf")
    ]


def evidence_of(notebook: NotebookNode) -> Evidence:
    """Collect every number that a notebook's outputs print or its code states."""
    evidence = Evidence()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        for value in numbers_in_code(cell.source):
            evidence.positive.add(value)
            evidence.negative.add(value)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                evidence.add(output.text)
            elif output.output_type == "error":
                evidence.add(output.evalue)
            else:
                for kind in ("text/plain", "text/markdown", "text/latex"):
                    evidence.add(output.data.get(kind, ""))
                evidence.add(text_of_html(output.data.get("text/html", "")))
    return evidence


def prose_of(markdown: str) -> tuple[str, list[range]]:
    """Return what of a markdown cell makes claims (what is exempt, as blanks), and its formulas."""
    text = ""
    formulas = []
    for part in parts(markdown):
        piece = part.text or ""
        if part.kind in ("formula", "display"):
            formulas.append(range(len(text) + 1, len(text) + 1 + len(piece)))
            text += f"${piece}$"
        elif part.kind == "code":
            text += f"`{piece}`"
        elif part.kind == "words":
            text += POWER.sub(lambda found: "^" + found[0].translate(SUPERSCRIPTS), piece)
        elif part.kind == "tag" or (part.kind == "role" and ADDRESS.match(part.name)):
            text += " "
        elif part.kind != "block" or part.name not in NO_CLAIM:
            text += f" {piece} "
    for pattern in EXEMPT:
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    return text, formulas


def unsupported(markdown: str, evidence: Evidence) -> list[tuple[str, str]]:
    """Return (number, the words around it) for each number of a cell that nothing supports."""
    text, formulas = prose_of(markdown)
    missing = []
    for number in numbers_in(text):
        start, end = number.start, number.start + len(number.text)
        in_formula = any(start in formula for formula in formulas)
        if number.checked and not (
            (in_formula and number.value in FORMULA_CONSTANTS) or evidence.holds(number)
        ):
            sign = "−" if number.negative else ""
            around = " ".join(text[max(0, start - 30) : end + 30].split())
            missing.append((sign + number.text, around))
    return missing
