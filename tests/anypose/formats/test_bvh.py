import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anypose.formats.bvh import forward_kinematics, read_bvh

FILE = """HIERARCHY
ROOT hip
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT knee
  {
    OFFSET 0 -40 1
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT foot
    {
      OFFSET 1 -45 0
      CHANNELS 3 Yrotation Zrotation Xrotation
      End Site
      {
        OFFSET 0 -4 12
      }
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.00833333
1 90 2 0 0 0 0 0 0 0 0 0
1 91 2 10 20 30 -40 50 60 70 -80 15
4 92 -6 -100 20 170 4 5 6 7 8 9
"""


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "take.bvh"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_a_file_is_read_as_written(path):
    bvh = read_bvh(path)
    assert bvh.joints == ("hip", "knee", "foot", "foot end")
    assert bvh.parents == (-1, 0, 1, 2)
    np.testing.assert_array_equal(bvh.offsets[1:], [[0, -40, 1], [1, -45, 0], [0, -4, 12]])
    assert bvh.channels[2] == ("Yrotation", "Zrotation", "Xrotation")
    assert bvh.channels[3] == ()
    assert bvh.values.shape == (3, 12)
    assert bvh.fps == pytest.approx(120, rel=1e-5)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_line_ends_and_encodings_change_nothing(path, tmp_path, end, encoding):
    other = tmp_path / "other.bvh"
    other.write_bytes(FILE.replace("knee", "Knöchel").replace("\n", end).encode(encoding))
    bvh = read_bvh(other)
    np.testing.assert_array_equal(bvh.values, read_bvh(path).values)
    assert bvh.joints == ("hip", "Knöchel", "foot", "foot end")


def test_names_with_blanks_and_other_capitals_are_those_of_the_file(path, tmp_path):
    other = tmp_path / "other.bvh"
    text = FILE.replace("JOINT knee\n  {", "Joint  left  knee {").replace("ROOT hip", "Root Bip01 Pelvis")
    text = text.replace("Frame Time:", "Frame time :").replace("Frames:", "FRAMES:").replace("MOTION", "Motion")
    text = text.replace("End Site", "END SITE").replace("Yrotation", "YROTATION").replace("OFFSET", "Offset")
    other.write_text(text + "\n  \n", encoding="utf-8")
    bvh = read_bvh(other)
    assert bvh.joints == ("Bip01 Pelvis", "left  knee", "foot", "foot end")
    assert bvh.channels == read_bvh(path).channels
    np.testing.assert_array_equal(bvh.values, read_bvh(path).values)


def test_a_stated_rate_stands_in_for_a_frame_time_that_cannot_be(path):
    path.write_text(FILE.replace("0.00833333", "8.33333"), encoding="utf-8")
    assert read_bvh(path, rate=120).fps == 120


def test_forward_kinematics_agrees_with_scipy_joint_by_joint(path):
    bvh = read_bvh(path)
    positions, rotations = forward_kinematics(bvh, ["hip", "knee", "foot", "foot end"])
    for frame, values in enumerate(bvh.values):
        hip = Rotation.from_euler("ZYX", values[3:6], degrees=True)
        knee = hip * Rotation.from_euler("ZXY", values[6:9], degrees=True)
        foot = knee * Rotation.from_euler("YZX", values[9:12], degrees=True)
        expected = [values[:3]]
        for rotation, offset in ((hip, [0, -40, 1]), (knee, [1, -45, 0]), (foot, [0, -4, 12])):
            expected.append(expected[-1] + rotation.apply(offset))
        np.testing.assert_allclose(positions[frame], expected, atol=1e-10)
        for got, rotation in zip(rotations[frame], (hip, knee, foot, foot), strict=True):
            np.testing.assert_allclose(got, rotation.as_matrix(), atol=1e-12)


def test_position_channels_replace_the_offset(tmp_path):
    path = tmp_path / "take.bvh"
    path.write_text(FILE.replace("OFFSET 0 0 0", "OFFSET 5 5 5"), encoding="utf-8")
    positions, _ = forward_kinematics(read_bvh(path), ["hip"])
    np.testing.assert_array_equal(positions[0, 0], [1, 90, 2])


def test_bones_keep_their_length(path):
    positions, _ = forward_kinematics(read_bvh(path), ["hip", "knee", "foot"])
    lengths = np.linalg.norm(np.diff(positions, axis=1), axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(np.hypot([40, 45], 1), lengths.shape))


