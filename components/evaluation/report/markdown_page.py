"""A Markdown report as a self-contained HTML page."""

from __future__ import annotations

from html import escape

from markdown_it import MarkdownIt


def markdown_page(report: str) -> str:
    """Render Markdown (CommonMark with tables, no raw HTML) as a page that loads nothing.

    The title is the first line, a heading.
    """
    title = report.partition("\n")[0].lstrip("# ")
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(report)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}</body>
</html>
"""


_STYLE = """
body { margin: 0 auto; padding: 1.5rem; max-width: 60rem; font: 1rem/1.5 system-ui, sans-serif;
       background: Canvas; color: CanvasText; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #8886;
         font-variant-numeric: tabular-nums; }
img { max-width: 100%; }
blockquote { margin: 1rem 0; padding: .1rem 1rem; border-left: .25rem solid #c80; }
"""
