"""The viewer's page: what is in it, and that a browser opens it from disk."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anypose.drawing import viewer, viewer_page
from anypose.drawing.skins import shares
from anypose.drawing.viewer import PictureFile, ViewerSink, small_jpeg
from anypose.formats.glb import Mesh, bone_mesh
from tests.anypose.formats.dancers import dancers, part

cv2 = pytest.importorskip("cv2", reason="NO OPENCV: pip install 'anypose[image]'")


def page(path):
    """The data in a page, arrays unpacked."""
    text = path.read_text(encoding="utf-8")
    data = json.loads(text[text.index('id="data">') + 10 : text.index("</script>")])
    kinds = {"times": "<f8", "pictureTimes": "<f8"} | dict.fromkeys(("world", "points", "ghosts", "turns"), "<i2")
    for name in (*kinds, "scores", "contacts"):
        if data[name] is not None:
            data[name] = np.frombuffer(base64.b64decode(data[name]), kinds.get(name, "u1"))
    return data


def movie(frames, shade=0):
    return [np.full((90, 160, 3), (40 + t, 90, 200), np.uint8) for t in range(frames)]


def motion(**fields):
    rng = np.random.default_rng(0)
    ghosts = rng.normal(0, 0.05, (12, 2, 3, 17, 3))
    contacts = rng.random((12, 2, 2)) < 0.5
    filled = rng.random((12, 2, 17)) < 0.1
    dance = dancers(people=2)
    hypotheses = (dance.joints[:, :, None] + ghosts).astype(np.float32)
    return dancers(people=2, **({"hypotheses": hypotheses, "contacts": contacts, "filled": filled} | fields))


def test_every_number_is_there_to_a_millimetre_and_a_part_of_a_pixel(tmp_path) -> None:
    dance = motion()
    dance.world[3, 1] = np.nan
    dance.keypoints[3, 1] = np.nan
    with ViewerSink(tmp_path / "dance.html") as sink:
        sink.write(part(dance, slice(0, 5)), movie(5))
        sink.write(part(dance, slice(5, 12)), movie(7))
    data = page(sink.path)
    world = data["world"].reshape(12, 2, 17, 3) * data["metre"]
    np.testing.assert_allclose(world[:, 0], dance.world[:, 0], atol=5.1e-4)
    assert (data["world"].reshape(12, 2, 17, 3)[3, 1] == viewer_page.MISSING).all()
    points = data["points"].reshape(12, 2, 17, 2) * data["pixel"]
    np.testing.assert_allclose(points[:, 0], dance.keypoints[:, 0, :, :2], atol=0.04)
    assert ((data["scores"].reshape(12, 2, 17) == 255) == dance.filled).all()
    assert (data["contacts"].reshape(12, 2) == dance.contacts @ [1, 2]).all()
    np.testing.assert_array_equal(data["times"], dance.times)
    assert (len(data["pictures"]), data["ids"], data["size"]) == (12, [1, 2], [640, 480])
    # The camera of the dancers looks along y: hypotheses are turned as their joints were.
    there = dance.hypotheses[5, 1]
    expected = np.stack([there[..., 0], there[..., 2] - 4, -there[..., 1]], -1)
    ghosts = data["ghosts"].reshape(12, 2, 3, 17, 3) * data["metre"]
    np.testing.assert_allclose(ghosts[5, 1], expected, atol=1e-3)


@pytest.mark.parametrize(("height", "guess"), [("the lifter's", True), (1.78, False)])
def test_the_page_says_where_the_motion_is_from_and_what_its_metres_rest_on(tmp_path, height, guess) -> None:
    facts = {"keypoints": "BlazePose full", "lifter": "released_video", "focal": "assumed", "height": height}
    with ViewerSink(tmp_path / "dance.html") as sink:
        sink.write(dancers(facts=facts))
    told = page(sink.path)["notes"]
    assert told[:2] == ["Keypoints: BlazePose full.", "Lifted by released_video."]
    assert told[2:] == ["Neither focal length nor a height was given: sizes and distances are a guess."] * guess
    assert sink.notes == [], "which is of what was left out"


def test_a_long_motion_is_thinned_and_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(viewer_page, "MOST_BYTES", 3000)
    monkeypatch.setattr(viewer, "PICTURE_BYTES", 1)
    dance = dancers(frames=40)
    with ViewerSink(tmp_path / "dance.html") as sink:
        for start in range(0, 40, 7):
            sink.write(part(dance, slice(start, start + 7)))
    data = page(sink.path)
    assert data["every"] == 3
    assert sink.notes == ["One in 3 of 40 frames is here, so that a browser can hold them; the npz has all."]
    assert data["notes"] == ["Lifted by none.", *sink.notes]
    np.testing.assert_array_equal(data["times"], dance.times[::3])
    np.testing.assert_allclose(data["world"].reshape(-1, 1, 17, 3) * data["metre"], dance.world[::3], atol=5.1e-4)


def test_pictures_are_thinned_evenly(tmp_path) -> None:
    size = len(small_jpeg(movie(1)[0]))
    pictures = PictureFile(tmp_path, 5 * size + 200)
    for start in range(0, 40, 8):
        pictures.add(np.arange(start, start + 8) / 10, movie(8))
    assert pictures.every == 8
    np.testing.assert_allclose(pictures.times, [0, 0.8, 1.6, 2.4, 3.2])
    assert all(jpeg.startswith(b"\xff\xd8") for jpeg in pictures)
    pictures.close()


def test_pictures_are_small_and_keep_their_colours() -> None:
    image = cv2.imdecode(np.frombuffer(small_jpeg(np.full((1080, 1920, 3), (200, 30, 60), np.uint8)), np.uint8), 1)
    assert image.shape == (270, 480, 3)
    np.testing.assert_allclose(image.mean((0, 1))[::-1], [200, 30, 60], atol=3)


@pytest.mark.parametrize(
    "fields", [{"world": None, "rotations": None, "rest": None}, {"keypoints": None, "keypoint_skeleton": None}]
)
def test_what_is_not_there_is_left_out(tmp_path, fields) -> None:
    with ViewerSink(tmp_path / "dance.html") as sink:
        sink.write(dancers(**fields))
    data = page(sink.path)
    assert (data["points"] is None) == ("keypoints" in fields)
    assert data["world"] is not None


def test_a_name_ends_no_element(tmp_path) -> None:
    with ViewerSink(tmp_path / "dance.html") as sink:
        sink.write(
            dancers(facts={}, size=None).__class__(
                "</script><b>",
                np.zeros(1),
                np.array([1]),
                **{"keypoints": np.zeros((1, 1, 17, 3), np.float32), "keypoint_skeleton": dancers().keypoint_skeleton},
            )
        )
    assert sink.path.read_text(encoding="utf-8").count("</script>") == 2
    assert page(sink.path)["name"] == "</script><b>"


def skinned(mesh, motion, frame, person):
    """(V, 3) the mesh's vertices over a person's turned bones, with the record's own numbers [m]."""
    parents, rest = np.array(motion.skeleton.parents), motion.rest[person].astype(float)
    places = np.zeros_like(mesh.vertices, dtype=float)
    for slot in range(4):
        bone = mesh.bones[:, slot]
        above = np.where(parents[bone] < 0, bone, parents[bone])
        turn = Rotation.from_quat(motion.rotations[frame, person][bone], scalar_first=True)
        carried = turn.apply(mesh.vertices - rest[above]) + motion.world[frame, person][above]
        places += mesh.weights[:, slot, None] * carried
    return places


