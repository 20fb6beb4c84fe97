"""`python -m bench [NAME ...]` runs all benches, or those named."""

import importlib
import pkgutil

import click

import bench

_PARTS = {"__main__", "bare", "load", "table"}
NAMES = sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in _PARTS)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
def main(names: tuple[str, ...]) -> None:
    """Run the benches named, or all of them."""
    for name in names or NAMES:
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
