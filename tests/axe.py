"""What axe-core finds wrong in a page: that part of WCAG 2.2 A and AA which a program can tell."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "rules": {"target-size": {"enabled": True}},  # of WCAG 2.2; axe leaves it off
    "resultTypes": ["violations"],
    "preload": False,  # it would fetch all style sheets again, for rules that are off
}
ROOT = ".course-page"


def violations(page: Page, within: str = ROOT) -> list[str]:
    """A sentence for each element in `within`, a CSS selector, that breaks a rule."""
    found = Axe().run(page, within, OPTIONS).response
    assert found["passes"], f"axe-core has seen nothing in {within}"
    return [
        f"{rule['id']}: {node['target'][0]} {node['html'][:200]} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
