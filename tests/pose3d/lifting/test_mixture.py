import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation
from torch.distributions import Categorical, Dirichlet, Independent, MixtureSameFamily, Normal

from pose3d.lifting.mixture import (
    SIGMA_FLOOR,
    consistent,
    log_density,
    log_prior,
    mass_above,
    most_likely,
    weighted_mean,
)


def random_mixture(count=7, hypotheses=5, dimensions=48, dtype=torch.float64, spread=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(count, hypotheses, dimensions, generator=generator, dtype=dtype)
    sigmas = torch.exp(spread * torch.randn(count, hypotheses, generator=generator, dtype=dtype))
    weights = torch.randn(count, hypotheses, generator=generator, dtype=dtype).softmax(-1)
    return means, sigmas, weights


def reference(means, sigmas, weights):
    spread = sigmas.unsqueeze(-1).expand_as(means)
    return MixtureSameFamily(Categorical(weights), Independent(Normal(means, spread), 1))


def test_log_density_is_that_of_torch_distributions():
    mixture = random_mixture()
    target = torch.randn(7, 48, dtype=torch.float64)
    torch.testing.assert_close(log_density(target, *mixture), reference(*mixture).log_prob(target))


def test_gradients_are_those_of_torch_distributions():
    target = torch.randn(7, 48, dtype=torch.float64)
    ours, theirs = ([t.clone().requires_grad_() for t in random_mixture(spread=0.3)] for _ in range(2))
    log_density(target, *ours).sum().backward()
    reference(*theirs).log_prob(target).sum().backward()
    for mine, reference_gradient in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(mine.grad, reference_gradient.grad)


def test_identical_kernels_are_one_kernel():
    means, sigmas, _ = random_mixture(hypotheses=1)
    target = torch.randn(7, 48, dtype=torch.float64)
    one = Independent(Normal(means[:, 0], sigmas), 1).log_prob(target)
    many = log_density(target, means.expand(-1, 5, -1), sigmas.expand(-1, 5), torch.full((7, 5), 0.2).double())
    torch.testing.assert_close(many, one)


def test_the_prior_is_the_dirichlet_density_less_its_constant():
    weights = random_mixture()[2]
    dirichlet = Dirichlet(torch.full((5,), 2.0, dtype=torch.float64)).log_prob(weights)
    constant = math.lgamma(10) - 5 * math.lgamma(2)
    torch.testing.assert_close(log_prior(weights, 2.0), dirichlet - constant)
    assert math.isclose(-log_prior(torch.full((5,), 0.2), 2.0).item(), 8.047, abs_tol=1e-3)


def test_ten_thousand_random_states_give_finite_losses_and_gradients_in_float32():
    generator = torch.Generator().manual_seed(0)
    logits = 10 ** (4 * torch.rand(10_000, 1, generator=generator) - 2) * torch.randn(10_000, 5, generator=generator)
    raw = 10 ** (4 * torch.rand(10_000, 1, generator=generator) - 2) * torch.randn(10_000, 5, generator=generator)
    means = 10 ** (3 * torch.rand(10_000, 1, 1, generator=generator) - 1) * torch.randn(
        10_000, 5, 48, generator=generator
    )
    for tensor in (logits, raw, means):
        tensor.requires_grad_()
    sigmas = torch.nn.functional.elu(raw) + 1
    assert sigmas.min() == 0  # the exponential underflows, as it may in training
    weights = logits.softmax(-1)
    loss = -log_density(torch.randn(10_000, 48, generator=generator), means, sigmas, weights) - log_prior(weights, 2.0)
    assert loss.isfinite().all()
    loss.mean().backward()
    assert all(tensor.grad.isfinite().all() for tensor in (logits, raw, means))


@pytest.mark.parametrize("sigma", [0.0, 1e-20, SIGMA_FLOOR, 1e15, 1e30])
def test_extreme_sigmas_have_finite_losses_and_gradients(sigma):
    means = torch.ones(1, 2, 48, requires_grad=True)
    sigmas = torch.full((1, 2), sigma, requires_grad=True)
    loss = log_density(torch.zeros(1, 48), means, sigmas, torch.full((1, 2), 0.5)).sum()
    loss.backward()
    assert loss.isfinite()
    assert means.grad.isfinite().all()
    assert sigmas.grad.isfinite().all()


def test_single_poses_out_of_many():
    means = torch.randn(4, 3, 17, 3)
    weights = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.0, 0.0, 1.0], [0.3, 0.3, 0.4]])
    expected = torch.stack([means[0, 1], means[1, 0], means[2, 2], means[3, 2]])
    torch.testing.assert_close(most_likely(means, weights), expected)
    expected = torch.stack(
        [sum(w * m for w, m in zip(ws, ms, strict=True)) for ws, ms in zip(weights, means, strict=True)]
    )
    torch.testing.assert_close(weighted_mean(means, weights), expected)


