"""Questions to a page of the book, in JavaScript, for every browser that is asked them."""

from pathlib import Path

# Comes near every heatmap, which is when it is mounted, and goes back.
MEETS_HEATMAPS = """async () => {
    const { scrollX, scrollY } = window;
    const frame = () => new Promise(done => requestAnimationFrame(done));
    for (const root of document.querySelectorAll('.simplellm-heatmap[data-state]')) {
        for (let i = 0; i < 40 && !root.hasAttribute('data-live'); i++) {
            root.scrollIntoView({ behavior: 'instant' });  // again: the page may scroll as well
            await frame();
        }
    }
    scrollTo({ left: scrollX, top: scrollY, behavior: 'instant' });
}"""

# Resolves when the page stands: fonts there, nothing on its way in, what is mounted drawn.
STANDS = """async () => {
    await document.fonts.ready;
    await Promise.all(document.getAnimations()
        .filter(a => a.effect.getComputedTiming().endTime < 5000)
        .map(a => a.finished.catch(() => null)));
    const frame = () => new Promise(done => requestAnimationFrame(done));
    await frame(); await frame();
    const undrawn = '.simplellm-heatmap[data-live=""] canvas:not([style])';
    for (let i = 0; i < 40 && document.querySelector(undrawn); i++) await frame();
}"""

# What does not fit: sticks out of the page, is cut by its box, or spills over it.
DOES_NOT_FIT = (Path(__file__).parent / "site" / "layout.js").read_text("utf-8")

# Every heatmap: its numbers, those that it turned into colours, and how many colours there are.
HEATMAPS = """() => [...document.querySelectorAll('.simplellm-heatmap[data-state]')].map(root => {
    const h = root.heatmap;
    if (root.dataset.live !== '' || !h) return { id: root.id, shape: null };
    const [rows, columns] = h.source.shape;
    const cells = Array.from({ length: rows * columns },
        (_, i) => h.value(Math.floor(i / columns), i % columns));
    const { width, height } = h.canvas;
    const pixels = h.canvas.getContext('2d').getImageData(0, 0, width, height).data.buffer;
    return {
        id: root.id,
        shape: [rows, columns],
        values: cells.join(' '),  // one text, for many numbers come slowly
        painted: Array.from(h.paint.numbers).join(' '),
        colours: new Set(new Uint32Array(pixels)).size,
    };
})"""
