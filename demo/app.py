"""`streamlit run demo/app.py`: the page that compares published variants on a face. Widgets only; what they show is made beside it."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Streamlit puts this folder on the path, not the root

import streamlit as st
from starlette.formparsers import MultiPartParser

from demo import starting

with starting:
    from demo import charts, compare, disturb, draw, figures, guard, intake, samples, snippets, takeaway, timeline, wording
    from demo.compare import FacePosition, ModelFile
    from demo.memory import Memory
    from demo.scene import Picture, Scene, find_scene
    from zoo.landmarker import Landmarker
    from zoo.schemes import SCHEMES

# Above its own limit of 1 MB the server would put an upload into a temporary file; nothing that is given here goes to the disk.
MultiPartParser.spool_max_size = 2 * intake.MAX_VIDEO_BYTES

HERE = Path(__file__).parent
SOURCES = ("Samples", "Upload", "Camera", "Video")
TIMED_AT_ONCE = 12
SERVED = bool(getattr(st.config, "_main_script_path", None))  # by `streamlit run`, not by a test
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_figure = st.components.v2.component(
    "zoo_figure", html='<div class="figure"></div>', css=(HERE / "figure.css").read_text(), js=(HERE / "figure.js").read_text()
)


@st.cache_resource(max_entries=24, show_spinner=False)
def open_file(file: ModelFile, threads: int, xnnpack: bool, changed: float) -> Landmarker:
    """Returns the one landmarker that all visitors share; its calls take turns. `changed` reopens a file that is published anew."""
    return compare.open_landmarker(file, threads, xnnpack)


def settings() -> tuple[int, bool]:
    """Returns the visitor's threads and whether XNNPACK is on, also where the view that shows these widgets is closed."""
    return st.session_state.get("threads", 1), st.session_state.get("xnnpack", True)


def memory() -> Memory:
    """Returns what is remembered of this visitor."""
    return st.session_state.setdefault("memory", Memory())


def landmarker(file: ModelFile) -> Landmarker:
    """Returns the file opened with the visitor's settings."""
    return open_file(file, *settings(), file.changed)


def times_of(file: ModelFile) -> deque[float]:
    """Returns this visitor's last times of a file under the present settings, in milliseconds."""
    return memory().times_ms(file, *settings())


def show(key: str, svg: str) -> None:
    _figure(key=key, data={"svg": svg, "pick": False})


def choose_picture() -> Picture | None:
    """Returns the picture that the visitor gives, or None with a word on what can be done."""
    row = st.container(horizontal=True)
    source = row.segmented_control("Picture", SOURCES, default=SOURCES[0], key="source", required=True)
    if source == "Samples":
        memory().forget("picture")
        name = row.segmented_control(wording.SAMPLES, samples.NAMES, default=samples.NAMES[0], key="sample", required=True)
        drawn = samples.draw_sample(name)
        return Picture(name, f"sample {name}", drawn.image, drawn.truth)
    if source == "Video":
        return choose_frame()
    if source == "Camera":
        shot = st.camera_input("Take a photograph", key="camera")
        given = [shot] if shot else []
    else:
        limits = {"max_upload_size": intake.MAX_PICTURE_BYTES >> 20, "accept_multiple_files": True}
        given = st.file_uploader("One or several pictures", key="upload", help=wording.PICTURES_HELP, **limits)
    if not given:
        return nothing_yet(wording.NO_PHOTOGRAPH if source == "Camera" else wording.NO_PICTURE)
    number, count = 0, len(given)
    if count > 1:
        names = [f"{number}. {file.name}" for number, file in enumerate(given, 1)]
        number = names.index(st.selectbox("Which of them", names, index=count - 1, key=f"which of {count}"))
    file = given[number]
    image = memory().keep("picture", file.file_id, lambda: intake.read_picture(file.getvalue(), f"'{file.name}'"))
    return Picture(file.name, file.file_id, image)


def nothing_yet(text: str) -> None:
    """Says what can be given, and lets go of what was."""
    memory().forget("picture", "reference", "clip", "timeline")
    st.info(text)


