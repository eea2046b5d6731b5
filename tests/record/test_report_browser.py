"""report.html in a real Chromium: it draws, sorts, filters and prints, and text stays text."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import PHONE, Shown, chromium, open_page
from tests.recorded_run import write_run
from verlaunch.record.channel import SAMPLES
from verlaunch.record.report.history import read
from verlaunch.record.report.page.build import html
from verlaunch.record.report.summary import summarize

ATTACK = (
    "<script>document.title = 'owned'</script></script>"
    "<img src=x onerror=\"document.title='owned'\">"
    "<!-- \u202egnp.exe <style>body{display:none}</style> http://example.com/a.png"
)
LONG = "Step by step. " * 8000
ROWS = "#samples tbody tr"

# The contrast of every text that is seen with what lies behind it (WCAG 2.1, 1.4.3).
FAINT = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parse(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if ((parse(colour)[3] ?? 1) === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const one of document.querySelectorAll("main *")) {
    const own = [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !one.checkVisibility()) continue;
    const style = getComputedStyle(one);
    const ink = one.namespaceURI.endsWith("svg") ? style.fill : style.color;
    const [low, high] = [light(ink), light(behind(one))].sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(one.outerHTML.slice(0, 80));
  }
  return faint;
}"""

# Elements that are not there, or that hold more than they show.
CUT = """(what) => [...document.querySelectorAll(what)]
  .filter((one) => !one.checkVisibility() || one.scrollHeight > one.clientHeight + 4)
  .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def write_page(folder: Path) -> Path:
    history = read(folder)
    file = folder / "report.html"
    file.write_text(html(history, summarize(history)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two data sources, a judge, an attack and a very long response."""
    folder = write_run(tmp_path_factory.mktemp("page") / "<b>run & co", steps=40, judge=True)
    more = [
        {"step": 40, "data_source": "dialogue", "prompt": [{"role": "user", "content": text}],
         "response": text, "ground_truth": text, "score": score, "judge_score": 0.25}
        for text, score in ((ATTACK, 7.5), (LONG, -3.0))
    ]  # fmt: skip
    with (folder / SAMPLES).open("a") as samples:
        samples.writelines(json.dumps(line) + "\n" for line in more)
    return write_page(folder)


@pytest.fixture
def shown(browser: Any, file: Path) -> Iterator[Shown]:
    found = open_page(browser, file)
    yield found
    found.page.context.close()


def column(page: Any, title: str) -> list[str]:
    return page.locator(f"{ROWS} td[data-label='{title}']").all_inner_texts()


def scores(page: Any) -> list[float]:
    return [float(text) for text in column(page, "score")]


def count(page: Any) -> int:
    return page.locator(ROWS).count()


def test_the_page_draws_without_an_error_and_asks_nobody(shown: Shown) -> None:
    page = shown.page
    assert page.locator("h1").inner_text() == "<b>run & co"
    assert page.locator("svg .line").count() >= 20
    assert page.locator("svg .healthy").count() >= 3
    assert page.locator("#verdicts .verdict").count() >= 8
    for section in ("alerts", "judge", "time", "settings", "machine", "files"):
        assert page.locator(f"#{section}").inner_text()
    assert shown.errors == [] and shown.requests == []


def test_what_a_response_says_stays_text_and_does_not_run(shown: Shown) -> None:
    page = shown.page
    page.get_by_label("Text", exact=True).fill("document.title")
    cell = page.locator(f"{ROWS} td[data-label=response] .text")
    assert cell.text_content() == ATTACK
    assert cell.locator("*").count() == 0
    assert page.title() == "<b>run & co" and page.locator("main img, main script").count() == 0
    assert page.locator("body").is_visible() and shown.requests == []


