"""Contract pages: what a class promises, found out by running it while the book is built.

`{contract} TokenEmbedding shapes` puts one table on the page. The cases are in
`_ext/contracts`, and the tests run the same ones.
"""

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

log = logging.getLogger(__name__)


# ---- what is found out


def name_of(dtype) -> str:
    return str(dtype).removeprefix("torch.")


def shapes(contract):
    """What comes out for an argument of each shape, or which error."""
    import torch

    from _ext.contracts.cases import make

    module = make(contract.made).eval()
    rows = []
    for shape in contract.shapes:
        argument = torch.zeros(eval(shape))
        try:
            result = str(
                tuple(module(argument.long() if contract.argument == "ids" else argument).shape)
            )
        except Exception as error:
            result = type(error).__name__
        rows.append([shape, result])
    return rows


def dtypes(contract):
    """The output's dtype, by that of the tables and, where vectors come in, by theirs."""
    import torch

    from _ext.contracts.cases import FLOATS, make

    argument, rows = make(contract.sample), []
    for dtype in FLOATS:
        if contract.argument == "ids":
            module = make(contract.made).eval().to(dtype)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                try:
                    lowered = name_of(module(argument).dtype)
                except RuntimeError as error:  # torch's own, for parts in float16
                    lowered = type(error).__name__
            rows.append([name_of(dtype), name_of(module(argument).dtype), lowered])
        else:
            found = [
                make(contract.made).to(of_table)(argument.to(dtype)).dtype
                for of_table in (torch.float32, torch.bfloat16)
            ]
            rows.append([name_of(dtype), *map(name_of, found)])
    return rows


def precision(contract):
    """How far the stored table is from the formula, at most, in each dtype."""
    from _ext.contracts.cases import FLOATS, make
    from simplellm import sinusoidal_encoding

    module = make(contract.made)
    exact = sinusoidal_encoding(range(module.max_seq_len), module.d_model)
    found = [(module.to(dtype).pe[0].double() - exact).abs().max() for dtype in FLOATS]
    return [[name_of(d), f"{error:.1e}"] for d, error in zip(FLOATS, found, strict=True)]


def state(contract, how=""):
    """Every entry of the state_dict: name, shape, and whether it is trained."""
    from _ext.contracts.cases import make

    module = make(contract.variants[how] if how else contract.made)
    trained = dict(module.named_parameters())
    return [
        [name, str(tuple(tensor.shape)), "parameter" if name in trained else "buffer"]
        for name, tensor in module.state_dict().items()
    ]


def added(contract, how):
    """The entries of a variant's state_dict that the module as made does not have."""
    known = state(contract)
    return [row for row in state(contract, how) if row not in known]


def parameters(contract):
    """How many numbers are trained, in the module as made and in each variant."""
    from _ext.contracts.cases import make

    calls = (contract.made, *contract.variants.values())
    return [[call, f"{sum(p.numel() for p in make(call).parameters()):,}"] for call in calls]


def works(contract):
    """What else the class is used with, and what comes of it."""
    from _ext.contracts.cases import make

    module, argument = make(contract.made).eval(), make(contract.sample)
    return [
        [case.label, case.outcome if case.slow else case.run(module, argument)]
        for case in contract.abilities
    ]


def refusals(contract, group):
    """The calls that raise, with type and message."""
    from _ext.contracts.cases import make

    names = {contract.instance: make(contract.small)}
    return [
        (case.call, case.error.__name__, case.message(**names)) for case in getattr(contract, group)
    ]


# ---- how it is shown


def code(text):
    return nodes.literal(text, text)


def words(text):
    """Make a paragraph in which backticks mark code."""
    paragraph = nodes.paragraph()
    for number, part in enumerate(text.split("`")):
        if part:
            paragraph += code(part) if number % 2 else nodes.Text(part)
    return paragraph


def table(header, rows):
    """Make a table of short texts; backticks mark code."""
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    head, body = nodes.thead(), nodes.tbody()
    for part, lines in ((head, [header]), (body, rows)):
        for line in lines:
            row = nodes.row()
            row += [nodes.entry("", words(text)) for text in line]
            part += row
    group += [head, body]
    return nodes.table("", group, classes=["contract"])


def definitions(found):
    """Make a list of calls, each with its error below it."""
    items = nodes.definition_list(classes=["refusals"])
    for call, error, message in found:
        raised = nodes.paragraph("", "", code(error), nodes.Text(f": {message}"))
        raised["support_smartquotes"] = False  # the words of the error, and so its quotes
        items += nodes.definition_list_item(
            "", nodes.term("", "", code(call)), nodes.definition("", raised)
        )
    return items


def in_code(rows, columns):
    """Return the rows with the cells of these columns marked as code."""
    return [
        [f"`{text}`" if number in columns else text for number, text in enumerate(row)]
        for row in rows
    ]


class ContractDirective(SphinxDirective):
    """`{contract} Class part`, or `{contract} Class state variant` (or `added variant`)."""

    required_arguments = 2
    optional_arguments = 1

    def run(self):
        from _ext.contracts import CONTRACTS

        name, part, *variant = self.arguments
        if name not in CONTRACTS:
            raise self.error(f"{name} has no contract; _ext/contracts has {', '.join(CONTRACTS)}")
        contract = CONTRACTS[name]
        try:
            return [self.show(contract, part, *variant)]
        except AssertionError as error:  # a promise that is not kept: -W ends the build
            log.warning("%s: %s", name, error, location=self.get_location(), type="book")
            return []

    def show(self, contract, part, variant=""):
        call = f"{contract.instance}({contract.argument})"
        if part == "shapes":
            return table(
                [f"shape of `{contract.argument}`", f"`{call}`"], in_code(shapes(contract), (0, 1))
            )
        if part == "dtypes":
            if contract.argument == "ids":
                header = ["tables", "output", "under autocast to bfloat16"]
            else:
                header = ["`x`", "output, table in float32", "output, table in bfloat16"]
            return table(header, in_code(dtypes(contract), (0, 1, 2)))
        if part == "precision":
            return table(["stored as", "at most this far off"], in_code(precision(contract), (0,)))
        if part == "state":
            return table(["name", "shape", "kind"], in_code(state(contract, variant), (0, 1)))
        if part == "added":
            return table(["name", "shape", "kind"], in_code(added(contract, variant), (0, 1)))
        if part == "parameters":
            return table(["made by", "trained numbers"], in_code(parameters(contract), (0,)))
        if part == "works":
            return table(["with", "what comes out"], works(contract))
        if part in ("arguments", "inputs", "generation", "caching", "losses", "loading"):
            return definitions(refusals(contract, part))
        raise self.error(f"a contract has no part {part!r}")


def setup(app):
    app.add_directive("contract", ContractDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
