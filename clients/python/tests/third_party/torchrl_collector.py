"""TorchRL: its RayCollector, whose actors play and send what they saw."""
# requires: torch numpy gymnasium orjson pyvers importlib_metadata cloudpickle packaging
# requires without dependencies: torchrl tensordict
# big

import ray
from torchrl.collectors.distributed import RayCollector
from torchrl.envs import GymEnv
from torchrl.envs.utils import RandomPolicy

ray.init(num_cpus=4)


def environment():
    return GymEnv("CartPole-v1", device="cpu")


remote = {"num_cpus": 1, "num_gpus": 0, "memory": 10**8}
collector = RayCollector(
    [environment, environment], RandomPolicy(environment().action_spec), total_frames=200, frames_per_batch=50, remote_configs=remote
)
frames = sum(batch.numel() for batch in collector)
assert frames == 200, frames
collector.shutdown()
print("OK")