def choose_frame() -> Picture | None:
    """Returns one frame of the visitor's video."""
    file = st.file_uploader("A video", key="video", help=wording.VIDEO_HELP, max_upload_size=intake.MAX_VIDEO_BYTES >> 20)
    if not file:
        return nothing_yet(wording.NO_VIDEO)
    frames = memory().keep("picture", file.file_id, lambda: intake.read_frames(file.getvalue(), f"'{file.name}'"))
    number = st.slider("Frame", 1, len(frames), 1, key="frame") if len(frames) > 1 else 1
    frame = frames[number - 1]
    return Picture(f"{file.name}, {frame.time_s:.1f} s", f"{file.file_id} {number}", frame.image)


def choose_files(files: Sequence[ModelFile]) -> list[ModelFile]:
    """Returns the files that the visitor wants side by side."""
    by_label = {file.label: file for file in files}
    default = [file.label for file in figures.shown_first(files, figures.cards_of(files))]
    labels = st.multiselect("Variants to compare", list(by_label), default, key="files", placeholder="Choose some", help=wording.FILES_HELP)
    return [by_label[label] for label in labels]


def locate(picture: Picture, place: Any) -> tuple[list[FacePosition], int] | None:
    """Returns the faces of the picture and which one is looked at, or None while the visitor still marks one; asks in `place`."""
    with st.spinner("Looking for faces"):
        positions = memory().keep("faces", picture.key, lambda: compare.find_faces(picture.image))
    count = len(positions)
    if not count:
        st.warning(wording.NO_FACE)
    with place.container(horizontal=True, vertical_alignment="bottom"):
        chosen = 1
        if count > 1:
            chosen = st.segmented_control("Face to look at", range(1, count + 1), default=1, key=f"face {picture.key}", required=True)
        by_hand = count == 0 or st.toggle("Mark a face by hand", key=f"by hand {picture.key}", help=wording.BY_HAND)
    if not by_hand:
        return positions, chosen - 1
    marked = mark_face(picture)
    return ([marked], 0) if marked else None


def mark_face(picture: Picture) -> FacePosition | None:
    """Returns the face that the visitor marks, or None until five points are given."""
    names, marks = compare.FIVE_NAMES, memory().keep("marks", picture.key, list)
    view = draw.view_of(picture.image.shape, draw.WHOLE)
    done = len(marks) == len(names)

    def clicked() -> None:
        place = st.session_state["pick"].clicked
        if place and len(marks) < len(names):
            marks.append((float(place[0]), float(place[1])))

    left, right = st.expander("The five points", expanded=not done).columns([3, 2])
    with left:
        st.markdown(wording.to_click(names, len(marks)))
        layers = draw.picture_layer(picture.image, view), draw.marks_layer(marks, draw.PALETTE[1], view)
        svg = draw.figure(view, f"{picture.name}, to be clicked; {len(marks)} of 5 points are set", *layers)
        _figure(key="pick", data={"svg": svg, "pick": not done}, on_clicked_change=clicked)
    with right, st.form("five points"):
        st.markdown("Or type them: x, y in pixels from the top left corner.")
        values = [f"{x:.1f}, {y:.1f}" for x, y in marks] + [""] * (len(names) - len(marks))
        keys = [f"typed {picture.key} {name} {value}" for name, value in zip(names, values, strict=True)]
        texts = [st.text_input(name, value, placeholder="x, y", key=key) for name, value, key in zip(names, values, keys, strict=True)]
        use = st.form_submit_button("Use these points", type="primary", width="stretch")
        if st.form_submit_button("Start again", width="stretch") or use:
            marks[:] = [compare.parse_point(text) for text in texts] if use else []
            st.rerun()
    return compare.face_by_hand(marks, picture.image.shape) if done else None


def columns_of(scene: Scene) -> Iterator[tuple[Any, ModelFile]]:
    """Yields a bordered place on the page for each file, three or four beside one another."""
    files = scene.files
    per_row = len(files) if len(files) <= 3 else 4 if len(files) % 4 == 0 else 3
    for start in range(0, len(files), per_row):
        for column, file in zip(st.columns(per_row), files[start:], strict=False):
            yield column.container(border=True), file


