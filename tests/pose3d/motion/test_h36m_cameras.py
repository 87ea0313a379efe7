import re

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anypose.camera import project, world_to_camera
from pose3d.motion.h36m_cameras import euler_rotation, published_cameras, read_cameras_h5, read_metadata
from tests.pose3d.motion.motion_files import write_cameras_h5, write_metadata

# World [mm], camera [mm], pixel: measured with the original code on the original cameras.h5.
REFERENCE = [
    ("S1", 0, (0, 0, 1000), (-320.303, -435.266, 5288.662), (443.3168, 421.4838)),
    ("S1", 0, (500, -300, 1500), (-885.653, -954.727, 5265.427), (322.0542, 310.3090)),
    ("S9", 1, (0, 0, 1000), (11.864, -574.353, 5496.442), (511.3053, 388.3294)),
    ("S11", 3, (0, 0, 1000), (-89.957, -540.743, 4173.569), (490.3431, 353.9863)),
]


@pytest.mark.parametrize(("subject", "index", "world", "camera", "pixel"), REFERENCE)
def test_published_cameras_project_as_the_original_code_does(subject, index, world, camera, pixel):
    view = published_cameras()[subject][index]
    seen = world_to_camera(np.array(world) / 1000, view)
    np.testing.assert_allclose(seen * 1000, camera, atol=6e-4)
    np.testing.assert_allclose(project(seen, view), pixel, atol=6e-5)


def test_the_three_sources_of_cameras_agree(tmp_path):
    published = published_cameras()
    write_metadata(tmp_path / "metadata.xml")
    write_cameras_h5(tmp_path / "cameras.h5", published)
    metadata, h5 = read_metadata(tmp_path / "metadata.xml"), read_cameras_h5(tmp_path / "cameras.h5")
    assert list(metadata) == [f"S{i}" for i in range(1, 12)]
    assert set(h5) == set(published) == {"S1", "S5", "S6", "S7", "S8", "S9", "S11"}
    for subject, cameras in published.items():
        for ours, xml, hdf in zip(cameras, metadata[subject], h5[subject], strict=True):
            assert ours.name == xml.name == hdf.name
            assert (ours.width, ours.height) == (xml.width, xml.height) == (hdf.width, hdf.height)
            for other in (xml, hdf):
                np.testing.assert_allclose(other.rotation, ours.rotation, atol=1e-12)
                np.testing.assert_allclose(other.position, ours.position, atol=1e-12)
                np.testing.assert_allclose(other.intrinsics, ours.intrinsics, rtol=1e-12)


def test_euler_angles_turn_about_z_first():
    angles = np.array([0.3, -1.2, 2.5])
    np.testing.assert_allclose(euler_rotation(angles), Rotation.from_euler("XYZ", angles).as_matrix(), atol=1e-12)


def test_pictures_are_1002_high_for_the_first_and_last_camera():
    assert [(c.name, c.width, c.height) for c in published_cameras()["S1"]] == [
        ("54138969", 1000, 1002),
        ("55011271", 1000, 1000),
        ("58860488", 1000, 1000),
        ("60457274", 1000, 1002),
    ]


def damaged(path, old, new):
    write_metadata(path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<a>", '<!DOCTYPE a [<!ENTITY x "ha">]><a>', "not the XML that metadata.xml is: a DOCTYPE is not allowed"),
        ("<w0>[", "<w0>[1.5 ", "element w0 must hold 300 finite numbers, found 301"),
        ("<w0>[", "<w0>[one ", "element w0 must hold numbers; could not convert string to float: .*one"),
        ("1841.107", "nan", "element w0 must hold 300 finite numbers, found 300"),
        ("</a>", "", r"not the XML that metadata\.xml is: no element found: line \d+"),
        ("<a>", "<a>&bomb;", "not the XML that metadata.xml is: undefined entity"),
        ('"utf-8"', '"klingon"', "not the XML that metadata.xml is: unknown encoding"),
        ("w0>", "w1>", "not the XML that metadata.xml is: mismatched tag"),
    ],
)
def test_damaged_metadata_is_refused_with_the_reason(tmp_path, old, new, message):
    path = damaged(tmp_path / "metadata.xml", old, new)
    with pytest.raises(ValueError, match=message) as error:
        read_metadata(path)
    assert str(path) in str(error.value)


def test_another_xml_file_is_not_taken_for_metadata(tmp_path):
    path = tmp_path / "other.xml"
    path.write_text("<a><b>1 2 3</b></a>", encoding="utf-8")
    with pytest.raises(ValueError, match=r"no element <w0>; is it Human3.6M's metadata\.xml\?"):
        read_metadata(path)


def test_an_entity_bomb_in_any_encoding_is_not_expanded(tmp_path):
    path = tmp_path / "bomb.xml"
    levels = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "ha">{levels}]><a><w0>&e9;</w0></a>'
    for encoding in ("utf-8", "utf-16"):
        path.write_bytes(bomb.encode(encoding))
        with pytest.raises(ValueError, match="a DOCTYPE is not allowed"):
            read_metadata(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("subject9/camera2/f", np.zeros((3, 1)), "subject9/camera2/f must hold 2 numbers, found 3"),
        (
            "subject9/camera2/T",
            np.full((3, 1), np.nan),
            r"'subject9/camera2/T' holds NaN or infinity, first at \(0, 0\)",
        ),
        ("subject9/camera2/R", np.ones((3, 3)), "rotation of camera 55011271 must be a rotation"),
        ("subject9/camera2/Name", np.full((8, 1), 49.0), "subject9/camera2/Name is '11111111', expected '55011271'"),
        ("subject9/camera2/k", None, "has no dataset 'subject9/camera2/k'"),
    ],
)
def test_a_damaged_camera_in_h5_is_named(tmp_path, place, value, message):
    path = tmp_path / "cameras.h5"
    write_cameras_h5(path, published_cameras())
    with h5py.File(path, "a") as file:
        del file[place]
        if value is not None:
            file[place] = value
    with pytest.raises(ValueError, match=message):
        read_cameras_h5(path)


def test_an_h5_file_without_cameras_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["3dtest"] = np.zeros(3)
    with pytest.raises(ValueError, match=re.escape("has no group 'subject1', ...; is it cameras.h5?")):
        read_cameras_h5(tmp_path / "x.h5")


def test_a_missing_camera_file_says_what_it_should_be(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"metadata\.xml does not exist\. It should be metadata\.xml"):
        read_metadata(tmp_path / "metadata.xml")
    (tmp_path / "cameras.h5").touch()
    with pytest.raises(ValueError, match=r"cameras\.h5 has 0 bytes"):
        read_cameras_h5(tmp_path / "cameras.h5")
