"""Formulas as MathML, which browsers draw by themselves: no script and no network."""

from html import escape

from docutils.nodes import SkipNode
from latex2mathml.converter import convert


def write_inline(self, node):
    """A formula within a line."""
    self.body.append(convert(node.astext()))
    raise SkipNode


def write_block(self, node):
    """A formula on a line of its own, in a box that scrolls where the page is narrow."""
    latex = node.astext()
    self.body.append(f'<div class="formula" role="math" aria-label="{escape(latex, quote=True)}" tabindex="0">')
    self.body.append(convert(latex, display="block") + "</div>\n")
    raise SkipNode


def setup(app):
    """A renderer for `html_math_renderer`."""
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
