"""The canvas: silhouettes, order in depth, light, patterns; scenery and cheap cameras."""

import numpy as np
import pytest

from pose2d.synthesis.figure import Parts, draw_look, dress
from pose2d.synthesis.render import Canvas, Lens, Light, silhouette, soften
from pose2d.synthesis.scenery import draw_background, draw_occluder

LENS = Lens(200.0, (63.5, 63.5), 128, 128)
LAMP = Light(np.array([0.0, 0.0, -1.0]), 0.3, np.ones(3))
TOP, BOTTOM = 2, 3


@pytest.fixture
def look():
    look = draw_look(np.random.default_rng(0))
    look.colours[TOP], look.colours[BOTTOM] = (200, 0, 0), (0, 0, 200)
    look.patterns[:, 0] = 0
    return look


def capsules(*rows):
    """Rows of (start, end, radius, material)."""
    start, end, radius, material = (np.array(column) for column in zip(*rows, strict=True))
    sides = np.zeros((len(rows), 3))
    pairs = np.repeat(radius[:, None], 2, axis=1)
    return Parts(start, end, pairs, sides, np.ones((len(rows), 2)), material)


def draw(parts, look, light=LAMP):
    canvas = Canvas(np.zeros((128, 128, 3)))
    canvas.draw(parts, look, None, LENS, light, owner=7)
    return canvas


def test_a_capsule_covers_its_projected_stroke(look):
    parts = capsules(([-0.4, 0, 4.0], [0.4, 0, 4.0], 0.2, TOP))
    canvas = draw(parts, look)
    rows, columns = np.nonzero(canvas.owner == 7)
    # 200 px focal at 4 m: 50 px a metre; 0.8 m long, 0.2 m thick at each side and end.
    assert (columns.min(), columns.max()) == (34, 93)
    assert (rows.min(), rows.max()) == (54, 73)
    covered = (canvas.owner == 7).sum()
    assert covered == pytest.approx(40 * 20 + np.pi * 100, rel=0.02)
    assert canvas.depth[63, 63] == pytest.approx(3.8, abs=0.005)
    outline = silhouette(parts, LENS) > 0
    assert (outline ^ (canvas.owner == 7)).sum() < 0.1 * covered


def test_the_nearer_part_is_seen_whichever_comes_first(look):
    red = ([-0.4, 0, 3.0], [0.4, 0, 3.0], 0.1, TOP)
    blue = ([0, -0.4, 4.0], [0, 0.4, 4.0], 0.1, BOTTOM)
    for parts in (capsules(red, blue), capsules(blue, red)):
        centre = draw(parts, look).colour[63, 63]
        assert centre[0] > 100
        assert centre[2] < 1


def test_light_falls_on_the_side_of_the_lamp(look):
    parts = capsules(([0, -0.4, 3.0], [0, 0.4, 3.0], 0.3, TOP))
    image = draw(parts, look, Light(np.array([1.0, 0.0, 0.0]), 0.25, np.ones(3))).colour[63, :, 0]
    assert image[63 + 17] > 170
    assert image[63 - 17] == pytest.approx(0.25 * 200, abs=1)


def test_a_wide_part_is_wide_from_the_front_and_narrow_from_the_side(look):
    widths = []
    for across in ([1.0, 0, 0], [0, 0, 1.0]):
        parts = Parts(*(np.array([v]) for v in ([0, -0.3, 4.0], [0, 0.3, 4.0], [0.1, 0.1], across, [2.0, 2.0], TOP)))
        seen = draw(parts, look).owner == 7
        widths.append(int(seen[63].sum()))
        assert int(seen[:, 63].sum()) == pytest.approx(40, abs=2)  # its ends stay as flat as it is deep
    assert widths == [20, 10]


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_patterns_show_two_colours_on_a_limb(look, kind):
    look.patterns[TOP] = (kind, 5.0, 0.0, 1.0)
    look.inks[TOP] = (0, 200, 0)
    flat = Light(np.array([0.0, 0.0, -1.0]), 1.0, np.ones(3))
    canvas = draw(capsules(([-0.4, 0, 3.0], [0.4, 0, 3.0], 0.25, TOP)), look, flat)
    paint = canvas.colour[(canvas.owner == 7)]
    assert ((paint[:, 0] > 120) & (paint[:, 1] < 90)).mean() > 0.1
    assert ((paint[:, 1] > 120) & (paint[:, 0] < 90)).mean() > 0.1


def test_what_is_behind_the_lens_is_not_drawn(look):
    assert (draw(capsules(([0, 0, -2.0], [0, 0.2, -2.0], 0.2, TOP)), look).owner == -1).all()
    assert not silhouette(capsules(([0, 0, -2.0], [0, 0.2, -2.0], 0.2, TOP)), LENS).any()


def test_faces_have_eyes_where_the_keypoints_say(look):
    from pose2d.synthesis.figure import coco_keypoints
    from tests.pose2d.synthesis.test_figure import standing

    lens = Lens(1500.0, (63.5, 63.5), 128, 128)
    joints = standing() + np.array([0, 0.69, 0])
    look.colours[0], look.colours[1] = (220, 190, 160), (150, 120, 80)
    look.colours[6] = look.colours[0]
    bare = {"hat": False, "glasses": False, "beard": False, "long_hair": False}
    look = type(look)(**(vars(look) | bare))
    parts, head = dress(joints, look)
    canvas = Canvas(np.zeros((128, 128, 3)))
    canvas.draw(parts, look, head, lens, Light(np.array([0.0, 0.0, -1.0]), 0.9, np.ones(3)), 0)
    places = lens.project(coco_keypoints(joints)).round().astype(int)
    skin = canvas.colour[places[0, 1], places[0, 0]].sum()
    for x, y in places[1:3]:
        eye = canvas.colour[y - 4 : y + 5, x - 4 : x + 5].sum(axis=2)
        assert eye.min() < 0.4 * skin  # a dark pupil within 4 px of a head 70 px wide


def test_backgrounds_vary_and_stay_in_range():
    images = [draw_background(np.random.default_rng(seed), 96, 120) for seed in range(8)]
    assert all(image.shape == (96, 120, 3) for image in images)
    assert all(image.min() >= -1 and image.max() <= 256 for image in images)
    assert len({round(float(image.mean()), 2) for image in images}) == 8
    again = draw_background(np.random.default_rng(3), 96, 120)
    np.testing.assert_array_equal(again, images[3])


def test_an_occluder_covers_a_part_of_the_figure_and_its_owner():
    box = np.array([40, 30, 90, 100])
    shares = []
    for seed in range(30):
        image = np.zeros((128, 128, 3), np.float32)
        depth, owner = np.full((128, 128), 3.0), np.zeros((128, 128), int)
        draw_occluder(np.random.default_rng(seed), image, depth, owner, box)
        assert ((depth == 0) == (owner == -1)).all()
        shares.append((owner[30:100, 40:90] == -1).mean())
    assert 0.02 < np.mean(shares) < 0.5


def test_a_cheap_camera_changes_the_picture_but_not_its_content():
    image = draw_background(np.random.default_rng(0), 96, 96).clip(0, 255).astype(np.uint8)
    for seed in range(10):
        soft = soften(image, np.random.default_rng(seed))
        assert soft.shape == image.shape
        assert soft.dtype == np.uint8
        assert np.corrcoef(soft.mean(axis=2).ravel(), image.mean(axis=2).ravel())[0, 1] > 0.8