def test_a_skin_is_there_in_small_integers(tmp_path) -> None:
    dance = motion()
    with ViewerSink(tmp_path / "bare.html") as bare:
        bare.write(dance)
    sink = ViewerSink(tmp_path / "dance.html")
    sink.mesh = bone_mesh
    with sink:
        sink.write(dance)
    data, plain = page(sink.path), page(bare.path)
    assert plain["skins"] is None
    assert plain["turns"] is None
    mesh, person = bone_mesh(dance.skeleton, dance.rest[1]), data["skins"]["people"][1]
    kind = data["skins"]["kinds"][person["kind"]]
    raw = {name: base64.b64decode(text) for name, text in (kind | {"at": person["vertices"]}).items()}
    small = Mesh(
        np.frombuffer(raw["at"], "<i2").reshape(-1, 3) * data["skins"]["unit"],
        mesh.normals,
        {"middle": np.frombuffer(raw["faces"], "<u2").reshape(-1, 3)},
        np.frombuffer(raw["bones"], "u1").reshape(-1, 4),
        np.frombuffer(raw["weights"], "u1").reshape(-1, 4) / 255,
    )
    np.testing.assert_array_equal(small.faces["middle"], np.concatenate(list(mesh.faces.values())))
    turns = data["turns"].reshape(12, 2, 17, 4) * viewer_page.TURN
    np.testing.assert_allclose(turns[5, 1], dance.rotations[5, 1], atol=1e-4)
    np.testing.assert_allclose(skinned(small, dance, 5, 1), skinned(mesh, dance, 5, 1), atol=2e-4)


def test_weights_keep_their_sum() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(4), 100)
    small = shares(weights)
    assert (small.sum(-1) == 255).all()
    np.testing.assert_allclose(small / 255, weights, atol=3 / 255)


@pytest.mark.slow
def test_a_browser_opens_it_from_disk_and_draws(tmp_path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("NO CHROMIUM: apt-get install chromium to look at the viewer")
    sink, dance = ViewerSink(tmp_path / "dance.html"), motion()
    sink.mesh = bone_mesh
    with sink:
        sink.write(dance, movie(12))
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--enable-logging=stderr",
        "--window-size=1200,800",
    ]
    command += [
        "--host-resolver-rules=MAP * 0.0.0.0",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=4000",
    ]
    where = f"file://{sink.path}#frame=7"
    shot = subprocess.run(
        [*command, f"--screenshot={tmp_path / 'shot.png'}", where], capture_output=True, text=True, timeout=120
    )
    dom = subprocess.run([*command, "--dump-dom", where], capture_output=True, text=True, timeout=120).stdout
    assert "CONSOLE" not in shot.stderr
    assert 'data-ready="12 frames, 2 people"' in dom
    assert "frame 8 of 12" in dom
    middles = re.search('data-skins="([^"]*)"', dom)
    assert middles, "the skin was not drawn"
    found = np.array([text.split() for text in middles[1].split(", ")], float)
    expected = [skinned(bone_mesh(dance.skeleton, dance.rest[p]), dance, 7, p).mean(0) for p in (0, 1)]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    image = cv2.imread(str(tmp_path / "shot.png"))[..., ::-1].astype(int)
    for colour in ((43, 125, 224), (228, 87, 46)):  # left and right limbs
        assert (np.abs(image - colour).sum(-1) < 30).sum() > 200
    limbs = (np.abs(image - (43, 125, 224)).sum(-1) < 30) | (np.abs(image - (228, 87, 46)).sum(-1) < 30)
    assert not limbs[60:700, 340:400].any(), "people stand beside the picture, not behind it"
    # The picture of frame 7 in its corner, under the keypoints.
    assert (np.abs(image[60:200, 20:300] - (47, 90, 200)).sum(-1) < 40).mean() > 0.3
