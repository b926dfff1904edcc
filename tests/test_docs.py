"""What the documentation says is what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from relaxon import link_budget, protocol_table
from relaxon.boards import embedding
from relaxon.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize(
    "page, source", [("protocol", protocol_table), ("link", link_budget), ("embedding", embedding)]
)
def test_made_pages_are_up_to_date(page: str, source: ModuleType) -> None:
    written = (ROOT / "docs" / f"{page}.md").read_text()
    assert written == source.document(), f"run: python -m {source.__name__} > docs/{page}.md"


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
