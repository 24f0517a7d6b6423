"""Writes the plans of TEACHING.md from teaching/plans.toml: python -m tools.plan_tables"""

from pathlib import Path

from course_lib.machine.disk import write_text
from course_lib.plans import Plan, load_plans, remarks, table

TEACHING = Path(__file__).parent.parent / "TEACHING.md"


def with_tables(page: str, plans: dict[str, Plan]) -> str:
    """`page` with the table and the remarks of each plan between its marks."""
    for id, plan in plans.items():
        begin, end = f"<!-- plan {id} -->\n\n", "\n\n<!-- end of the plan -->"
        if begin not in page or end not in page.partition(begin)[2]:
            raise ValueError(f"expected {begin!r} and {end!r} in TEACHING.md: write them there")
        before, _, rest = page.partition(begin)
        between = f"{table(plan)}\n\n{remarks(plan)}"
        page = before + begin + between + end + end.join(rest.split(end)[1:])
    return page


if __name__ == "__main__":
    page = TEACHING.read_text(encoding="utf-8")
    write_text(TEACHING, with_tables(page, load_plans()))
