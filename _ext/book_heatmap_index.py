"""`{heatmap-index}`: every heatmap of the book, found in the committed notebooks."""

import base64
import json
from io import BytesIO
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tools.chapters.chapter_map import title_of

SIZE = 112, 70  # of a small picture: enough to know it again


# ---- what there is


def heatmaps_of(notebook: Path):
    """The heatmaps in a notebook's outputs, in order, each once."""
    from simplellm.heatmap import from_html

    found = {}
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            text = "".join(output.get("data", {}).get("text/html", ""))
            if 'class="simplellm-heatmap"' in text:
                heatmap = from_html(text)
                found.setdefault(heatmap.state["name"], heatmap)
    return list(found.values())


def controls(state) -> str:
    """What a reader can move, as the page offers it."""
    if state["kind"] == "encoding":
        return "width, number of positions, base, order of the columns"
    if state["kind"] == "sentence":
        return "your sentence; token rows, position rows or their sum"
    if state["kind"] == "conventions":
        return "both conventions, width, number of tokens; each of them or the difference"
    n_frames = state["shape"][0]
    name = state["frames"]["name"]
    return f"{name}, {n_frames} of them" if n_frames > 1 else "the cursor, over rows and columns"


# ---- a small picture


def small_picture(heatmap) -> bytes:
    """The numbers alone, in few colours: no axes, no letters that nobody could read."""
    import numpy as np
    from PIL import Image

    from simplellm.palette import colors

    values = heatmap.values()
    low, high = limits(heatmap)
    name = "diverging" if low < 0 < high else "sequential"
    ends, no_value = (
        np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colors(which)], float)
        for which in (name, "faint")
    )
    share = np.clip((values - low) / (high - low), 0, 1) * (len(ends) - 1)
    stops = np.arange(len(ends))
    rgb = np.stack([np.interp(share, stops, ends[:, k]) for k in range(3)], axis=-1)
    rgb[np.isnan(values)] = no_value
    image = Image.fromarray(rgb.round().astype(np.uint8))
    large = values.shape[0] > SIZE[1] or values.shape[1] > SIZE[0]
    image = image.resize(SIZE, Image.Resampling.BOX if large else Image.Resampling.NEAREST)
    file = BytesIO()
    image.quantize(24, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def limits(heatmap):
    value = heatmap.state.get("value")
    return (value["low"], value["high"]) if isinstance(value, dict) else (-1.0, 1.0)


# ---- how it is shown


class HeatmapIndex(SphinxDirective):
    """A list by chapter: picture, title as a link, what it is made of, what can be moved."""

    def run(self):
        found = []
        source = Path(self.env.srcdir)
        chapters, others = (source.glob(f"chapters/{place}*.ipynb") for place in ("", "reference/"))
        for notebook in [*sorted(chapters), *sorted(others)]:
            self.env.note_dependency(str(notebook))
            page = notebook.relative_to(source).with_suffix("").as_posix()
            heatmaps = heatmaps_of(notebook) if page in self.env.found_docs else []
            if not heatmaps:
                continue
            section = nodes.section(ids=[f"in-{notebook.stem.replace('_', '-')}"])
            section += nodes.title("", title_of(notebook))
            rows = nodes.bullet_list(classes=["heatmap-index"])
            rows += [self.entry(page, heatmap) for heatmap in heatmaps]
            section += rows
            found.append(section)
        return found

    def entry(self, page, heatmap):
        state = heatmap.state
        picture = base64.b64encode(small_picture(heatmap)).decode()
        image = (
            f'<img src="data:image/png;base64,{picture}" width="{SIZE[0]}" height="{SIZE[1]}" '
            f'loading="lazy" alt="Small picture of the heatmap {state["name"]}">'
        )
        up = "../" * self.env.docname.count("/")
        uri = f"{up}{page}.html#heatmap-{state['name']}"
        link = nodes.reference("", state["title"], internal=True, refuri=uri)
        facts = f"{heatmap.facts()[0]} To move: {controls(state)}."
        return nodes.list_item(
            "",
            nodes.raw("", image, format="html"),
            nodes.paragraph("", "", nodes.strong("", "", link)),
            nodes.paragraph("", facts),
        )


def setup(app):
    app.add_directive("heatmap-index", HeatmapIndex)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
