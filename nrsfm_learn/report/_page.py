"""The look of a report: one HTML page that carries its own styles and pictures.

Every function takes plain text and escapes it; only this file knows tags.
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from string import Template

_STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --card: #f5f6f8; --ink: #1c1f23; --soft: #5a626c; --rule: #dde1e6;
  --accent: #0063a5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #161616; --card: #202326; --ink: #e6e8ea; --soft: #a2abb5; --rule: #363c44;
    --accent: #6cb8ee;
  }
  /* Turns the paper dark and keeps hues: a blue line stays blue. */
  figure img { filter: invert(0.914) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 74rem; padding: 2rem 1.25rem 4rem;
  background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  -webkit-text-size-adjust: 100%; overflow-wrap: break-word;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 0.75rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 0.5rem; }
p, li { max-width: 44rem; margin: 0.5rem 0; }
.lead { font-size: 1.1rem; }
.soft { color: var(--soft); font-size: 0.92rem; }
ul { padding-left: 1.2rem; }
.tiles { display: flex; flex-wrap: wrap; gap: 0.75rem; margin: 1.25rem 0 0.75rem; }
.tile {
  flex: 1 1 13rem; padding: 0.8rem 1rem; border-radius: 0.6rem;
  background: var(--card); border: 1px solid var(--rule);
}
.tile b { display: block; font-size: 1.7rem; line-height: 1.25; color: var(--accent); }
.tile span { display: block; color: var(--soft); font-size: 0.88rem; line-height: 1.35; }
figure { margin: 0.75rem 0; }
.wide { overflow-x: auto; -webkit-overflow-scrolling: touch; }
figure img { display: block; width: 100%; height: auto; border-radius: 0.4rem; }
figcaption { color: var(--soft); font-size: 0.92rem; margin-top: 0.5rem; max-width: 44rem; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.32rem 1.4rem 0.32rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; }
thead th, td, tbody th { border-bottom: 1px solid var(--rule); }
tbody th { font-weight: 400; }
.numbers td, .numbers thead th + th { text-align: right; }
.numbers td { white-space: nowrap; }
code { font: 0.92em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
summary { cursor: pointer; color: var(--accent); margin: 0.75rem 0; }
@media (max-width: 40rem) {
  body { padding: 1.25rem 1rem 3rem; }
  table { font-size: 0.85rem; }
  th, td { padding-right: 0.8rem; }
  .tile { flex-basis: 9rem; padding: 0.6rem 0.75rem; }
  .tile b { font-size: 1.4rem; }
}
@media print { body { max-width: none; } figure { break-inside: avoid; } }
"""

# The policy makes the promise of the format binding: the page cannot fetch anything, and runs no
# script but the one whose hash is named.
_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src $allowed">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<h1>$title</h1>
$header
</header>
<main>
$main
</main>
$script</body>
</html>
""")


def page(title, header, sections, *, style="", script=""):
    """Lay out a whole page.

    Parameters
    ----------
    title : str
        Plain text.
    header : sequence of str
        HTML under the title.
    sections : dict of str to sequence of str
        Heading, plain text, to HTML under it.
    style : str, default=""
        Further rules of CSS.
    script : str, default=""
        JavaScript to run once the page is there.

    Returns
    -------
    str
        The document.
    """
    digest = b64encode(sha256(script.encode()).digest()).decode()
    main = (
        "\n".join(["<section>", f"<h2>{escape(heading)}</h2>", *body, "</section>"])
        for heading, body in sections.items()
    )
    return _PAGE.substitute(
        title=escape(title),
        style=_STYLE + style,
        header="\n".join(header),
        main="\n".join(main),
        allowed=f"'sha256-{digest}'" if script else "'none'",
        script=f"<script>{script}</script>\n" if script else "",
    )


def paragraph(text, kind=None):
    """Return a paragraph; ``kind`` is None, "lead" or "soft"."""
    attribute = "" if kind is None else f' class="{escape(kind)}"'
    return f"<p{attribute}>{escape(text)}</p>"


def bullets(texts):
    """Return a list with one item a text."""
    return "<ul>\n" + "\n".join(f"<li>{escape(text)}</li>" for text in texts) + "\n</ul>"


def tiles(facts):
    """Return large figures side by side, from pairs of value and what it is."""
    inner = (
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in facts
    )
    return '<div class="tiles">' + "".join(inner) + "</div>"


def table(rows, columns=(), *, numbers=False, code=False):
    """Return a table; the first cell of each row names it.

    Parameters
    ----------
    rows : iterable of sequence of str
        Cells, plain text.
    columns : sequence of str, default=()
        Headings; none if empty.
    numbers : bool, default=False
        Align all but the first column to the right.
    code : bool, default=False
        Set the first column in a typewriter face.

    Returns
    -------
    str
        HTML that scrolls sideways where the screen is too narrow.
    """
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = []
    for first, *others in rows:
        name = f"<code>{escape(first)}</code>" if code else escape(first)
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        body.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    head = f"<thead><tr>{head}</tr></thead>\n" if columns else ""
    kind = ' class="numbers"' if numbers else ""
    lines = "\n".join(body)
    return f'<div class="wide"><table{kind}>\n{head}<tbody>\n{lines}\n</tbody></table></div>'


def picture(png, description, caption, *, widths):
    """Return a picture that the page carries in itself.

    Parameters
    ----------
    png : bytes
        The picture.
    description : str
        What it shows, for those who cannot see it.
    caption : str
        Text under it.
    widths : tuple of float
        Width in rem below which it scrolls sideways instead of shrinking, and the widest that it
        gets.

    Returns
    -------
    str
        HTML.
    """
    source = f"data:image/png;base64,{b64encode(png).decode()}"
    size = "min-width:{:g}rem; max-width:{:g}rem".format(*widths)
    image = f'<img src="{source}" alt="{escape(description)}" style="{size}">'
    words = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure><div class="wide">{image}</div>{words}</figure>'


def folded(summary, html):
    """Return HTML that opens when its summary is clicked."""
    return f"<details><summary>{escape(summary)}</summary>\n{html}\n</details>"
