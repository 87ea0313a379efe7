import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from anypose import metrics
from anypose.metrics import (
    auc,
    joint_errors,
    mpjpe,
    mpjve,
    n_mpjpe,
    p_mpjpe,
    pck,
    procrustes_align,
)


def poses(count: int, seed: int = 0, joints: int = 17) -> np.ndarray:
    """(count, joints, 3) root-relative poses as large as people [m]."""
    rng = np.random.default_rng(seed)
    shape = rng.normal(size=(joints, 3)) * (0.15, 0.45, 0.12)
    return shape + rng.normal(scale=0.1, size=(count, joints, 3))


def svd_align(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama 1991, one frame at a time."""
    aligned = np.empty_like(target, dtype=np.float64)
    for frame, (p, y) in enumerate(zip(predicted.astype(np.float64), target.astype(np.float64), strict=True)):
        p_centre, y_centre = p.mean(0), y.mean(0)
        u, s, vt = np.linalg.svd((y - y_centre).T @ (p - p_centre))
        signs = np.array([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
        scale = (s * signs).sum() / ((p - p_centre) ** 2).sum()
        aligned[frame] = scale * (p - p_centre) @ (u * signs @ vt).T + y_centre
    return aligned


def align(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    return procrustes_align(torch.from_numpy(predicted), torch.from_numpy(target)).numpy()


def test_alignment_equals_the_singular_value_decomposition_also_across_chunks():
    target = poses(2 * metrics.CHUNK + 37)
    predicted = target + np.random.default_rng(1).normal(scale=0.05, size=target.shape)
    expected = svd_align(predicted, target)
    np.testing.assert_allclose(align(predicted, target), expected, atol=1e-9)
    errors = p_mpjpe(torch.from_numpy(predicted), torch.from_numpy(target))
    np.testing.assert_allclose(errors.numpy(), np.linalg.norm(expected - target, axis=-1).mean(-1), atol=1e-9)


def test_alignment_equals_scipy():
    target, predicted = poses(1)[0], poses(1, seed=5)[0]
    first, second, _ = procrustes(target, predicted)  # both centred, the target scaled to norm 1
    centred = target - target.mean(0)
    if np.linalg.det(np.linalg.lstsq(predicted - predicted.mean(0), second, rcond=None)[0]) < 0:
        pytest.fail("scipy reflected the pose; choose another seed")
    expected = second * np.linalg.norm(centred) + target.mean(0)
    np.testing.assert_allclose(first * np.linalg.norm(centred), centred, atol=1e-12)
    np.testing.assert_allclose(align(predicted[None], target[None])[0], expected, atol=1e-9)


@pytest.mark.parametrize(
    "extent",
    [
        (1, 1, 1),
        (1, 0.5, 0),  # planar
        (1, 1, 1e-9),
        (1, 0.1, 0.01),
        (1, 0.03, 0.03),  # near a line, on both sides of where the closed form hands over
        (1, 0.01, 0.001),
        (1, 1e-3, 1e-3),
        (1, 1e-5, 1e-5),
    ],
    ids=str,
)
@pytest.mark.parametrize("mirrored", [False, True], ids=["upright", "mirrored"])
def test_alignment_equals_the_decomposition_on_flat_thin_and_mirrored_poses(extent, mirrored):
    rng = np.random.default_rng(2)
    target = rng.normal(size=(400, 17, 3)) * extent
    predicted = target + 0.05 * rng.normal(size=target.shape) * extent
    if mirrored:
        predicted *= (-1, 1, 1)
    turned = predicted @ Rotation.random(random_state=3).as_matrix() * 1.7 + (4, -2, 5)
    np.testing.assert_allclose(align(turned, target), svd_align(turned, target), atol=1e-9)


def test_alignment_equals_the_decomposition_on_unrelated_poses_and_few_joints():
    for joints in (3, 4, 17):
        target, predicted = poses(500, 1, joints), poses(500, 2, joints)
        np.testing.assert_allclose(align(predicted, target), svd_align(predicted, target), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.floats(0.05, 20),
    st.tuples(*[st.floats(-10, 10)] * 3),
)
def test_a_similarity_of_the_truth_scores_zero(turn, scale, shift):
    target = poses(8)
    predicted = scale * target @ Rotation.from_rotvec(turn).as_matrix() + shift
    assert p_mpjpe(torch.from_numpy(predicted), torch.from_numpy(target)).max() < 1e-12


def test_a_mirror_image_is_not_turned_back():
    target = torch.from_numpy(poses(50))
    mirrored = target * torch.tensor([-1.0, 1.0, 1.0])
    assert p_mpjpe(mirrored, target).min() > 0.01


def test_no_rotation_scale_or_shift_does_better_than_the_alignment():
    target, predicted = poses(20), poses(20, seed=9)
    aligned = align(predicted, target)
    best = ((aligned - target) ** 2).sum((1, 2))
    rng = np.random.default_rng(4)
    centre = aligned.mean(1, keepdims=True)
    for _ in range(50):
        turn = Rotation.from_rotvec(rng.normal(scale=0.02, size=3)).as_matrix()
        other = (aligned - centre) @ turn * (1 + rng.normal(scale=0.02)) + centre + rng.normal(scale=0.01, size=3)
        assert (((other - target) ** 2).sum((1, 2)) > best).all()


def test_poses_of_no_extent_give_finite_errors():
    target = torch.from_numpy(poses(3))
    point = torch.full_like(target, 0.3)
    centre = target.mean(1, keepdim=True)
    torch.testing.assert_close(procrustes_align(point, target), centre.expand_as(target))
    torch.testing.assert_close(p_mpjpe(point, target), mpjpe(centre.expand_as(target), target))
    torch.testing.assert_close(procrustes_align(target, point), point)
    torch.testing.assert_close(p_mpjpe(torch.zeros(2, 5, 3), torch.zeros(2, 5, 3)), torch.zeros(2, dtype=torch.float64))


def test_two_joints_are_laid_along_their_truth():
    target = torch.tensor([[[0.0, 0, 0], [0, 2, 0]]])
    predicted = torch.tensor([[[5.0, 5, 5], [6, 5, 5]]])
    torch.testing.assert_close(procrustes_align(predicted, target), target.double())


def test_nan_stays_in_its_frame():
    target = torch.from_numpy(poses(5))
    predicted = target.clone()
    predicted[2, 7, 1] = float("nan")
    assert p_mpjpe(predicted, target).isnan().tolist() == [False, False, True, False, False]


def test_alignment_takes_any_type_layout_and_number_of_dimensions():
    target, predicted = poses(12).reshape(2, 6, 17, 3), poses(12, seed=1).reshape(2, 6, 17, 3)
    expected = svd_align(predicted.reshape(12, 17, 3), target.reshape(12, 17, 3)).reshape(2, 6, 17, 3)
    half = torch.from_numpy(predicted).half(), torch.from_numpy(target).bfloat16()
    np.testing.assert_allclose(procrustes_align(*half).numpy(), expected, atol=2e-2)
    scattered = torch.from_numpy(np.asfortranarray(predicted)).requires_grad_()
    aligned = procrustes_align(scattered, torch.from_numpy(target))
    np.testing.assert_allclose(aligned.numpy(), expected, atol=1e-9)
    assert p_mpjpe(scattered, torch.from_numpy(target)).shape == (2, 6)
    assert p_mpjpe(torch.zeros(17, 3), torch.ones(17, 3)).shape == ()
    assert p_mpjpe(torch.zeros(0, 17, 3), torch.zeros(0, 17, 3)).shape == (0,)


def test_mpjpe_is_the_mean_distance():
    target, predicted = poses(30), poses(30, seed=1)
    expected = np.sqrt(((predicted - target) ** 2).sum(-1)).mean(-1)
    np.testing.assert_allclose(
        mpjpe(torch.from_numpy(predicted), torch.from_numpy(target)).numpy(), expected, rtol=1e-12
    )


def test_half_precision_is_scored_in_float32():
    target, predicted = torch.full((1, 3), 1000.0).half(), torch.full((1, 3), 1001.0).half()
    error = mpjpe(predicted, target)
    assert error.dtype == torch.float32
    assert error.item() == pytest.approx(3**0.5)


def test_mpjpe_has_a_gradient_where_a_joint_is_exact():
    predicted = torch.zeros(2, 3, requires_grad=True)
    mpjpe(predicted, torch.tensor([[0.0, 0, 0], [3, 4, 0]])).backward()
    torch.testing.assert_close(predicted.grad, torch.tensor([[0.0, 0, 0], [-0.3, -0.4, 0]]))


def test_n_mpjpe_finds_the_best_scale():
    target, predicted = torch.from_numpy(poses(20)), torch.from_numpy(poses(20, seed=1))
    scales = torch.linspace(-2, 3, 5001, dtype=torch.float64)
    for p, y in zip(predicted, target, strict=True):
        cost = ((scales[:, None, None] * p - y) ** 2).sum((1, 2))
        best = scales[cost.argmin()]
        assert n_mpjpe(p, y).item() == pytest.approx(mpjpe(best * p, y).item(), abs=1e-3)
    torch.testing.assert_close(n_mpjpe(2.5 * target, target), torch.zeros(20, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(n_mpjpe(0 * target, target), mpjpe(0 * target, target))


def test_mpjve_is_the_error_of_the_differences_of_each_sequence():
    target, predicted = poses(40).reshape(2, 20, 17, 3), poses(40, seed=1).reshape(2, 20, 17, 3)
    got = mpjve(torch.from_numpy(predicted), torch.from_numpy(target))
    velocity = (predicted[:, 1:] - predicted[:, :-1]) - (target[:, 1:] - target[:, :-1])
    np.testing.assert_allclose(got.numpy(), np.linalg.norm(velocity, axis=-1).mean(-1), rtol=1e-12)
    moved = torch.from_numpy(target) + 0.5  # a constant offset has no velocity
    assert mpjve(moved, torch.from_numpy(target)).max() < 1e-12


def test_pck_counts_joints_nearer_than_the_threshold():
    target = torch.zeros(1, 4, 3, dtype=torch.float64)
    predicted = target.clone()
    predicted[0, :, 0] = torch.tensor([0.0, 0.149, 0.150, 0.2])
    assert pck(predicted, target).tolist() == [0.5]
    assert pck(predicted, target, threshold=0.151).tolist() == [0.75]


def test_auc_is_the_mean_pck_over_31_thresholds():
    target, predicted = poses(200), poses(200, seed=1) * 0.9
    errors = np.linalg.norm(predicted - target, axis=-1)
    expected = np.mean([(errors < t).mean(-1) for t in np.linspace(0, 0.150, 31)], axis=0)
    np.testing.assert_allclose(auc(torch.from_numpy(predicted), torch.from_numpy(target)).numpy(), expected, atol=1e-12)
    exact = torch.zeros(17, 3)
    assert auc(exact, exact).item() == pytest.approx(30 / 31)  # below 0 mm is nothing


@pytest.mark.parametrize("score", [joint_errors, mpjpe, n_mpjpe, p_mpjpe, procrustes_align, pck, auc])
def test_shapes_that_do_not_match_are_refused_with_both(score):
    with pytest.raises(ValueError, match=r"got \(2, 17, 3\) and \(2, 16, 3\)"):
        score(torch.zeros(2, 17, 3), torch.zeros(2, 16, 3))
    with pytest.raises(ValueError, match=r"same shape \(..., J, 3\), got \(17, 2\) and \(17, 2\)"):
        score(torch.zeros(17, 2), torch.zeros(17, 2))
