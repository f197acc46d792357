"""Tianshou: environments for reinforcement learning in actors, in step with the same ones here."""
# requires: torch numpy gymnasium overrides sensai-utils deepdiff tqdm tensorboard numba pettingzoo h5py
# requires without dependencies: tianshou
# big

import gymnasium as gym
import numpy as np
import ray
from tianshou.env import DummyVectorEnv, RayVectorEnv

ray.init(num_cpus=4)
makers = [lambda: gym.make("CartPole-v1") for _ in range(3)]
remote, local = RayVectorEnv(makers), DummyVectorEnv(makers)
assert np.allclose(remote.reset(seed=1)[0], local.reset(seed=1)[0])
for i in range(200):
    action = np.array([i % 2] * 3)
    ours, theirs = remote.step(action), local.step(action)
    assert all(np.allclose(a, b) for a, b in zip(ours[:4], theirs[:4], strict=True))
    done = np.where(ours[2] | ours[3])[0]
    if len(done):
        assert np.allclose(remote.reset(done, seed=1)[0], local.reset(done, seed=1)[0])
remote.close()
print("OK")
