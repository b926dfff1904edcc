"""What the documentation says is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relaxon.cli import app
from relaxon.protocol_table import document

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_protocol_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "protocol.md").read_text()
    assert written == document(), "run: python -m relaxon.protocol_table > docs/protocol.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    missing = [x for x in links if "://" not in x and not (page.parent / x).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    named = set(re.findall(r"^relaxon (\w+)", page.read_text(), re.MULTILINE))
    assert named <= known