def side_by_side(scene: Scene) -> None:
    """Shows a column for each file: the picture with its points, what they cost and how exact they are."""
    many, point, cards = len(scene.positions) > 1, None, figures.cards_of(scene.files)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        regions = (draw.WHOLE, *draw.REGIONS)
        region = st.segmented_control("Look at", regions, default=regions[not many], key=f"region {many}", required=True)
        layers = st.pills("Show", draw.LAYERS, selection_mode="multi", default=draw.LAYERS[:2], key="layers")
        if "Heat maps" in layers:
            chosen = draw.HEAT_OPTIONS.index(st.selectbox("Heat map of", draw.HEAT_OPTIONS, key="heat", width=220))
            point = chosen - 1 if chosen else None
    source = next(iter(figures.sources(cards)), "")
    rows = {row["file"]: row for row in figures.figures(scene.files, cards, times_of, source)}
    best = figures.distinctions(list(rows.values()))
    view = draw.view_of(scene.picture.image.shape, region, [finding.points for finding in scene.faces.values()])
    picture = draw.picture_layer(scene.picture.image, view)
    for place, file in columns_of(scene):
        findings = scene.found[file] if region == draw.WHOLE else [scene.faces[file]]
        drawn = draw.findings_layers(findings, scene.colours[file], view, layers, point)
        boxes = draw.boxes_layer([p.box for p in scene.positions if p.box], scene.chosen, view) if len(findings) > 1 else ""
        label = f"{scene.picture.name}, {region.lower()}: 106 points on {wording.counted(len(findings), 'face')} by {file.label}"
        with place:
            st.html(wording.heading(file, scene.colours[file], best[file.label]))
            show(f"column {file.label}", draw.figure(view, label, picture, *drawn, boxes))
            st.html(wording.file_facts(file, scene.faces[file], times_of(file), rows[file.label], source, scene.truth))
    for text in wording.side_notes(view.single_pixels, scene.truth is not None):
        st.caption(text)


def differences(scene: Scene) -> None:
    """Shows where two files disagree, with arrows as many times as long as the visitor likes."""
    points = {file.label: finding.points for file, finding in scene.faces.items()}
    if scene.truth is not None:
        points[wording.TRUTH] = scene.truth
    if len(points) < 2:
        st.info("Choose a second variant above to see where the two disagree.")
        return
    colours = {file.label: colour for file, colour in scene.colours.items()} | {wording.TRUTH: draw.TRUTH_COLOUR}
    left, right = st.columns([2, 3])
    with left:
        first = st.selectbox("From", list(points), key="from")
        second = st.selectbox("To", [label for label in points if label != first], key="to")
        region = st.segmented_control("Look at", list(draw.REGIONS), default="Face", key="apart region", required=True)
        times = st.slider("Arrows, times the difference", 1, 40, 8, key="magnified")
        rows = compare.part_rows(points[first], points[second])
        config = {key: st.column_config.NumberColumn(format="%.2f") for key in rows[0] if key != "part"}
        st.dataframe(rows, hide_index=True, column_config=config, height=300)
        st.caption(wording.APART)
    with right:
        view = draw.view_of(scene.picture.image.shape, region, [points[first], points[second]])
        layers = draw.difference_layers(points[first], points[second], times, (colours[first], colours[second]), view)
        label = f"Arrows from {first} to {second}, {times} times as long as the difference"
        show("apart", draw.figure(view, label, draw.picture_layer(scene.picture.image, view), *layers))


def accuracy_and_cost(scene: Scene | None) -> None:
    """Shows every published file by accuracy and by time on this machine, and the best choice within a budget."""
    files = compare.model_files()
    cards = figures.cards_of(files)
    top = st.columns([2, 2, 2, 2, 1.4], vertical_alignment="bottom")
    source = top[0].selectbox("Measured on", figures.sources(cards), key="set")
    five = top[1].selectbox("Five points", figures.FIVE_POINTS, format_func=figures.FIVE_POINTS.get, key="five")
    metric = top[2].selectbox("Accuracy", list(charts.METRICS), key="metric")
    top[3].slider("Threads", 1, max(CORES, 2), key="threads", persist_state="session", help=f"This machine lends {CORES} cores.")
    top[4].toggle("XNNPACK", True, key="xnnpack", persist_state="session", help=wording.KERNELS_HELP)
    measure(files)
    rows = figures.figures(files, cards, times_of, source, five)
    left, right = st.columns([3, 2])
    with right, st.container(border=True):
        best, *limits = best_within_budget(rows)
    with left:
        compared = [file.label for file in scene.files] if scene else []
        st.altair_chart(charts.accuracy_against_time(rows, metric, compared, best, *limits), width="stretch", key="scatter")
        st.caption(wording.SCATTER)
        if figures.unsteady(rows):
            st.caption(wording.UNSTEADY)
    order = [key for key in rows[0] if key not in ("weights", "precision", "tag")]
    config = {key: st.column_config.NumberColumn(format=form) for key, form in figures.FORMATS.items()}
    st.dataframe(rows, hide_index=True, column_order=order, column_config=config, placeholder="-", key="figures")
    st.caption(wording.FIGURES)
    st.markdown("**Cumulative error curves**")
    curves = figures.curves_of(files, cards, source, five)
    if curves:
        st.altair_chart(charts.error_curves(curves, [file.name for file in files]), width="stretch", key="ced")
    else:
        st.info(wording.no_curves(source))


