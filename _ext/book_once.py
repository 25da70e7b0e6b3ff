"""Do once what Sphinx and its extensions do again for every page, or every citation."""

from functools import cache

from pybtex import plugin
from sphinx import addnodes


def count_in_the_trees_just_read(app, env):
    """Figures are counted in the pages as they are in memory, instead of read from disk again."""
    read = env.get_doctree
    env.get_doctree = lambda page: env._write_doc_doctree_cache.get(page) or read(page)
    return []


def read_trees_again(app, env):
    """Later a page may have been written, and its tree changed by that."""
    del env.get_doctree
    return []


def only_titles(toc):
    """A page's contents cut to its title and the pages below it, as Sphinx cuts each copy."""
    kept = toc.deepcopy()
    for title in kept.children:
        if len(title) > 1:
            below = list(title.findall(addnodes.toctree))
            title[1][:] = below
            if not below:
                title.pop(1)
    return kept


def cut_contents_once(app):
    """The sidebar names pages alone, and for each page copied every section of the book."""
    builder, env = app.builder, app.env
    if builder.name != "html":
        return
    render, titles = builder._get_local_toctree, {}

    def render_titles(page, collapse=True, **options):
        if not options.get("titles_only"):
            return render(page, collapse, **options)
        if not titles:  # when the first page is written, all have been read
            titles.update({name: only_titles(toc) for name, toc in env.tocs.items()})
        whole, env.tocs = env.tocs, titles
        try:
            return render(page, collapse, **options)
        finally:
            env.tocs = whole

    builder._get_local_toctree = render_titles
    # Sphinx would index the words of each page for a search that is not ours (book_search).
    builder.index_page = lambda *page: None
    builder.dump_search_index = lambda: None


def setup(app):
    if not hasattr(plugin._load_entry_point, "cache_info"):  # else it looks in every package
        plugin._load_entry_point = cache(plugin._load_entry_point)
    app.connect("builder-inited", cut_contents_once)
    app.connect("env-get-updated", count_in_the_trees_just_read, priority=0)
    app.connect("env-get-updated", read_trees_again, priority=999)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
