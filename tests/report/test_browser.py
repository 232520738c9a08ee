"""The interactive view in a real browser: headless Chromium, driven by playwright."""

import base64
import shutil

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from nrsfm_learn.base import NRSfMTags, Tags
from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.flips import mirror_depth
from nrsfm_learn.metrics import n_mpjpe
from nrsfm_learn.report import _sections, write_report

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install 'nrsfm-learn[test]'"
)

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
FRAMES = 60
# The smallest PNG, in place of pictures that take seconds to draw.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


class Given(BaseEstimator):
    """Says what it is told, so that the right answers are known."""

    def __init__(self, X=None, perspective=False):
        self.X = X
        self.perspective = perspective

    def fit(self, W, y=None):
        self.fitted_ = True
        return self

    def transform(self, W):
        return np.resize(self.X, (*W.shape[:2], 3))

    def inverse_transform(self, X):
        return X[..., :2] / X[..., 2:] if self.perspective else X[..., :2]

    def __sklearn_tags__(self):
        tags = NRSfMTags(perspective=self.perspective)
        return Tags.extend(super().__sklearn_tags__(), tags)


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=program,
                args=["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
                + ["--disable-background-networking", "--disable-component-update"],
            )
        except sync_api.Error as error:
            pytest.skip(f"needs Chromium, which does not start: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def body():
    body = make_articulated_body(FRAMES, motion="walk", views="smooth", missing=0.1, random_state=0)
    rng = np.random.default_rng(0)
    body.lifted = body.X + rng.normal(scale=0.03, size=body.X.shape)
    body.lifted[5] = np.nan
    return body


@pytest.fixture(scope="module")
def report(body, tmp_path_factory):
    """Write a report with everything in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sections, "_png", lambda fig: PIXEL)
        return write_report(
            tmp_path_factory.mktemp("report") / "report.html",
            Given(body.lifted).fit(body.W),
            body.W,
            X_true=body.X,
            edges=body.edges,
            names=[HOSTILE, *body.names[1:]],
            title=HOSTILE,
            notes=[HOSTILE],
            groups=[HOSTILE] * FRAMES,
            frame_numbers=np.arange(FRAMES) + 500,
            held_out={"W": body.W[:4], "X_true": body.X[:4]},
            unit="m",
        )


@pytest.fixture
def visit(browser):
    """Return a function that opens a report; at the end nothing may have gone wrong in it."""
    contexts, complaints = [], []

    def visit(path, part="frames", **options):
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: complaints.append(r.url) if r.url[:4] == "http" else None)
        page.clock.install(time=0)
        page.clock.pause_at(1000)
        page.goto(path.as_uri())
        page.clock.run_for(100)
        page.wait_for_selector("#viewer[data-drawn]")
        if part is not None:
            page.select_option("[data-role=part]", label=part)
        settle(page)
        return page

    visit.complaints = complaints
    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


def settle(page, milliseconds=50):
    """Let the page's own clock run, so that it draws; the machine's does not matter."""
    page.clock.run_for(milliseconds)


def frame(page):
    return int(page.get_attribute("#viewer", "data-frame"))


def view(page):
    return page.get_attribute("#viewer", "data-angles")


def press(page, key):
    page.keyboard.press(key)
    settle(page)


def click(page, role):
    page.click(f"[data-role={role}]")
    settle(page)


def picture(page, role="three"):
    """Return what a canvas shows, to compare."""
    return page.evaluate(
        "(role) => document.querySelector(`[data-role=${role}]`).toDataURL()", role
    )


def pixels(page, role="three"):
    """Count the pixels that are not empty, and the mean brightness of the opaque ones."""
    return page.evaluate(
        """(role) => {
          const canvas = document.querySelector(`[data-role=${role}]`);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let [count, opaque, sum] = [0, 0, 0];
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] > 0) count += 1;
            if (data[i + 3] < 255) continue;
            opaque += 1;
            sum += (data[i] + data[i + 1] + data[i + 2]) / 3;
          }
          return [count, sum / opaque];
        }""",
        role,
    )


def drawn(page, role="three"):
    return pixels(page, role)[0]


def words(page, role):
    return page.inner_text(f"[data-role={role}]")


def test_view_opens_on_the_cameras_view_and_draws(visit, report):
    page = visit(report, part=None)
    assert page.is_visible("#viewer")
    assert page.locator("[data-role=part] option").all_inner_texts() == [
        "held-out frames",
        "frames",
    ]
    assert page.get_attribute("[data-role=frame]", "max") == "3"
    assert view(page) == "0,0"
    assert page.get_attribute("[data-view='0,0']", "aria-pressed") == "true"
    assert drawn(page, "three") > 1000
    assert drawn(page, "two") > 1000


def test_hostile_text_is_only_text(visit, report):
    page = visit(report)
    assert page.evaluate("window.hacked") is None
    assert page.title() == HOSTILE
    assert page.inner_text("h1") == HOSTILE
    assert page.locator(".joint-name").first.inner_text() == HOSTILE
    assert f"clip {HOSTILE}" in words(page, "where")
    assert page.locator("img[src=x]").count() == 0
    page.hover(".joint-name >> nth=0")
    settle(page)


def test_no_other_script_may_run(visit, report):
    page = visit(report)
    page.evaluate(
        """() => {
          document.addEventListener("securitypolicyviolation", (e) => {
            document.body.dataset.blocked = e.effectiveDirective;
          });
          const script = document.createElement("script");
          script.textContent = "window.hacked = 1";
          document.body.append(script);
        }"""
    )
    settle(page)
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.body.dataset.blocked") == "script-src-elem"
    (complaint,) = visit.complaints
    assert "Content Security Policy" in complaint
    visit.complaints.clear()


def test_play_runs_at_the_frame_rate_of_the_data(visit, report):
    page = visit(report)
    click(page, "play")
    assert page.get_attribute("[data-role=play]", "aria-label") == "Pause"
    assert page.get_attribute("[data-role=where]", "aria-live") == "off"
    start, drawn_before = frame(page), int(page.get_attribute("#viewer", "data-drawn"))
    settle(page, 1000)
    assert 29 <= frame(page) - start <= 31
    assert 29 <= int(page.get_attribute("#viewer", "data-drawn")) - drawn_before <= 31
    click(page, "play")
    stopped = frame(page)
    settle(page, 500)
    assert frame(page) == stopped
    assert page.get_attribute("[data-role=play]", "aria-label") == "Play"
    assert page.get_attribute("[data-role=where]", "aria-live") == "polite"


def test_speed_and_the_end_of_the_sequence(visit, report):
    page = visit(report)
    assert "0.25 × (7.5 frames/s)" in words(page, "speed")
    page.select_option("[data-role=speed]", "0.25")
    page.focus("[data-role=three]")
    press(page, "Space")
    settle(page, 2000)
    assert 14 <= frame(page) <= 16
    page.select_option("[data-role=speed]", "4")
    settle(page, 320)
    assert 50 <= frame(page) <= 56
    settle(page, 200)
    assert 14 <= frame(page) <= 20


def test_slow_machine_drops_frames_and_keeps_time(visit, report):
    page = visit(report)
    click(page, "play")
    start, before = frame(page), int(page.get_attribute("#viewer", "data-drawn"))
    # The clock jumps, so that the page gets to draw once in half a second.
    page.clock.fast_forward(500)
    settle(page, 20)
    assert 14 <= frame(page) - start <= 17
    assert int(page.get_attribute("#viewer", "data-drawn")) - before <= 3


def test_frames_by_keyboard(visit, report):
    page = visit(report)
    page.focus("[data-role=three]")
    assert words(page, "where").startswith("Frame 500 · 1 of 60")
    for key, expected in (("ArrowRight", 1), ("End", 59), ("ArrowRight", 59), ("ArrowLeft", 58)):
        press(page, key)
        assert frame(page) == expected
    press(page, "Home")
    assert frame(page) == 0
    page.focus("[data-role=frame]")
    press(page, "ArrowRight")
    assert frame(page) == 1
    assert page.get_attribute("[data-role=frame]", "aria-valuetext").startswith("Frame 501")
    page.fill("[data-role=frame]", "5")
    settle(page)
    assert "not lifted" in words(page, "where")
    click(page, "forth")
    click(page, "forth")
    click(page, "back")
    assert frame(page) == 6


def test_keys_leave_the_page_alone_elsewhere(visit, report):
    page = visit(report)
    page.evaluate("document.activeElement.blur()")
    for key in ("Space", "ArrowRight", "f"):
        press(page, key)
    assert frame(page) == 0
    assert page.get_attribute("[data-role=play]", "aria-label") == "Play"
    page.focus("[data-role=joints] input >> nth=2")
    press(page, "Space")
    assert not page.is_checked("[data-role=joints] input >> nth=2")
    assert page.get_attribute("[data-role=play]", "aria-label") == "Play"


def test_turn_by_drag_keys_and_buttons(visit, report):
    page = visit(report)
    front = picture(page)
    page.locator("[data-role=three]").scroll_into_view_if_needed()
    box = page.locator("[data-role=three]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y + 50, steps=4)
    page.mouse.up()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    settle(page)
    # A hundredth of a radian a pixel; near points go the way of the hand.
    assert view(page) == "-57,29"
    assert picture(page) != front
    page.mouse.dblclick(box["x"] + 20, box["y"] + 20)
    settle(page)
    assert view(page) == "0,0"
    assert picture(page) == front
    press(page, "Shift+ArrowLeft")
    press(page, "Shift+ArrowDown")
    assert view(page) == "10,10"
    assert frame(page) == 0
    page.click("text=Side")
    assert view(page) == "90,0"
    page.click("text=Top")
    assert view(page) == "0,90"
    assert page.get_attribute("[data-view='0,90']", "aria-pressed") == "true"


def test_zoom_by_wheel_and_keys(visit, report):
    page = visit(report)
    before = drawn(page)
    page.hover("[data-role=three]", position={"x": 20, "y": 20})
    page.evaluate("addEventListener('wheel', () => { document.body.dataset.wheel = 1; })")
    page.mouse.wheel(0, -300)
    page.wait_for_selector("body[data-wheel]")
    settle(page)
    assert drawn(page) > 1.2 * before
    page.focus("[data-role=three]")
    press(page, "0")
    assert drawn(page) == before
    press(page, "+")
    assert drawn(page) > before
    press(page, "-")
    assert drawn(page) == before


def test_errors_and_the_mirror_image(visit, report, body):
    page = visit(report)
    page.fill("[data-role=frame]", "8")
    settle(page)
    X, X_true = body.lifted[8:9], body.X[8:9]
    right, wrong = (n_mpjpe(X_true, A) for A in (X, mirror_depth(X)))
    assert words(page, "measure") == f"Error: {right:.3g} m (mirrored: {wrong:.3g})"
    values = [float(t) for t in page.locator(".joint-value").all_inner_texts()]
    assert np.mean(values) == pytest.approx(right, rel=0.01)
    before, image = picture(page), picture(page, "two")
    click(page, "flip")
    assert page.get_attribute("[data-role=flip]", "aria-pressed") == "true"
    assert words(page, "measure") == f"Error: {wrong:.3g} m (not mirrored: {right:.3g})"
    assert picture(page) != before
    assert picture(page, "two") == image
    press(page, "f")
    assert picture(page) == before


def test_ground_truth_can_be_taken_away(visit, report):
    page = visit(report)
    page.click("text=Side")
    settle(page)
    both = drawn(page)
    click(page, "truth")
    assert drawn(page) < both
    press(page, "t")
    assert drawn(page) == both


def test_joints_can_be_hidden(visit, report):
    page = visit(report)
    before = drawn(page)
    click(page, "none")
    nothing = drawn(page)
    assert nothing < 0.1 * before
    page.check("[data-role=joints] input >> nth=4")
    settle(page)
    assert nothing < drawn(page) < before
    click(page, "all")
    assert drawn(page) == before


def test_perspective_without_ground_truth_but_with_confidence(visit, body, tmp_path, monkeypatch):
    monkeypatch.setattr(_sections, "_png", lambda fig: PIXEL)
    X = body.lifted + [0, 0, 8]
    path = write_report(
        tmp_path / "report.html",
        Given(X, perspective=True).fit(body.W),
        X[..., :2] / X[..., 2:],
        confidence=np.full(X.shape[:2], 0.37),
        viewer_frames=20,
        fps=60,
    )
    page = visit(path, part=None)
    for role in ("flip", "truth", "part"):
        assert not page.is_visible(f"[data-role={role}]")
    assert words(page, "measure") == "Confidence: 37 %"
    assert "1 × (20 frames/s)" in words(page, "speed")
    assert words(page, "note").startswith("Shown here are 20 evenly spaced frames of 60")
    page.focus("[data-role=three]")
    before = picture(page)
    press(page, "f")
    press(page, "t")
    assert picture(page) == before


@pytest.fixture
def phone(visit, report):
    return visit(report, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)


def test_phone_has_one_column_and_room_for_fingers(phone):
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    boxes = [phone.locator(f"[data-role={r}]").bounding_box() for r in ("three", "play", "two")]
    assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"]
    assert boxes[0]["x"] == boxes[2]["x"]
    targets = phone.locator("#viewer :is(button, select, input[type=range], li label):visible")
    sizes = [target.bounding_box() for target in targets.all()]
    assert len(sizes) > 40
    assert min(size["height"] for size in sizes) >= 40
    assert min(size["width"] for size in sizes) >= 40


def test_two_fingers_zoom_and_one_turns(phone):
    phone.locator("[data-role=three]").scroll_into_view_if_needed()
    box = phone.locator("[data-role=three]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = phone.context.new_cdp_session(phone)

    def touch(kind, *points):
        points = [{"x": x + dx, "y": y, "id": k} for k, dx in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = drawn(phone)
    touch("touchStart", -40, 40)
    for reach in (50, 60, 80):
        touch("touchMove", -reach, reach)
    touch("touchEnd")
    settle(phone)
    assert drawn(phone) > 1.2 * before
    assert view(phone) == "0,0"
    touch("touchStart", 0)
    touch("touchMove", 30)
    touch("touchMove", 50)
    touch("touchEnd")
    settle(phone)
    azimuth, elevation = map(int, view(phone).split(","))
    assert azimuth < -10
    assert elevation == 0


def test_dark_screens_get_dark_colours_at_once(visit, report):
    page = visit(report, color_scheme="light")
    light = pixels(page, "two")[1]
    # A listener that comes after the page's own tells when that has heard.
    page.evaluate(
        """() => matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
          document.body.dataset.changed = 1;
        })"""
    )
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("body[data-changed]")
    settle(page)
    assert pixels(page, "two")[1] > light + 50


def test_focus_is_visible(visit, report):
    page = visit(report)
    page.focus("[data-role=part]")
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => {
                  const e = document.activeElement;
                  const width = getComputedStyle(e).outlineWidth;
                  return [e.dataset.role || e.dataset.view || e.type, width];
                }"""
            )
        )
    names = [name for name, _ in seen]
    order = ["0,0", "flip", "truth", "three", "play", "frame", "speed", "all", "none", "checkbox"]
    assert [name for name in names if name in order] == order
    assert {width for _, width in seen} == {"3px"}
