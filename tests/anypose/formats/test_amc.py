import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anypose.formats.amc import bone_ends, read_amc
from anypose.formats.asf import euler_xyz, read_asf
from tests.pose3d.motion.motion_files import ASF, write_amc


@pytest.fixture
def skeleton(tmp_path):
    (tmp_path / "02.asf").write_text(ASF, encoding="utf-8")
    return read_asf(tmp_path / "02.asf")


def test_the_skeleton_is_read_with_parents_first(skeleton):
    assert skeleton.bones[0] == "root"
    assert all(parent < i for i, parent in enumerate(skeleton.parents))
    assert skeleton.bones[skeleton.parents[skeleton.bones.index("ltibia")]] == "lfemur"
    assert skeleton.dofs[skeleton.bones.index("lfemur")] == ("rx", "ry", "rz")
    assert skeleton.dofs[skeleton.bones.index("lhipjoint")] == ()
    unit = 0.0254 / 0.45
    assert skeleton.metres == pytest.approx(unit)
    femur = skeleton.offsets[skeleton.bones.index("lfemur")]
    np.testing.assert_allclose(femur, 7.1578 * unit * np.array([0.34202, -0.939693, 0]))


def test_a_motion_is_read_in_the_order_of_the_skeleton(skeleton, tmp_path):
    values = write_amc(tmp_path / "02_01.amc", skeleton, frames=5, seed=0)
    np.testing.assert_allclose(read_amc(tmp_path / "02_01.amc", skeleton), values, atol=1e-6)


def test_the_root_turns_in_its_own_order_and_its_numbers_stand_in_any(tmp_path, skeleton):
    (tmp_path / "zyx.asf").write_text(
        ASF.replace("order TX TY TZ RX RY RZ\n   axis XYZ", "order RZ RY RX TX TY TZ\n   axis ZYX"), encoding="utf-8"
    )
    turned = read_asf(tmp_path / "zyx.asf")
    values = np.zeros((1, sum(map(len, turned.dofs))))
    values[0, :6] = [30, 40, 50, 1, 2, 3]  # rz, ry, rx, then the place
    places, turns = bone_ends(turned, values, ["root"])
    np.testing.assert_allclose(turns[0, 0], Rotation.from_euler("zyx", [30, 40, 50], degrees=True).as_matrix())
    np.testing.assert_allclose(places[0, 0], np.array([1, 2, 3]) * turned.metres)


