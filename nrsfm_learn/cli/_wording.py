"""Advice that the library gives in Python, as the command line has it."""

import re

# In this order: the longer phrases first.
_IN_THE_SHELL = [
    (re.compile(pattern), option)
    for pattern, option in (
        (r"give parents=, or data\.replace\(edges=\.\.\.\)", "give --edges A-B,C-D"),
        (r"data\.replace\(edges=\.\.\.\), or give parents=", "--edges A-B,C-D"),
        (r"data\.replace\(edges=\.\.\.\)", "--edges A-B,C-D"),
        (r"write data\.replace\(fps=30\)", "give --fps 30"),
        (r"data\.replace\(fps=30\)", "--fps 30"),
        (r"\.flipped\(\)", "--flip"),
        (r"\bformat=('[^']*' is not one that the package writes)", r"--to \1"),
        (r"\bformat=(?='|\w)", "--format "),
        (r"\bformat=", "--format"),
        (r"\bfill='interpolate'", "--write fill=interpolate"),
        (r"\by_up=(\w+)", r"--read y_up=\1"),
        (r"\bcamera='(\w+)'", r"--set camera=\1"),
        (r"(?<!')\bmin_confidence\b=(?=[\w.{'-])", "--min-confidence "),
        (r"(?<!')\bmin_confidence\b=?(?!')", "--min-confidence"),
        (r"\bindividual=(?='|\w)", "--individual "),
        (r"\btime_limit=(?=\d)", "--time-limit "),
        (r"\bkey=(?=[.;, ])", "--read key=NAME"),
    )
]


def in_the_shell(text):
    """Put the options of the command line in the place of arguments of Python.

    Parameters
    ----------
    text : str
        An error, a note or a warning of the library.

    Returns
    -------
    str
        The same in words of the command line.
    """
    for pattern, option in _IN_THE_SHELL:
        text = pattern.sub(option, text)
    return text