@pytest.mark.slow
@pytest.mark.parametrize(("claimed", "honest"), [(1.0, True), (0.7, False), (1.4, False)])
def test_the_mass_above_the_truth_is_uniform_only_for_an_honest_mixture(claimed, honest):
    torch.manual_seed(0)
    means, sigmas, weights = random_mixture(1000, hypotheses=3, dimensions=6, spread=0.3)
    truth = reference(means, sigmas, weights).sample()
    above = mass_above(truth, means, claimed * sigmas, weights, torch.randn(1000, 6, dtype=torch.float64))
    assert above.min() >= 0
    assert above.max() <= 1 + 1e-9
    p = stats.kstest(above.numpy(), "uniform").pvalue
    assert (p > 0.01) if honest else (p < 1e-6)


def test_the_mass_above_the_truth_of_one_gaussian_is_the_chi_squares():
    torch.manual_seed(0)
    means, sigmas = torch.zeros(50, 1, 4), torch.full((50, 1), 2.0)
    truth = 2 * torch.randn(50, 4)
    above = mass_above(truth, means, sigmas, torch.ones(50, 1), torch.randn(20_000, 4))
    expected = stats.chi2(4).cdf((truth / 2).square().sum(-1).numpy())
    np.testing.assert_allclose(above, expected, atol=0.015)


def test_views_agree_on_the_pose_that_all_of_them_hold():
    """Each view holds the truth and four poses wrong in depth, along its own line of sight."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 0.3, (20, 17, 3))
    views = []
    for turn in Rotation.random(4, rng=1).as_matrix():
        wrong = np.stack([truth @ turn.T] * 5, 1)
        wrong[:, 1:, :, 2] += rng.normal(0, 0.3, (20, 4, 17))
        views.append(wrong[:, rng.permutation(5)] @ turn)
    means = torch.from_numpy(np.stack(views, 1))
    size = (20, 4, 5)
    weights = torch.from_numpy(rng.dirichlet([2] * 5, size[:2]))
    agreed = consistent(means, torch.full(size, 0.1).double(), weights, torch.ones(20, 4, dtype=torch.bool), 48)
    torch.testing.assert_close(agreed, torch.from_numpy(truth))


def test_the_chosen_hypothesis_has_the_highest_product_of_densities():
    torch.manual_seed(0)
    means, spreads = 0.1 * torch.randn(8, 3, 4, 5, 3), 0.05 + 0.1 * torch.rand(8, 3, 4)
    weights = torch.randn(8, 3, 4).softmax(-1)
    expected = torch.empty(8, 3, 5, 3)
    for n in range(8):
        for v in range(3):
            totals = []
            for m in range(4):
                total = 0.0
                for u in range(3):
                    spread = Independent(Normal(means[n, u].flatten(1), spreads[n, u, :, None].expand(4, 15)), 1)
                    views = MixtureSameFamily(Categorical(weights[n, u]), spread)
                    total += views.log_prob(means[n, v, m].flatten()).item()
                totals.append(total)
            expected[n, v] = means[n, v, int(np.argmax(totals))]
    agreed = consistent(means, spreads, weights, torch.ones(8, 3).bool(), 15)
    torch.testing.assert_close(agreed, expected.mean(1))


def test_views_that_are_not_there_have_no_say():
    torch.manual_seed(0)
    means, spreads, weights = torch.randn(6, 3, 4, 17, 3), 0.1 + torch.rand(6, 3, 4), torch.randn(6, 3, 4).softmax(-1)
    means[:, 1] = 1e6
    seen = torch.tensor([True, False, True]).expand(6, 3)
    some = [part[:, [0, 2]] for part in (means, spreads, weights)]
    torch.testing.assert_close(
        consistent(means, spreads, weights, seen, 48), consistent(*some, torch.ones(6, 2).bool(), 48)
    )
    alone = torch.tensor([True, False, False]).expand(6, 3)
    far = weights[:, 0].log() - 48 * spreads[:, 0].log()  # nothing to agree with: the densest
    expected = means[torch.arange(6), 0, far.argmax(-1)]
    torch.testing.assert_close(consistent(100 * means, spreads, weights, alone, 48), 100 * expected)