def best_within_budget(rows: Sequence[Mapping[str, Any]]) -> tuple[str | None, float | None, float | None]:
    """Asks for limits and says what is best within them; returns that file and the limits of time and error, for the chart."""
    st.markdown("**Best choice within a budget**")
    limits = (("At most, ms", 1000.0, 0.5, "max ms"), ("At most, MB", 100.0, 0.5, "max mb"), ("NME at most, %", 100.0, 0.1, "max nme"))
    asked = (st.number_input(label, 0.1, most, None, step, key=key, placeholder="no limit") for label, most, step, key in limits)
    max_ms, max_mb, max_nme = asked
    budget = figures.Budget(max_ms, max_mb, max_nme, st.toggle("For commercial use", key="commercial"))
    found = figures.best_choice(rows, budget)
    (st.success if found.row else st.warning)(wording.verdict(found))
    best, compared = found.row and found.row["file"], st.session_state.files
    if best and best not in compared:
        st.button("Put it beside the others", on_click=lambda: st.session_state.update(files=[*compared, best]), key="add")
    return best, max_ms, max_nme


def measure(files: Sequence[ModelFile]) -> None:
    """Times the files that have no times under these settings, some at once and the rest when the visitor asks."""
    missing = [file for file in files if len(times_of(file)) < compare.MIN_CALLS]
    now = missing if st.session_state.get("time on") else missing[:TIMED_AT_ONCE]
    for start in range(0, len(now), TIMED_AT_ONCE):
        with st.spinner(f"Timing {wording.counted(len(now) - start, 'file')}"):
            finders = {file: compare.open_landmarker(file, *settings()) for file in now[start : start + TIMED_AT_ONCE]}
            for file, times_ms in compare.time_in_turns(finders).items():
                times_of(file).extend(times_ms)
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(missing) > len(now):
            st.button(f"Time the other {len(missing) - len(now)}", key="time on")
        elif st.button("Time all again", key="time again"):
            for file in files:
                times_of(file).clear()
            st.rerun()
        st.caption(wording.timing(*settings()))


def robustness(scene: Scene) -> None:
    """Lets the visitor make the alignment and the picture worse, and shows how far each file's points drift."""
    reference = memory().keep("reference", scene.key[:3], lambda: disturb.cut_out(scene.picture.image, scene.positions[scene.chosen]))
    disturbance, half = disturb.Disturbance(), len(disturb.KNOBS) // 2
    for column, knob in zip((*st.columns(half), *st.columns(half)), disturb.KNOBS, strict=True):
        ends, key = map(float, (knob.low, knob.high, knob.neutral, knob.step)), f"knob {knob.field}"
        value = column.slider(knob.label, *ends, knob.format, key=key, help=knob.help, persist_state="session")
        disturbance = replace(disturbance, **{knob.field: value})
    calm = {f"knob {knob.field}": float(knob.neutral) for knob in disturb.KNOBS}
    st.button("Put everything back", key="calm", on_click=lambda: st.session_state.update(calm))
    picture = disturb.degrade(reference.picture, disturbance)
    finders = {file: landmarker(file) for file in scene.files}
    view = draw.View(*disturb.SHOWN_BOX, single_pixels=False)
    layer = draw.picture_layer(picture, view)
    for place, file in columns_of(scene):
        trial = disturb.trial(finders[file], reference, picture, disturbance)
        layers = draw.drift_layers(trial.calm, trial.finding, scene.colours[file], view)
        label = f"Points of {file.label}, drifted by {trial.drift_percent.mean():.1f} % in the mean"
        with place:
            st.html(wording.heading(file, scene.colours[file]))
            show(f"drift {file.label}", draw.figure(view, label, layer, *layers))
            st.html(wording.drift_facts(trial.drift_percent, trial.finding.scores))
    st.caption(wording.DRIFT)
    knob = st.selectbox("Through its whole range, alone", disturb.KNOBS, format_func=lambda knob: knob.label, key="sweep")
    rows = memory().keep("sweep", (scene.key, knob), lambda: disturb.sweep(finders, reference, knob))
    chart = memory().keep("chart", (scene.key, knob), lambda: charts.drift(rows, knob, scene.colours))
    st.vega_lite_chart(charts.with_rule(chart, getattr(disturbance, knob.field)), width="stretch", key="drift")