def test_radians_are_told_by_the_motions_header_or_the_skeletons_units(skeleton, tmp_path):
    values = write_amc(tmp_path / "02_01.amc", skeleton, frames=3, seed=0)
    text = (tmp_path / "02_01.amc").read_text(encoding="utf-8")
    turns = np.array([dof[0] == "r" for dofs in skeleton.dofs for dof in dofs])
    small = values * np.where(turns, 0.001, 1)
    rewritten = read_amc(tmp_path / "02_01.amc", skeleton)
    np.testing.assert_allclose(rewritten, values, atol=1e-6)

    def scaled(factor: float) -> str:
        return "\n".join(
            " ".join([words[0], *(f"{float(word) * factor:.9f}" for word in words[1:])])
            if len(words) > 1 and line[0] != "#"
            else line
            for line in text.replace(":DEGREES", ":RADIANS").splitlines()
            for words in [line.split()]
        )

    (tmp_path / "rad.amc").write_text(scaled(1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"rad\.amc: angles up to \d+ cannot be radians, which its header says"):
        read_amc(tmp_path / "rad.amc", skeleton)
    (tmp_path / "rad.amc").write_text(scaled(0.001).replace(":RAD", ":DEGREES\n:RAD"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"rad\.amc: its header says :DEGREES and :RADIANS\. Leave one"):
        read_amc(tmp_path / "rad.amc", skeleton)
    (tmp_path / "rad.amc").write_text(scaled(0.001), encoding="utf-8")
    read = read_amc(tmp_path / "rad.amc", skeleton)
    np.testing.assert_allclose(read[:, turns], np.degrees(small[:, turns]), atol=1e-4)
    (tmp_path / "rad.amc").write_text(scaled(0.001).replace(":RADIANS\n", ""), encoding="utf-8")
    (tmp_path / "rad.asf").write_text(ASF.replace("angle deg", "angle rad"), encoding="utf-8")
    by_skeleton = read_amc(tmp_path / "rad.amc", read_asf(tmp_path / "rad.asf"))
    np.testing.assert_allclose(by_skeleton[:, turns], np.degrees(small[:, turns]), atol=1e-4)


def test_bones_end_where_scipy_puts_them(skeleton, tmp_path):
    write_amc(tmp_path / "02_01.amc", skeleton, frames=4, seed=1)
    values = read_amc(tmp_path / "02_01.amc", skeleton)
    ends, turns = bone_ends(skeleton, values, skeleton.bones)
    axes = {"lfemur": (0, 0, 20), "ltibia": (0, 0, 20), "rfemur": (0, 0, -20), "rtibia": (0, 0, -20)}
    for frame in range(4):
        column, known = 0, {}
        for i, bone in enumerate(skeleton.bones):
            numbers = dict(zip(skeleton.dofs[i], values[frame, column:], strict=False))
            column += len(skeleton.dofs[i])
            frame_of = Rotation.from_euler("xyz", axes.get(bone, (0, 0, 0)), degrees=True)
            motion = Rotation.from_euler("xyz", [numbers.get(f"r{a}", 0) for a in "xyz"], degrees=True)
            turn = frame_of * motion * frame_of.inv()
            place = np.array([numbers.get(f"t{a}", 0) for a in "xyz"]) * skeleton.metres
            if skeleton.parents[i] >= 0:
                parent_place, parent_turn = known[skeleton.parents[i]]
                turn, place = parent_turn * turn, place + parent_place
            known[i] = place + turn.apply(skeleton.offsets[i]), turn
            np.testing.assert_allclose(ends[frame, i], known[i][0], atol=1e-9, err_msg=bone)
            np.testing.assert_allclose(turns[frame, i], turn.as_matrix(), atol=1e-9)


def test_euler_angles_turn_about_the_fixed_x_first():
    angles = np.array([[0.3, -1.2, 2.5], [0, 0, 0]])
    np.testing.assert_allclose(euler_xyz(angles), Rotation.from_euler("xyz", angles).as_matrix(), atol=1e-12)


def test_an_unknown_bone_is_refused_with_the_bones_there_are(skeleton, tmp_path):
    values = write_amc(tmp_path / "02_01.amc", skeleton, frames=1, seed=0)
    with pytest.raises(ValueError, match=r"No bone tail in this skeleton; it has root, "):
        bone_ends(skeleton, values, ["tail"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":bonedata", ":bones", r"has no section :bonedata; the file is cut off or is not ASF"),
        ("angle deg", "angle grad", r"angle of its units must be degrees or radians, found 'grad'"),
        ("  length 0.45\n", "", r"says no length of its units\. Say what they are with dataset\.unit="),
        ("orientation 0 0 0", "orientation 0 90 0", r"root orientation must be 0 0 0, found 0 90 0"),
        ("axis XYZ", "axis ZYX\n   order TX TY TZ RX RZ RY", r"turns about ZYX by its axis and about XZY by its order"),
        ("length 0.45", "length 0", r"units length 0 is absurd; CMU's is 0.45"),
        ("length 7.1578", "length 7_1578", r"line \d+: 1 finite numbers are wanted, found '7_1578'"),
        ("length 0.45", "length huge", r"1 finite numbers are wanted, found 'huge'"),
        ("order TX TY TZ RX RY RZ", "order TX WX", r"root order must be of TX TY TZ RX RY RZ, found tx wx"),
        ("length 7.1578", "length nan", r"line \d+: 1 finite numbers are wanted, found 'nan'"),
        (
            "direction 0.34202 -0.939693 0",
            "direction 0.34202",
            r"line \d+: 3 finite numbers are wanted, found '0.34202'",
        ),
        (
            "direction 0.34202 -0.939693 0",
            "direction 0 0 0",
            r"line \d+: direction of lfemur must be one unit long, .* 0\.0",
        ),
        ("length 7.1578", "length -7.1578", r"line \d+: direction of lfemur .* length not below 0, found .* -7\.1578"),
        ("name rfemur", "name lfemur", r"line \d+: bone 'lfemur' has no name or another's"),
        ("dof rx ry rz", "dof rx rx", r"line \d+: dof of lfemur must be of rx ry rz, found rx rx"),
        ("axis 0 0 20 XYZ", "axis 0 0 20 ZYX", r"line \d+: axis of lfemur must be in the order XYZ"),
        ("lfemur ltibia", "lfemur tail", r"line \d+: 'tail' is not a bone"),
        ("rfemur rtibia", "rfemur ltibia", r"line \d+: 'ltibia' hangs on two bones"),
        ("lfemur ltibia\n", "\n", r"ltibia hang on nothing in the hierarchy"),
        ("    root lhipjoint", "    ltibia lhipjoint", r"hang on nothing in the hierarchy"),
        (":bonedata\n  begin", ":bonedata\n", r"line \d+: 'begin' is wanted, found 'id'"),
    ],
)
def test_a_damaged_skeleton_is_named_with_the_line(tmp_path, old, new, message):
    assert old in ASF
    (tmp_path / "02.asf").write_text(ASF.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_asf(tmp_path / "02.asf")
    assert "02.asf" in str(error.value)


@pytest.mark.parametrize(
    ("line", "new", "message"),
    [
        ("2", "3", r"line \d+: the number 2 of a frame is wanted, found '3'"),
        ("2", "9" * 20, r"line \d+: the number 2 of a frame is wanted, found '9+'"),
        ("lfemur", "rfemur 1 2 3", r"line \d+: \w+ is wanted in frame \d, found '\w+'"),
        ("lfemur", "lfemur 1 2", r"line \d+: 3 finite numbers are wanted, found '1 2'"),
        ("lfemur", "lfemur 1 2 3 4", r"line \d+: 3 numbers of lfemur are wanted, found 4"),
        ("lfemur", "lfemur 1 x 3", r"line \d+: 3 finite numbers are wanted, found '1 x 3'"),
        ("lfemur", "lfemur 1 1_0 3", r"line \d+: 3 finite numbers are wanted, found '1 1_0 3'"),
        ("lfemur", "lfemur 1 inf 3", r"line \d+: 3 finite numbers are wanted, found '1 inf 3'"),
        ("lfemur", "", r"line \d+: \w+ is wanted in frame 2, found|frame \d lacks|the number 2 of a frame is wanted"),
    ],
)
def test_a_damaged_motion_is_named_with_the_line(skeleton, tmp_path, line, new, message):
    path = tmp_path / "02_01.amc"
    write_amc(path, skeleton, frames=4, seed=0)
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [i for i, text in enumerate(lines) if text.split()[0] == line]
    lines[starts[1] if line == "lfemur" else starts[0]] = new
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_amc(path, skeleton)
    assert "02_01.amc" in str(error.value)


def test_a_cut_or_empty_motion_is_refused(skeleton, tmp_path):
    path = tmp_path / "02_01.amc"
    write_amc(path, skeleton, frames=4, seed=0)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.rindex("ltibia")], encoding="utf-8")
    with pytest.raises(ValueError, match=r"frame 4 lacks .*ltibia.*; the file is cut off"):
        read_amc(path, skeleton)
    path.write_text("#!OML:ASF\n:FULLY-SPECIFIED\n:DEGREES\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"02_01\.amc: frame 0 lacks"):
        read_amc(path, skeleton)


@given(data=st.data())
@pytest.mark.slow
def test_files_cut_or_changed_anywhere_are_read_or_refused(data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    (folder / "x.asf").write_text(ASF, encoding="utf-8")
    write_amc(folder / "x.amc", read_asf(folder / "x.asf"), frames=2, seed=0)
    victim = folder / data.draw(st.sampled_from(["x.asf", "x.amc"]))
    content = bytearray(victim.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place : place + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    victim.write_bytes(bytes(content) or b"#")
    try:
        asf = read_asf(folder / "x.asf")
        ends, _ = bone_ends(asf, read_amc(folder / "x.amc", asf), asf.bones)
    except ValueError as error:
        refused = str(error)
    else:
        refused = str(folder)
        assert np.isfinite(ends).all()
    assert str(folder) in refused
