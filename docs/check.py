"""Checks of the built site: links, anchors and pictures are there, nothing is loaded from a network, a browser agrees.

    python docs/check.py [--no-browser]

The browser is headless Chromium. It opens every page at 400 and 1,400 pixels; screenshots of some are left in
docs/_build/screenshots.
"""

import shutil
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).parent / "_build" / "html"
SCREENSHOTS = SITE.parent / "screenshots"
WIDTHS = (400, 1400)
SHOWN = ("index", "start", "two_cs", "tuning", "lecture/index", "lecture/04_bias_and_variance_of_C", "lab/index")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The beginnings of what a window cuts off; tables, formulas and code scroll by themselves.
CUT_OFF = """[...document.querySelectorAll('article *')].filter(part =>
    part.getBoundingClientRect().right > window.innerWidth + 1 && !part.closest('table, pre, .formula')
).map(part => part.textContent.trim().slice(0, 40))"""
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


class Page(HTMLParser):
    """What a page points to, and where it can be pointed at."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loads = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note ids, links, and what a browser loads by itself."""
        found = dict(attributes)
        self.anchors.update(found[name] for name in ("id", "name") if found.get(name))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("img", "script", "source", "iframe") and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and "stylesheet" in found.get("rel", ""):
            self.loads.append(found["href"])
        self.loads += [part.split()[0] for part in found.get("srcset", "").split(",") if part.strip()]


def read(site):
    """All pages by their path; what the theme keeps in _static are no pages."""
    paths = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    return {path: Page(path.read_text(encoding="utf-8")) for path in paths}


def is_elsewhere(target):
    """Whether a target names a host or another scheme."""
    parts = urlsplit(target)
    return bool(parts.scheme or parts.netloc)


def broken(pages):
    """Sentences about links, anchors and files that are not there, and what would come from a network."""
    for path, page in pages.items():
        for target in page.loads:
            if is_elsewhere(target) and not target.startswith("data:"):
                yield f"{path}: loads {target} from a network"
        for target in page.links + page.loads:
            if not is_elsewhere(target):
                yield from _missing(path, page, target, pages)


def _missing(path, page, target, pages):
    parts = urlsplit(target)
    file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not file.is_file():
        yield f"{path}: no file for {target}"
    elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
        yield f"{path}: no anchor for {target}"


def browser():
    """Where Chromium is, or an error that says what to do."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit(
            f"No browser: none of {', '.join(BROWSERS)} is installed. The HTML alone has been checked. "
            f"Install Chromium (on Debian the package chromium), or say --no-browser."
        )
    return found


def served(site):
    """A server for the site on a free port of this machine."""
    handler = partial(_Quiet, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Nothing."""


def seen(site, pages):
    """Sentences about what a browser finds wrong."""
    from playwright.sync_api import sync_playwright

    server = served(site)
    home = f"http://127.0.0.1:{server.server_port}"
    SCREENSHOTS.mkdir(exist_ok=True)
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser(), args=SWITCHES)
            for width in WIDTHS:
                tab = chromium.new_page(viewport={"width": width, "height": 900})
                trouble = _listen(tab, home)
                for path in pages:
                    name = path.relative_to(site).with_suffix("").as_posix()
                    yield from _look_at(tab, f"{home}/{name}.html", name, width)
                    yield from (f"{name} at {width}: {what}" for what in trouble)
                    trouble.clear()
            yield from _search(tab, home)
            chromium.close()
    finally:
        server.shutdown()


def _listen(tab, home):
    """A list that fills with errors of scripts, failed requests, and requests to elsewhere."""
    trouble = []
    tab.on("pageerror", lambda error: trouble.append(f"script error {error}"))
    tab.on("console", lambda line: trouble.append(f"console: {line.text}") if line.type == "error" else None)
    tab.on("requestfailed", lambda request: trouble.append(f"request failed: {request.url}"))
    tab.on("response", lambda found: trouble.append(f"{found.status}: {found.url}") if found.status >= 400 else None)
    tab.on(
        "request",
        lambda request: (
            None if request.url.startswith((home, "data:", "blob:")) else trouble.append(f"asks for {request.url}")
        ),
    )
    return trouble


def _look_at(tab, address, name, width):
    tab.goto(address, wait_until="load")
    # Pictures further down are loaded when they come into view.
    tab.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    tab.wait_for_function("[...document.images].every(image => image.complete)")
    for source in tab.evaluate("[...document.images].filter(image => !image.naturalWidth).map(image => image.src)"):
        yield f"{name} at {width}: the picture {source} does not show"
    over = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if over > 0:
        yield f"{name} at {width}: the page is {over} pixels wider than the window"
    for text in tab.evaluate(CUT_OFF):
        yield f"{name} at {width}: runs out of the window: {text!r}"
    small = tab.evaluate("parseFloat(getComputedStyle(document.querySelector('article p') ?? document.body).fontSize)")
    if small < 14:
        yield f"{name} at {width}: text of {small} pixels"
    if name in SHOWN:
        tab.screenshot(path=SCREENSHOTS / f"{name.replace('/', '-')}-{width}.png")


def _search(tab, home):
    """The search finds a page of the lecture and a class of the reference."""
    for words, wanted in [("maximal margin", "lecture/02_maximal"), ("BudgetPathDisplay", "BudgetPathDisplay.html")]:
        tab.goto(f"{home}/search.html?q={words.replace(' ', '+')}")
        tab.wait_for_function("document.querySelector('.search-summary')?.textContent.match(/found|match/)")
        found = tab.evaluate("[...document.querySelectorAll('ul.search li a')].map(link => link.href)")
        if not any(wanted in target for target in found):
            yield f"the search for {words!r} does not find {wanted}: {found[:5]}"
    tab.screenshot(path=SCREENSHOTS / "search-1400.png")


def main(arguments):
    """Check, tell, and fail if there is something to tell."""
    if not (SITE / "index.html").exists():
        raise SystemExit("There is no site in docs/_build/html: build it with 'make docs'.")
    pages = {path.resolve(): page for path, page in read(SITE).items()}
    trouble = list(broken(pages))
    links = sum(len(page.links) + len(page.loads) for page in pages.values())
    print(f"{len(pages)} pages, {links} links, anchors and pictures")
    if "--no-browser" not in arguments:
        trouble += seen(SITE.resolve(), pages)
        print(f"opened at {' and '.join(map(str, WIDTHS))} pixels; screenshots in {SCREENSHOTS}")
    print("\n".join(trouble))
    raise SystemExit(f"{len(trouble)} things are wrong" if trouble else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