def over_time(scene: Scene) -> None:
    """Follows the face through the visitor's video with every file: how sure each is over time, and how much its points tremble."""
    given = st.session_state.get("video") if st.session_state.source == "Video" else None
    if not given:
        st.info(wording.NO_TIMELINE)
        return
    smoothing = st.toggle("Smoothing", True, key="smoothing", help=wording.SMOOTHING_HELP)
    with st.spinner("Following the face"):
        clip = memory().keep("clip", given.file_id, lambda: intake.read_clip(given.getvalue(), f"'{given.name}'"))
        finders, key = {file: landmarker(file) for file in scene.files}, (given.file_id, tuple(scene.files), smoothing, settings())
        lines = memory().keep("timeline", key, lambda: timeline.follow(finders, clip, smoothing))
    st.altair_chart(charts.timeline(timeline.chart_rows(lines), scene.colours), width="stretch", key="over time")
    config = {name: st.column_config.NumberColumn(format=form) for name, form in timeline.FORMATS.items()}
    st.dataframe(timeline.rows(lines), hide_index=True, column_config=config, placeholder="-", key="trembling")
    st.caption(wording.TIMELINE)


def take_away(scene: Scene) -> None:
    """Offers the model with its card, the points, the marked picture, and code for exactly that file."""
    columns = st.columns([3, 1, 1.4], vertical_alignment="bottom")
    file = columns[0].selectbox("File", scene.files, format_func=lambda file: file.label, key="taken")
    scheme = columns[1].selectbox("Points", list(SCHEMES), key="scheme", help=wording.SCHEMES_HELP)
    numbers = columns[2].toggle("Numbers in the picture", key="numbers")
    with st.container(horizontal=True):
        for offer in takeaway.offers(scene, file, scheme, numbers):
            options = {"key": f"take {offer.label}", "icon": ":material/download:", "on_click": "ignore"}
            st.download_button(offer.label, offer.make, offer.name, offer.media_type, **options)
    with st.container(border=True):
        st.html(wording.model_facts(file, figures.cards_of([file])[file.name]))
    for tab, language in zip(st.tabs(list(snippets.LANGUAGES.values())), snippets.LANGUAGES, strict=True):
        tab.code(snippets.code(file, language), language=language, height="content" if language == "python" else 460)


def main() -> None:
    """Draws the page once; Streamlit calls it again on every interaction."""
    st.set_page_config(page_title="Landmark zoo", page_icon=str(HERE / "icon.svg"), layout="wide")
    st.html(HERE / "page.css")
    st.title("Landmark zoo", anchor=False)
    st.markdown(wording.SUBTITLE)
    if SERVED and (refusal := guard.refusal(st.get_option)):
        st.error(refusal, icon=":material/error:")
        return
    files, scene = compare.model_files(), None
    if not files:
        st.info(wording.NOTHING_PUBLISHED)
        return
    with wording.refusals_shown(st.error):
        left, right = st.columns([13, 8])
        with right:
            chosen = choose_files(files)
        with left:
            picture = choose_picture()
        located = locate(picture, left) if picture else None
        if located and chosen:
            scene = find_scene(picture, *located, {file: landmarker(file) for file in chosen}, times_of)
        elif not chosen:
            st.info(wording.NO_VARIANT)
    for name, tab in zip(VIEWS, st.tabs(list(VIEWS), key="view", on_change="rerun"), strict=True):
        with tab:
            if tab.open and (scene or name == "Accuracy and cost"):
                with wording.refusals_shown(st.error):
                    VIEWS[name](scene)
            elif tab.open:
                st.caption(wording.NO_SCENE)
    st.caption(wording.PRIVACY)


VIEWS = {"Side by side": side_by_side, "Differences": differences, "Accuracy and cost": accuracy_and_cost, "Robustness": robustness}
VIEWS |= {"Over time": over_time, "Take away": take_away}
if SERVED:
    guard.say_once(st.get_option)
main()
