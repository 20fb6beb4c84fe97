"""Blocks of the documentation that are marked to be run: `<!-- test: NAME -->` before the fence."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MARKED = re.compile(r"<!-- test: ([\w-]+) -->\n```\w+\n(.*?)```", re.DOTALL)


def snippets(page: str) -> dict[str, str]:
    """The marked blocks of a page, by name."""
    return dict(_MARKED.findall((ROOT / page).read_text(encoding="utf-8")))


def at_port(snippet: str, port: int) -> str:
    """The block, for the service at another port than the one that people see."""
    return snippet.replace("127.0.0.1:8080", f"127.0.0.1:{port}")


def run_shell(snippet: str, folder: Path, seconds: float = 60) -> str:
    """Run a block of shell as it stands, in a folder; returns what it prints."""
    done = subprocess.run(
        ["sh", "-eu", "-c", snippet],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{snippet}\n{done.stdout}\n{done.stderr}"
    return done.stdout
