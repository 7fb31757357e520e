"""The published training step of diffusion samplers, written plainly from its description, to compare costs with.

Rollouts keep a graph over a detached state chain, the time embedding is computed and repeated at every step, variance
outputs are computed and thrown away, energies are distributions of torch evaluated one component after the other, and
losses index sub-trajectories path by path. Only what costs time is here: nothing is evaluated or plotted.
"""

import math

import torch
from torch import Tensor, nn

SIGMA_SQUARED = 5.0
HARMONICS = 64


class Mixture:
    """25 Gaussians, each a distribution of its own."""

    dim = 2

    def __init__(self) -> None:
        axis = torch.tensor([-10.0, -5.0, 0.0, 5.0, 10.0])
        covariance = 0.3 * torch.eye(2)
        self.parts = [
            torch.distributions.MultivariateNormal(mean, covariance) for mean in torch.cartesian_prod(axis, axis)
        ]

    def log_reward(self, x: Tensor) -> Tensor:
        return torch.logsumexp(torch.stack([part.log_prob(x) for part in self.parts]), dim=0) - math.log(25)


class Wells:
    """Pairs of a double well and a Gaussian, one after the other."""

    dim = 32

    def log_reward(self, x: Tensor) -> Tensor:
        total = torch.zeros(len(x))
        for pair in range(self.dim // 2):
            a, b = x[:, 2 * pair], x[:, 2 * pair + 1]
            total = total - a**4 + 6 * a**2 + 0.5 * a - 0.5 * b**2
        return total


def energy(name: str) -> Mixture | Wells:
    """Return the energy of this name."""
    return Mixture() if name == "gmm25" else Wells()


def gradient(target: Mixture | Wells, x: Tensor) -> Tensor:
    """Return the gradient of the log reward by automatic differentiation."""
    with torch.enable_grad():
        points = x.detach().requires_grad_()
        return torch.autograd.grad(target.log_reward(points).sum(), points)[0]


class Time(nn.Module):
    """Sines and cosines with learned phases, and two linear maps."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.phases = nn.Parameter(torch.randn(1, HARMONICS))
        self.frequencies = torch.linspace(0.1, 100, HARMONICS)[None]
        self.layers = nn.Sequential(nn.Linear(2 * HARMONICS, hidden), nn.GELU(), nn.Linear(hidden, hidden))

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.frequencies + self.phases
        return self.layers(torch.cat((angles.sin(), angles.cos()), dim=1))


def head(hidden: int, outputs: int, *, layers: int = 2) -> nn.Sequential:
    """Return GELU, hidden layers, and a linear map."""
    parts: list[nn.Module] = [nn.GELU()]
    for _ in range(layers):
        parts += [nn.Linear(hidden, hidden), nn.GELU()]
    return nn.Sequential(*parts, nn.Linear(hidden, outputs))


class Network(nn.Module):
    """The policy, the scaling of the gradient, and the flow, with shared embeddings."""

    def __init__(self, dim: int, hidden: int, *, langevin: bool, flow: bool) -> None:
        super().__init__()
        self.time, self.state = Time(hidden), nn.Linear(dim, hidden)
        self.joint = head(hidden, 2 * dim)
        self.slope_time, self.slope = (Time(hidden), head(hidden, 1)) if langevin else (None, None)
        self.flow = head(hidden, 1) if flow else None
        for last in (
            self.joint[-1],
            *([self.slope[-1]] if self.slope else []),
            *([self.flow[-1]] if self.flow else []),
        ):
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor, t: float, target: Mixture | Wells) -> tuple[Tensor, Tensor | None]:
        times = torch.full((len(x),), t)
        embedded = self.state(x) + self.time(times)
        drift, _ = self.joint(embedded).chunk(2, dim=1)
        if self.slope is not None and self.slope_time is not None:
            pull = gradient(target, x).clip(-1e2, 1e2).nan_to_num()
            drift = drift + self.slope(self.slope_time(times)) * pull
        return drift.clip(-1e4, 1e4), self.flow(embedded).squeeze(1) if self.flow is not None else None


class Training:
    """One objective on one energy, a batch a step."""

    def __init__(self, name: str, objective: str, *, langevin: bool, batch: int, steps: int, hidden: int) -> None:
        torch.manual_seed(0)
        self.target, self.objective, self.batch, self.steps = energy(name), objective, batch, steps
        self.network = Network(self.target.dim, hidden, langevin=langevin, flow="subtb" in objective)
        self.log_z = nn.Parameter(torch.zeros(()))
        self.optimiser = torch.optim.Adam([*self.network.parameters(), self.log_z], lr=1e-3)
        lengths = torch.arange(steps + 1)[None] - torch.arange(steps + 1)[:, None]
        weights = torch.triu(torch.pow(2.0, (lengths - steps).float()), diagonal=1)
        self.weights = weights / weights.sum()

    def step(self) -> float:
        """Do one training step."""
        loss = self.loss()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def loss(self) -> Tensor:
        """Roll out with a graph, and return the loss."""
        dt, dim = 1 / self.steps, self.target.dim
        x = torch.zeros(self.batch, dim)
        forward, backward = torch.zeros(self.batch, self.steps), torch.zeros(self.batch, self.steps)
        flows = torch.zeros(self.batch, self.steps + 1)
        for k in range(self.steps):
            drift, flow = self.network(x, k * dt, self.target)
            if flow is not None:
                flows[:, k] = flow if self.objective == "subtb" else flow + self.known(x, k, dt)
            mean, variance = x + dt * drift, dt * SIGMA_SQUARED * torch.ones_like(x)
            following = (mean + variance.sqrt() * torch.randn_like(x)).detach()
            forward[:, k] = log_normal(following, mean, variance)
            if k:
                back = following * k / (k + 1)
                backward[:, k] = log_normal(x, back, dt * SIGMA_SQUARED * k / (k + 1) * torch.ones_like(x))
            x = following
        reward = self.target.log_reward(x).detach()
        if self.objective == "tb":
            return (0.5 * (self.log_z + forward.sum(1) - backward.sum(1) - reward).square()).mean()
        flows[:, 0] = self.log_z
        flows[:, -1] = reward
        summed = torch.cat((torch.zeros(self.batch, 1), (forward - backward).cumsum(1)), dim=1)
        pairs = flows[:, :, None] - flows[:, None] + summed[:, None] - summed[:, :, None]
        return torch.stack([(self.weights * pairs[row].square()).sum() for row in range(self.batch)]).sum()

    def known(self, x: Tensor, k: int, dt: float) -> Tensor:
        """Return the known part of a forward-looking flow."""
        reference = log_normal(x, torch.zeros_like(x), SIGMA_SQUARED * max(k, 1) * dt * torch.ones_like(x))
        return (1 - k * dt) * reference + k * dt * self.target.log_reward(x).detach()


def log_normal(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Return the log density, with all constants."""
    return (-0.5 * ((x - mean).square() / variance + variance.log() + math.log(2 * math.pi))).sum(dim=1)


class Buffer:
    """A buffer that is copied and sorted at every addition, and a draw of all its entries for the next iterator."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.points: Tensor | None = None
        self.rewards: Tensor | None = None

    def add(self, points: Tensor, rewards: Tensor) -> None:
        """Add points, and rank everything anew."""
        if self.points is not None and self.rewards is not None:
            points, rewards = torch.cat((self.points, points)), torch.cat((self.rewards, rewards))
        self.points, self.rewards = points[-self.capacity :], rewards[-self.capacity :]
        ranks = (-self.rewards.numpy()).argsort().argsort()
        self.shares = 1 / (0.01 * len(ranks) + ranks)


def langevin(target: Mixture | Wells, x: Tensor, *, steps: int) -> Tensor:
    """Run parallel MALA that evaluates value and gradients anew at every step, and adapts one step size."""
    h, accepted = 0.1, []
    value = target.log_reward(x)
    for k in range(steps):
        slope = gradient(target, x)
        proposal = (x + h * slope + math.sqrt(2 * h) * torch.randn_like(x)).detach()
        new_value = target.log_reward(proposal)
        back = gradient(target, proposal)
        toward = -(proposal - x - h * slope).square().sum(1) / (4 * h)
        away = -(x - proposal - h * back).square().sum(1) / (4 * h)
        taken = torch.rand(len(x)).log() < new_value - value + away - toward
        x = torch.where(taken[:, None], proposal, x)
        value = torch.where(taken, new_value, value)
        accepted.append(taken.float().mean())
        if k % 5 == 4:
            h *= 1.01 if torch.stack(accepted[-5:]).mean() > 0.574 else 0.99
    return x
