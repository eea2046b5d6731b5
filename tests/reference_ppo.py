"""PPO's formulas in float64 NumPy, written from the papers, by loops that can be read beside them.

A batch is a list of rows, a row is a list of tokens (ragged, no padding); `kept` says which tokens
are the model's own. Nothing here knows of torch or verl.

    1707.06347  PPO: clipped policy and value losses (eq. 7, 9), GAE's recursion (eq. 11, 12)
    1506.02438  GAE as a sum (eq. 16)
    1909.08593  the KL in the reward and its adaptive coefficient (section 2.2)
    2203.02155  RLHF: the KL per token, the reward on the last token
    1912.09729  the second clip, where the advantage is negative (eq. 5)
"""

import numpy as np

Rows = list[np.ndarray]
KL_STEP = 0.2  # how far the relative error of the KL counts, 1909.08593


def _pool(rows: Rows, kept: Rows) -> np.ndarray:
    """All kept tokens of a batch."""
    return np.concatenate([row[own.astype(bool)] for row, own in zip(rows, kept, strict=True)])


def kl_estimates(log_p: float, log_q: float) -> dict[str, float]:
    """Of KL(p, q) from one token drawn from p; their means over tokens are compared with it."""
    ratio = np.exp(log_q - log_p)
    return {
        "k1": log_p - log_q,
        "k2": (log_p - log_q) ** 2 / 2,
        "k3": (ratio - 1) - np.log(ratio),
    }


def rewards_with_kl(scores: Rows, log_pi: Rows, log_ref: Rows, coef: float, kind: str) -> Rows:
    return [
        np.array([s - coef * kl_estimates(p, q)[kind] for s, p, q in zip(*row, strict=True)])
        for row in zip(scores, log_pi, log_ref, strict=True)
    ]


def gae(rewards: Rows, values: Rows, kept: Rows, gamma: float, lam: float) -> Rows:
    """A_t = sum over l of (gamma lam)^l delta_(t+l), delta_t = r_t + gamma V_(t+1) - V_t, over the
    tokens that are kept, as if the others were not there. NaN on the others."""
    advantages = []
    for r, v, own in zip(rewards, values, kept, strict=True):
        row, steps = np.full(len(r), np.nan), np.flatnonzero(own)
        for i, t in enumerate(steps):
            for later, s in enumerate(steps[i:]):
                after = steps[i + later + 1 :]
                next_value = v[after[0]] if len(after) else 0.0
                delta = r[s] + gamma * next_value - v[s]
                term = (gamma * lam) ** later * delta
                row[t] = term if later == 0 else row[t] + term
        advantages.append(row)
    return advantages


def whitened(rows: Rows, kept: Rows) -> Rows:
    """Mean 0 and deviation 1 over all kept tokens of the batch, by the unbiased variance."""
    tokens = _pool(rows, kept)
    return [(row - tokens.mean()) / tokens.std(ddof=1) for row in rows]


def policy_loss(
    log_new: Rows, log_old: Rows, advantages: Rows, kept: Rows, clip: float, dual: float
) -> float:
    """- mean over kept tokens of min(r A, clip(r, 1 - eps, 1 + eps) A), and not below c A where
    A < 0. The papers take the mean over time steps; a batch of responses has as many as tokens."""
    total, count = 0.0, 0
    for new, old, advantage, own in zip(log_new, log_old, advantages, kept, strict=True):
        for t in np.flatnonzero(own):
            ratio = np.exp(new[t] - old[t])
            clipped = min(max(ratio, 1 - clip), 1 + clip)
            objective = min(ratio * advantage[t], clipped * advantage[t])
            if advantage[t] < 0:
                objective = max(objective, dual * advantage[t])
            total, count = total - objective, count + 1
    return total / count


def value_loss(new: Rows, old: Rows, returns: Rows, kept: Rows, clip: float) -> float:
    """Mean over kept tokens of max((V - R)^2, (V_old + clip(V - V_old, -eps, eps) - R)^2), which
    PPO's loss takes times c1."""
    total, count = 0.0, 0
    for v, before, target, own in zip(new, old, returns, kept, strict=True):
        for t in np.flatnonzero(own):
            near = before[t] + min(max(v[t] - before[t], -clip), clip)
            total += max((v[t] - target[t]) ** 2, (near - target[t]) ** 2)
            count += 1
    return total / count


def entropy(logits: np.ndarray, temperature: float) -> float:
    """Of one token's distribution, nats: - sum of p log p."""
    weights = np.exp((logits - logits.max()) / temperature)
    p = weights / weights.sum()
    return -sum(x * np.log(x) for x in p if x > 0)


def kl_of_responses(log_pi: Rows, log_ref: Rows, kept: Rows) -> float:
    """Nats per response: the sum over its tokens of log pi - log ref, its mean over responses."""
    sums = []
    for p, q, own in zip(log_pi, log_ref, kept, strict=True):
        sums.append(sum(p[t] - q[t] for t in np.flatnonzero(own)))
    return float(np.mean(sums))


def adaptive_coefficients(
    first: float, kls: list[float], target: float, responses: int, horizon: int
) -> list[float]:
    """beta_(t+1) = beta_t (1 + K e_t) with e_t = clip(KL_t / target - 1, -0.2, 0.2). The paper
    fixes K = 0.1; as in its authors' code K is the share of a horizon that one batch is."""
    found = [first]
    for kl in kls:
        error = min(max((kl - target) / target, -KL_STEP), KL_STEP)
        found.append(found[-1] * (1 + error * responses / horizon))
    return found


def kl_of_update(log_new: Rows, log_old: Rows, kept: Rows) -> float:
    """Nats per token, of the policy that generated the tokens to the policy now: k3, its mean."""
    pairs = zip(_pool(log_old, kept), _pool(log_new, kept), strict=True)
    return float(np.mean([kl_estimates(old, new)["k3"] for old, new in pairs]))


def first_above(kls: list[float], limit: float) -> int | None:
    """Index of the first mini batch that is not trained on; None: all are."""
    return next((i for i, kl in enumerate(kls) if kl > limit), None)
