"""Every page works from its own files: over http in light and in dark, and from the disk."""

import pytest

PAGE_WEIGHT_LIMIT = 1_000_000  # bytes, uncompressed, everything in: the heaviest has 0.99 million
FIRST_PAGE = "chapters/00_start_here.html"


def everywhere(test):
    """Every chapter, and one of each other sort of page; some in the dark and from the disk."""
    test = pytest.mark.opened("dark", "disk", of="sample with heatmap")(test)
    return pytest.mark.opened("light", of="notebook or sample")(test)


@everywhere
def test_no_request_leaves_the_machine(visit):
    own = (visit.origin, "data:", "blob:")
    assert [url for url in visit.requests if not url.startswith(own)] == []


@everywhere
def test_every_file_arrives(visit):
    assert visit.failures == []


@everywhere
def test_console_is_quiet(visit):
    assert visit.console == []


@everywhere
def test_nothing_throws(visit):
    assert visit.thrown == []


@everywhere
def test_every_formula_is_typeset(visit):
    assert visit.facts["untypeset"] == []


@everywhere
def test_every_heatmap_comes_alive(visit):
    assert visit.facts["dead"] == []


@everywhere
def test_page_stays_light(visit):
    """The bytes of a first load as they lie on the disk: the same on every machine."""
    sizes = {f.as_posix(): f.stat().st_size for f in visit.files() if f.is_file()}
    heaviest = sorted(sizes.items(), key=lambda s: -s[1])[:8]
    assert sum(sizes.values()) < PAGE_WEIGHT_LIMIT, heaviest


def test_some_page_has_formulas_and_heatmaps(site):
    """Otherwise the checks above would pass on an empty book."""
    book = "".join(f.read_text("utf-8") for f in site.glob("chapters/*.html"))
    assert 'class="math ' in book
    assert 'class="simplellm-heatmap"' in book


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_front_door_leads_to_the_first_page(scheme, site, site_url, new_page):
    page, failures = new_page(), []
    page.on("response", lambda r: failures.append(r.url) if r.status >= 400 else None)
    page.goto(f"{site_url if scheme == 'http' else site.as_uri()}/index.html")
    page.wait_for_url(f"**/{FIRST_PAGE}")
    page.wait_for_load_state("networkidle")
    assert failures == []


def test_icons_draw_without_the_icon_script(site_url, new_page):
    page = new_page()
    page.goto(f"{site_url}/{FIRST_PAGE}")
    page.wait_for_load_state("networkidle")
    loaded = page.evaluate(
        "[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family).join()"
    )
    assert "Font Awesome" in loaded
    icon = page.locator(".theme-switch-button i:visible")
    assert icon.evaluate("i => getComputedStyle(i, '::before').content") != "none"
