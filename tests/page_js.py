"""Questions to a page of the book, in JavaScript, for every browser that is asked them."""

# Resolves when the page stands: formulas typeset, fonts there, nothing on its way in.
STANDS = """async () => {
    const late = new Promise((_, fail) => setTimeout(fail, 60000, 'MathJax never started'));
    if (window.MathJax) await Promise.race([MathJax.startup?.promise, late]);
    await document.fonts.ready;
    await Promise.all(document.getAnimations()
        .filter(a => a.effect.getComputedTiming().endTime < 5000)
        .map(a => a.finished.catch(() => null)));
    const frame = () => new Promise(done => requestAnimationFrame(done));
    await frame(); await frame();
}"""

# What makes the page wider than the window. Its width is what a scroll bar leaves of the window.
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = e => e && e !== document.body
        && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    const parts = '.bd-content *:not(mjx-assistive-mml, mjx-assistive-mml *)';
    const wide = [...document.querySelectorAll(parts)]
        .filter(e => e.getBoundingClientRect().right > width + 1 && !scrolls(e))
        .map(e => e.outerHTML.slice(0, 120));
    return document.documentElement.scrollWidth > width ? ['the page', ...wide] : wide;
}"""

# The boxes whose words reach over their edge: of the map of chapters, and what one can press.
SPILLS = """() => [...document.querySelectorAll(
    '.concept-map li, .simplellm-heatmap :is(button, label), .simplellm-claims :is(button, label)')]
    .filter(e => e.clientHeight > 0
        && (e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1))
    .map(e => `${e.className || e.localName}: ${e.textContent.slice(0, 60)}`)"""

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
        painted: Array.from(h.numbers).join(' '),
        colours: new Set(new Uint32Array(pixels)).size,
    };
})"""