def test_an_unknown_joint_is_refused_with_the_joints_there_are(path):
    with pytest.raises(ValueError, match=r"No joint tail in this BVH; it has hip, knee, foot, foot end\."):
        forward_kinematics(read_bvh(path), ["hip", "tail"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MOTION", "MOTIVE", r"take\.bvh: no line 'MOTION'; the file is cut off or is not BVH"),
        ("HIERARCHY", "SKELETON", r"line 1: expected 'HIERARCHY', found 'SKELETON'"),
        ("ROOT hip", "JOINT hip", r"line 2: expected ROOT, found 'JOINT'"),
        ("JOINT foot", "BONE foot", r"line 10: expected JOINT or End, found 'BONE'"),
        ("JOINT foot", "JOINT knee", r"line 10: joint 'knee' is defined twice"),
        ("OFFSET 1 -45 0", "OFFSET 1 long 0", r"line 12: expected OFFSET of foot, found 'long'"),
        ("OFFSET 1 -45 0", "OFFSET 1 -4_5 0", r"line 12: expected OFFSET of foot, found '-4_5'"),
        ("OFFSET 1 -45 0", "OFFSET 1 inf 0", r"line 12: OFFSET of foot is inf"),
        ("OFFSET 1 -45 0", "OFFSET 1 -45", r"line 13: expected OFFSET of foot, found 'CHANNELS'"),
        ("CHANNELS 3 Y", "CHANNELS 900 Y", r"line 13: foot has 900 CHANNELS; 0 to 6 are possible"),
        ("3 Yrotation", "3 Wrotation", r"line 13: channel 'Wrotation' of foot is unknown or stands twice"),
        ("3 Yrotation", "3 Zrotation", r"line 13: channel 'Zrotation' of foot is unknown or stands twice"),
        ("    }\n  }\n}\nMOTION", "MOTION", r"line 17: the file ends where '}' was expected"),
        ("Frames: 3", "Frames: many", r"line 22: expected 'Frames: NUMBER', found 'Frames: many'"),
        ("Frames: 3", "Frames: 99999999999", r"line 22: 99999999999 frames; 1 to 2000000 are possible"),
        ("Frames: 3", "Frames: 0", r"line 22: 0 frames"),
        ("Frames: 3", "Frames: 7", r"Frames: 7 are announced, 3 lines of numbers follow; the file is cut off"),
        (FILE[FILE.index("1 90 2") :], "", r"Frames: 3 are announced, 0 lines of numbers follow; the file is cut off"),
        ("Frames: 3", "Frames: 4", r"Frames: 4 are announced, 3 lines of numbers follow; the file is cut off"),
        ("Frames: 3", "Frames: 2", r"Frames: 2 are announced, 3 lines of numbers follow; the header or the file is wr"),
        ("Time: 0.00833333", "Time: 0", r"line 23: Frame Time is 0; seconds .*dataset\.rate="),
        ("Time: 0.00833333", "Time: nan", r"line 23: Frame Time is nan; seconds"),
        ("Time: 0.00833333", "Time: 8.33333", r"line 23: Frame Time is 8\.33333; seconds from one frame to the next"),
        ("Time: 0.00833333", "Time: 120", r"line 23: Frame Time is 120; seconds from one frame to the next"),
        ("}\nMOTION", "}\nROOT Second\n{\nMOTION", r"line 21: a second ROOT, 'Second', after 'hip'\. A file holds one"),
        ("}\nMOTION", "}\n}\nMOTION", r"line 21: expected 'MOTION', found '}'"),
        ("Frame Time: 0.00833333", "Rate 120", r"line 23: expected 'Frame Time: NUMBER', found 'Rate 120'"),
        (" 7 8 9\n", " 7 8\n", r"frames from line 24: .*number of columns changed from 12 to 11"),
        ("-40 50", "-40 x50", r"frames from line 24: could not convert string 'x50' to float64 at row 1, column 8"),
        ("-40 50", "-40 5_0", r"frames from line 24: could not convert string '5_0' to float64 at row 1, column 8"),
        ("-40 50", "-40 nan", r"frame 1 holds NaN or infinity"),
        ("-40 50", "-40 1e308", r"frame 1 holds NaN or infinity, or a number beyond 1e\+12"),
        ("OFFSET 0 -40 1", "OFFSET 0 -40 1e308", r"line 8: OFFSET of knee is 1e308"),
    ],
)
def test_a_damaged_file_is_named_with_the_place(tmp_path, old, new, message):
    path = tmp_path / "take.bvh"
    assert old in FILE
    path.write_text(FILE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_bvh(path)


def test_blanks_in_a_name_take_no_time(tmp_path):
    (tmp_path / "x.bvh").write_text(FILE.replace("ROOT hip", f"ROOT{' ' * 100_000}"), encoding="utf-8")
    start = time.process_time()
    with pytest.raises(ValueError, match=r"x\.bvh, line \d+: expected"):
        read_bvh(tmp_path / "x.bvh")
    assert time.process_time() - start < 1


def test_too_many_joints_are_refused(tmp_path):
    path = tmp_path / "take.bvh"
    joint = "JOINT j{}\n{{\nOFFSET 0 1 0\nCHANNELS 0\n"
    path.write_text(
        "HIERARCHY\nROOT j\n{\nOFFSET 0 0 0\nCHANNELS 0\n" + "".join(map(joint.format, range(2000))) + "MOTION\n",
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match="more than 1000 joints"):
        read_bvh(path)


@given(data=st.data())
def test_a_file_cut_or_changed_anywhere_is_read_or_refused(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("bvh") / "take.bvh"
    content = bytearray(FILE.encode())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place : place + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    path.write_bytes(content)
    try:
        bvh = read_bvh(path)
    except ValueError as error:
        refused = str(error)
    else:
        refused = ""
        assert np.isfinite(forward_kinematics(bvh, bvh.joints)[0]).all()
    assert not refused or str(path) in refused
