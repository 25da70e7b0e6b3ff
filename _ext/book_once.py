"""Do once what Sphinx and its extensions do again for every page, or every citation."""

from functools import cache

from pybtex import plugin


def count_in_the_trees_just_read(app, env):
    """Figures are counted in the pages as they are in memory, instead of read from disk again."""
    read = env.get_doctree
    env.get_doctree = lambda page: env._write_doc_doctree_cache.get(page) or read(page)
    return []


def read_trees_again(app, env):
    """Later a page may have been written, and its tree changed by that."""
    del env.get_doctree
    return []


def setup(app):
    if not hasattr(plugin._load_entry_point, "cache_info"):  # else it looks in every package
        plugin._load_entry_point = cache(plugin._load_entry_point)
    app.connect("env-get-updated", count_in_the_trees_just_read, priority=0)
    app.connect("env-get-updated", read_trees_again, priority=999)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
