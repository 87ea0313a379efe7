"""GLB as pygltflib sees it, played by a few lines of our own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anypose.formats.glb import GlbSink, bone_mesh
from tests.anypose.formats.dancers import dancers, part
from tests.anypose.formats.test_trc import y_up

pygltflib = pytest.importorskip("pygltflib", reason="NO PYGLTFLIB: pip install pygltflib to read GLB")
TYPES = {5126: "<f4", 5123: "<u2", 5125: "<u4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """A file and where its nodes are at a key frame."""

    def __init__(self, path) -> None:
        self.document = pygltflib.GLTF2().load(str(path))
        self.blob = self.document.binary_blob()
        self.names = [node.name for node in self.document.nodes]

    def array(self, accessor):
        entry = self.document.accessors[accessor]
        view = self.document.bufferViews[entry.bufferView]
        data = np.frombuffer(self.blob[view.byteOffset : view.byteOffset + view.byteLength], TYPES[entry.componentType])
        return data.reshape(entry.count, WIDTHS[entry.type])

    def channels(self):
        animation = self.document.animations[0]
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            yield channel.target.node, channel.target.path, self.array(sampler.input)[:, 0], self.array(sampler.output)

    def matrices(self, frame):
        """(N, 4, 4) of every node in the scene."""
        nodes = self.document.nodes
        local = {i: [node.translation or [0, 0, 0], [0, 0, 0, 1], [1, 1, 1]] for i, node in enumerate(nodes)}
        for node, path, _, output in self.channels():
            local[node][["translation", "rotation", "scale"].index(path)] = output[frame]
        matrices = np.tile(np.eye(4), (len(nodes), 1, 1))

        def visit(node, above):
            place, turn, scale = local[node]
            own = np.eye(4)
            own[:3, :3] = Rotation.from_quat(turn).as_matrix() * np.asarray(scale)
            own[:3, 3] = place
            matrices[node] = above @ own
            for child in nodes[node].children or []:
                visit(child, matrices[node])

        for root in self.document.scenes[0].nodes:
            visit(root, np.eye(4))
        return matrices


def test_joints_are_where_they_were_and_keys_have_their_times(tmp_path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.05, 20))
    motion = dancers(frames=20, people=2, times=times)
    with GlbSink(tmp_path / "dance.glb") as sink:
        for start in range(0, 20, 7):
            sink.write(part(motion, slice(start, start + 7)))
    glb = Glb(sink.path)
    _, _, keys, _ = next(iter(glb.channels()))
    np.testing.assert_allclose(keys, times - times[0], atol=1e-6)
    for frame in (0, 11, 19):
        matrices = glb.matrices(frame)
        for p in range(2):
            start = glb.names.index(f"person{p + 1}")
            nodes = [glb.names.index(joint, start) for joint in motion.skeleton.joints]
            np.testing.assert_allclose(matrices[nodes, :3, 3], y_up(motion.world[frame, p]), atol=1e-5)


def test_the_skin_follows_the_bones(tmp_path) -> None:
    motion = dancers(frames=3)
    with GlbSink(tmp_path / "dance.glb") as sink:
        sink.write(motion)
    glb = Glb(sink.path)
    skin = glb.document.skins[0]
    bind = glb.array(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    attributes = glb.document.meshes[0].primitives[0].attributes
    vertices = np.c_[glb.array(attributes.POSITION), np.ones(len(glb.array(attributes.POSITION)))]
    joints, weights = glb.array(attributes.JOINTS_0), glb.array(attributes.WEIGHTS_0)
    np.testing.assert_allclose(weights.sum(-1), 1)
    carried = glb.matrices(2)[skin.joints] @ bind
    moved = np.einsum("vk,vkij,vj->vi", weights, carried[joints], vertices)[:, :3]
    mesh = bone_mesh(motion.skeleton, motion.rest[0])
    for child, parent in motion.skeleton.bones:
        of_bone = mesh.bones[:, 0] == child
        along = motion.world[2, 0, child] - motion.world[2, 0, parent]
        rest = motion.rest[0, child] - motion.rest[0, parent]
        expected = y_up(motion.world[2, 0, parent]) + 0
        tips = np.linalg.norm(mesh.vertices[of_bone] - motion.rest[0, parent], axis=-1) < 1e-6
        np.testing.assert_allclose(moved[of_bone][tips], np.broadcast_to(expected, (tips.sum(), 3)), atol=1e-5)
        tips = np.linalg.norm(mesh.vertices[of_bone] - motion.rest[0, parent] - rest, axis=-1) < 1e-6
        expected = y_up(motion.world[2, 0, parent] + along)
        np.testing.assert_allclose(moved[of_bone][tips], np.broadcast_to(expected, (tips.sum(), 3)), atol=1e-5)


def test_faces_look_outward(tmp_path) -> None:
    motion = dancers()
    mesh = bone_mesh(motion.skeleton, motion.rest[0])
    for faces in mesh.faces.values():
        a, b, c = np.moveaxis(mesh.vertices[faces], 1, 0)
        normals = np.cross(b - a, c - a)
        assert ((normals * mesh.normals[faces[:, 0]]).sum(-1) > 0).all()


def test_who_is_away_shrinks_to_nothing(tmp_path) -> None:
    motion = dancers(frames=12, people=2)
    with GlbSink(tmp_path / "dance.glb") as sink:
        sink.write(part(motion, slice(0, 4), [1]))
        sink.write(part(motion, slice(4, 8), [0]))
        sink.write(part(motion, slice(8, 12)))
    glb = Glb(sink.path)
    scales = {glb.names[node]: output[:, 0] for node, path, _, output in glb.channels() if path == "scale"}
    np.testing.assert_array_equal(scales["person2"], [1] * 4 + [0] * 4 + [1] * 4)
    np.testing.assert_array_equal(scales["person1"], [0] * 4 + [1] * 8)
    for _, _, _, output in glb.channels():
        assert np.isfinite(output).all()
