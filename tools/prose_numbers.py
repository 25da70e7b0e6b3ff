"""Does every number in a chapter's prose stand in what its code gives?

What is checked: every decimal, and every integer of three or more digits, in the markdown cells and
in the alt texts. It must stand, as a whole number with the same value, in an output of the same
notebook or as a number in its code (an assert, a setting). 0.30 does not stand in 10.301, nor 2.5
in 2.511: round where you print. Thousands may be set apart: 10 000, 10,000, 10\\,000, 10{,}000.

What is exempt: citations with their years, links, cross references, directive options, section,
issue and version numbers, shell commands and configuration shown as code, and in a formula the
constants of the definition (10000).
"""

from __future__ import annotations

import ast
import html
import re
from dataclasses import dataclass, field
from decimal import Decimal
from html.parser import HTMLParser

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

# ---- what counts as prose ------------------------------------------------------------------------

# Directives whose body is no prose, and languages whose code is a command rather than a claim.
NOT_PROSE = {
    *("bibliography", "code-block", "code", "eval-rst", "include", "literalinclude", "mermaid"),
    *("raw", "toctree", "tableofcontents", "glossary-list"),
    *("bash", "sh", "shell", "console", "yaml", "yml", "toml", "json", "ini", "bibtex", "html"),
}
# Directives whose argument is a file or a name.
NAME_ARGUMENT = {"figure", "image", "exercise-start", "solution", "solution-start", "glue"}
FENCE = re.compile(r"^\s*(?P<fence>`{3,}|~{3,}|:{3,})\s*(?P<info>.*?)\s*$")
OPTION = re.compile(r"^\s*:(?P<name>[\w-]+):\s*(?P<value>.*)$")

FORMULA = re.compile(
    r"\$\$.+?\$\$|(?<![\\$])\$(?!\s)(?:\\.|[^$\\])+?\$|\\\[.+?\\\]|\\\(.+?\\\)"
    r"|\{math\}`[^`]+`|\\begin\{(\w+\*?)\}.+?\\end\{\1\}",
    re.DOTALL,
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
        r"<!--.*?-->",
        r"(?m)^%.*$",  # a MyST comment
        # a link's definition: an address, perhaps a title, and nothing more
        r"(?m)^\s*\[(?!\^)[^\]\n]+\]:[ \t]*\S+(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'))?[ \t]*$",
        r"\[\^[^\]\s]+\]:?",  # the name of a footnote; what it says is a claim like any other
        r"(?m)^\([\w:.-]+\)=\s*$",  # a target
        r"\{(?:cite|ref|doc|numref|eq|download|term|glue|prf|py|class|func|meth|mod|attr|any)"
        r"[\w:-]*\}`[^`]*`",
        r"<https?://[^>]*>|\bhttps?://[^\s)>\]]+",
        # the address of a link, and not its title, which shows under the mouse
        r"(?<=\])\([^()\s]*(?:\([^()]*\)[^()\s]*)*(?=\)|\s+[\"'])",
        r"(?<=\])\[[^\]]*\]",  # the name of a link
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

IMAGE_TAG = re.compile(r"<img\b[^<>]*?\balt\s*=\s*([\"'])(.*?)\1[^<>]*>", re.DOTALL | re.IGNORECASE)
TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?>")
SPACES = {"&nbsp;": "\u00a0", "&thinsp;": "\u2009"}
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
    """A number as it is printed, and what it says."""

    text: str
    value: Decimal
    decimal: bool
    negative: bool
    start: int  # where it stands in the text
    parts: tuple[Decimal, ...] = ()  # of [15 234], which may also be two numbers: 15 and 234

    @property
    def checked(self) -> bool:
        """A decimal, or an integer of three or more digits."""
        return self.decimal or abs(self.value) >= 100


def in_list(text: str, at: int) -> bool:
    """Say whether a place in a text lies inside [brackets] or `code` opened on its line."""
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
        # In an output, a space or a comma may stand between two numbers as well: [1,15,234].
        for digits in re.findall(r"(?<![\w.])\d+(?![\w.])", text):
            self.positive.add(Decimal(digits))

    def holds(self, number: Number) -> bool:
        """Say whether a number of the prose stands here; a printed minus must stand here too."""

        def one(value: Decimal) -> bool:
            return value in self.negative or (not number.negative and value in self.positive)

        return one(number.value) or (bool(number.parts) and all(map(one, number.parts)))


class Text(HTMLParser):
    """Collects what a reader of an HTML output sees: no script, no style, no attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Hide what follows a script or style; elsewhere a tag parts words."""
        del attrs
        self.hidden += tag in ("script", "style")
        self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Show again."""
        if tag in ("script", "style"):
            self.hidden = max(0, self.hidden - 1)
        self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep what is not hidden."""
        if not self.hidden:
            self.parts.append(data)


def text_of_html(source: str) -> str:
    """Return the visible text of a piece of HTML."""
    parser = Text()
    parser.feed(source)
    parser.close()
    return "".join(parser.parts)


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


def prose_of(markdown: str) -> str:
    """Return what of a markdown cell makes claims: its text, its alt texts, its formulas."""
    kept: list[str] = []
    opened: list[tuple[str, str]] = []  # the fences around this line, with their directives
    options = yaml = False  # are we in the lines right after a directive's opening?
    for line in markdown.splitlines():
        fence = FENCE.match(line)
        dropped = any(name in NOT_PROSE for _, name in opened)
        if fence and opened and not fence["info"]:
            top, name = opened[-1]
            if fence["fence"][0] == top[0] and len(fence["fence"]) >= len(top):
                opened.pop()
                options = yaml = False
                if name == "math":
                    kept.append("$$")
                continue
        if fence and not dropped:
            directive = re.match(r"\{([\w:+-]+)\}\s*(.*)", fence["info"])
            name = directive[1] if directive else fence["info"].partition(" ")[0]
            opened.append((fence["fence"], name))
            options = bool(directive)
            if name == "math":
                kept.append("$$")
            if directive and name not in NOT_PROSE | NAME_ARGUMENT:
                kept.append(directive[2])
            continue
        if dropped:
            continue
        if options and line.strip() == "---":
            yaml, options = not yaml, not yaml
            continue
        option = OPTION.match(line) if options else None
        if option or yaml:
            if option and option["name"] in ("alt", "caption"):
                kept.append(option["value"])
            continue
        options = False
        kept.append(line)
    return "\n".join(kept)


def clean(prose: str) -> str:
    """Take out of prose what is exempt, and write superscripts as powers."""
    for entity, character in SPACES.items():
        prose = prose.replace(entity, character)
    prose = IMAGE_TAG.sub(r" \2 ", prose)
    for pattern in EXEMPT:
        prose = pattern.sub(" ", prose)
    prose = re.sub(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: "^" + found[0].translate(SUPERSCRIPTS), prose)
    return html.unescape(TAG.sub(" ", prose))


def unsupported(markdown: str, evidence: Evidence) -> list[tuple[str, str]]:
    """Return (number, the words around it) for each number of a cell that stands nowhere."""
    text = clean(prose_of(markdown))
    formulas = [match.span() for match in FORMULA.finditer(text)]
    missing = []
    for number in numbers_in(text):
        start, end = number.start, number.start + len(number.text)
        in_formula = any(first <= start < last for first, last in formulas)
        if number.checked and not (
            (in_formula and number.value in FORMULA_CONSTANTS) or evidence.holds(number)
        ):
            sign = "−" if number.negative else ""
            around = " ".join(text[max(0, start - 30) : end + 30].split())
            missing.append((sign + number.text, around))
    return missing
