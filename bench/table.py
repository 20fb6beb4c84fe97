"""Results as a table on a terminal."""

import click


def show(title: str, headings: list[str], rows: list[list[str]]) -> None:
    """Print right-aligned columns; the first one is left-aligned."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    click.echo(f"\n{title}")
    for row in [headings, ["-" * width for width in widths], *rows]:
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        click.echo("  " + "  ".join(cells))