def test_the_policy_stops_a_script_that_got_in_after_all(shown: Shown) -> None:
    page = shown.page
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'owned'";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src='http://127.0.0.1:9/a.png'>");
    }""")
    page.wait_for_timeout(50)
    assert page.title() == "<b>run & co"
    assert len(shown.errors) == 2 and all("Content Security" in text for text in shown.errors)


def test_sorting_by_score_sorts_the_rows_both_ways(shown: Shown) -> None:
    page = shown.page
    before = scores(page)
    head = page.get_by_role("button", name="score", exact=True)
    head.focus()
    page.keyboard.press("Enter")
    assert scores(page) == sorted(before, reverse=True) and scores(page)[0] == 7.5
    assert page.locator("#samples th[aria-sort=descending]").inner_text().startswith("score")
    head.click()
    assert scores(page) == sorted(before) and scores(page)[0] == -3.0


def test_filters_narrow_the_rows_together(shown: Shown) -> None:
    page = shown.page
    page.get_by_label("Show", exact=True).select_option("all")
    everything = count(page)
    assert everything == 162
    page.get_by_label("From step").fill("11")
    page.get_by_label("to step").fill("20")
    assert count(page) == 40 and set(column(page, "step")) == {str(n) for n in range(11, 21)}
    page.get_by_label("Text", exact=True).fill("WHAT IS 7+")
    assert 0 < count(page) < 40
    assert all(text.startswith("What is 7+") for text in column(page, "prompt"))
    assert f"{count(page)} sample" in page.locator("#samples .count").inner_text()
    for label in ("From step", "to step", "Text"):
        page.get_by_label(label).fill("")
    page.get_by_label("Data source").select_option("dialogue")
    assert count(page) == 2


def test_best_worst_and_random_can_be_asked_for(shown: Shown) -> None:
    page = shown.page
    assert count(page) == 32
    page.get_by_label("Show", exact=True).select_option("best")
    assert count(page) == 8 and set(column(page, "pick")) == {"best"}


def test_a_long_response_opens_and_is_cut_with_a_count(shown: Shown) -> None:
    page = shown.page
    page.get_by_label("Text", exact=True).fill("step by step")
    text = page.locator(f"{ROWS} td[data-label=response] .text")
    folded = text.bounding_box()["height"]
    page.get_by_role("button", name="Whole text").nth(1).click()
    assert text.bounding_box()["height"] > 5 * folded
    assert text.inner_text().endswith("108,000 more characters")


def test_pointer_and_arrow_keys_read_a_curve(shown: Shown) -> None:
    page = shown.page
    chart = page.locator("figure", has_text="KL divergence").first
    assert "step 40" in chart.locator(".readout").inner_text()
    chart.locator("svg").hover(position={"x": 60, "y": 50})
    assert chart.locator(".readout .step").inner_text() in ("step 1", "step 2")
    chart.locator("svg").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert chart.locator(".readout .step").inner_text() == "step 2"


def test_a_curve_of_the_legend_can_be_switched_off(shown: Shown) -> None:
    chart = shown.page.locator("figure", has_text="Reward parts")
    lines = chart.locator("svg .line").count()
    chart.get_by_role("button", name="answered").click()
    assert 0 < chart.locator("svg .line").count() < lines
    assert chart.locator("button[aria-pressed=false]").count() == 1


def test_a_phone_has_no_sideways_scrolling(browser: Any, file: Path) -> None:
    shown = open_page(browser, file, viewport=PHONE, is_mobile=True, has_touch=True)
    for button in shown.page.locator(".fold").all():
        button.click()
    shown.page.get_by_label("Show", exact=True).select_option("all")
    width = shown.page.evaluate("document.documentElement.scrollWidth")
    assert width == PHONE["width"] and shown.errors == []
    shown.page.context.close()


def test_dark_and_light_differ_and_both_are_easy_to_read(browser: Any, file: Path) -> None:
    papers = []
    for scheme in ("light", "dark"):
        shown = open_page(browser, file, color_scheme=scheme)
        papers.append(shown.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert shown.page.evaluate(FAINT) == []
        shown.page.context.close()
    assert papers[0] == "rgb(255, 255, 255)" and papers[1] != papers[0]


def test_paper_is_light_and_shows_everything_and_no_controls(browser: Any, file: Path) -> None:
    shown = open_page(browser, file, color_scheme="dark")
    page = shown.page
    assert not page.locator("#settings table").is_visible()
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for what in (".inside", "#samples .text", "#samples td.response"):
        assert page.evaluate(CUT, what) == []
    for control in page.locator("#samples form, nav").all():
        assert not control.is_visible()
    page.context.close()


@pytest.mark.parametrize("steps", [0, 1])
def test_a_run_that_has_only_begun_draws_too(browser: Any, tmp_path: Path, steps: int) -> None:
    shown = open_page(browser, write_page(write_run(tmp_path, steps=steps, ends="killed")))
    assert shown.page.locator("#verdicts").is_visible()
    assert shown.page.locator("svg").count() >= 10 * steps
    assert shown.errors == []
    shown.page.context.close()
