"""Mixtures of isotropic Gaussians over poses: likelihood, single poses out of them, and how honest they are.

Here a pose is a vector of D standardised coordinates; (M, D) means with a sigma and a weight for each of the M
hypotheses make a mixture. Li and Lee, "Generating multiple hypotheses for 3D human pose estimation with mixture density
network", CVPR 2019, equations 2 to 6.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SIGMA_FLOOR = 1e-6  # the source clips at 1e-15, whose cube float32 cannot hold: gradients would be NaN
WEIGHT_FLOOR = 1e-8  # as in the source


def log_density(target: Tensor, means: Tensor, sigmas: Tensor, weights: Tensor) -> Tensor:
    """log of sum_m weight_m N(target; mean_m, sigma_m^2 I), by logsumexp in float32 or better.

    Args:
        target: (..., D).
        means: (..., M, D).
        sigmas: (..., M), positive.
        weights: (..., M), of sum 1.

    Returns:
        (...) in nats.
    """
    return log_parts(target, means, sigmas, weights).logsumexp(-1)


def log_parts(target: Tensor, means: Tensor, sigmas: Tensor, weights: Tensor) -> Tensor:
    """(..., M) log of weight_m N(target; mean_m, sigma_m^2 I); arguments as of `log_density`.

    Their softmax is the share that each hypothesis has in the target, the responsibility of expectation-maximisation.
    """
    squared = (target.unsqueeze(-2) - means).square().sum(-1)
    return _log_parts(squared, sigmas, weights, target.shape[-1])


def _log_parts(squared: Tensor, sigmas: Tensor, weights: Tensor, dimensions: int) -> Tensor:
    """`log_parts` from the squared distances (..., M) to the means."""
    sigmas = sigmas.clamp(min=SIGMA_FLOOR)
    return (
        weights.clamp(min=WEIGHT_FLOOR).log()
        - dimensions * (sigmas.log() + 0.5 * math.log(2 * math.pi))
        - squared / (2 * sigmas.square())
    )


def _log_mixture(squared: Tensor, sigmas: Tensor, weights: Tensor, dimensions: int) -> Tensor:
    """`log_density` from the squared distances (..., M) to the means."""
    return _log_parts(squared, sigmas, weights, dimensions).logsumexp(-1)


def log_prior(weights: Tensor, concentration: float) -> Tensor:
    """(...) log of a symmetric Dirichlet density at the weights (..., M), without its constant.

    A concentration above 1 pulls the weights together, so that no hypothesis dies.
    """
    return (concentration - 1) * weights.clamp(min=WEIGHT_FLOOR).log().sum(-1)


def most_likely(means: Tensor, weights: Tensor) -> Tensor:
    """(..., J, 3) the hypothesis with the largest weight, of means (..., M, J, 3) and weights (..., M)."""
    return choose(means, weights.argmax(-1))


def weighted_mean(means: Tensor, weights: Tensor) -> Tensor:
    """(..., J, 3) the mean of the mixture, of means (..., M, J, 3) and weights (..., M)."""
    return (means * weights[..., None, None]).sum(-3)


def choose(means: Tensor, number: Tensor) -> Tensor:
    """(..., J, 3) hypothesis `number` (...) of means (..., M, J, 3)."""
    return torch.take_along_dim(means, number[..., None, None, None], dim=-3).squeeze(-3)


def mass_above(target: Tensor, means: Tensor, sigmas: Tensor, weights: Tensor, noise: Tensor) -> Tensor:
    """The mass of the mixture where its density is higher than at the target: small where the target is no surprise.

    Over many frames it is uniform in [0, 1] exactly if the mixtures are honest: half the truths lie in the densest half
    of the mass. Estimated with the same `noise` around each mean, weighted by the weights.

    Args:
        target: (N, D).
        means: (N, M, D).
        sigmas: (N, M).
        weights: (N, M).
        noise: (S, D) samples of the standard normal.

    Returns:
        (N,) in 0..1.
    """
    here = log_density(target, means, sigmas, weights)
    between = means.unsqueeze(2) - means.unsqueeze(1)  # (N, M, M, D) from every mean to every mean
    spread = sigmas[:, :, None, None]
    # |mean_k + sigma_k e - mean_m|^2, (N, k, m, S)
    squared = between.square().sum(-1, keepdim=True) + 2 * spread * (between @ noise.T)
    squared = squared + (spread * noise.square().sum(-1).sqrt()).square()
    there = _log_mixture(squared.transpose(2, 3), sigmas[:, None, None], weights[:, None, None], target.shape[-1])
    return (weights * (there > here[:, None, None]).to(weights.dtype).mean(-1)).sum(-1)


def consistent(means: Tensor, spreads: Tensor, weights: Tensor, seen: Tensor, dimensions: int) -> Tensor:
    """Of several views of one pose, the hypotheses that agree.

    In each view take the hypothesis to which the views together give the highest density: each view alone is uncertain
    along its own line of sight, and the views look along different ones. Uses no truth.

    Args:
        means: (N, V, M, J, 3) hypotheses of V views in one common frame [m].
        spreads: (N, V, M) their standard deviations along a coordinate [m].
        weights: (N, V, M).
        seen: (N, V) which views there are.
        dimensions: D, how many of the 3 J coordinates the mixture is about.

    Returns:
        (N, J, 3) the mean of the chosen ones over the views that there are.
    """
    N, V, M = means.shape[:3]
    flat = means.flatten(1, 2).flatten(2)  # (N, VM, 3J)
    squared = torch.cdist(flat, flat).square().view(N, V * M, V, M)  # of every hypothesis to those of every view
    density = _log_mixture(squared, spreads.unsqueeze(1), weights.unsqueeze(1), dimensions)  # (N, VM, V)
    together = (density * seen[:, None]).sum(-1).view(N, V, M)
    chosen = choose(means, together.argmax(-1))  # (N, V, J, 3)
    share = seen.to(means.dtype) / seen.sum(-1, keepdim=True)
    return (chosen * share[..., None, None]).sum(1)
