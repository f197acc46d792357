"""verl: its single controller, which runs groups of workers in placement groups."""
# requires: torch numpy transformers hydra-core omegaconf codetiming orjson pyvers importlib_metadata tensordict
# requires without dependencies: verl
# big

import ray
from verl.single_controller.base import Worker
from verl.single_controller.base.decorator import Dispatch, register
from verl.single_controller.ray.base import RayClassWithInitArgs, RayResourcePool, RayWorkerGroup

ray.init(num_cpus=4)


@ray.remote
class Adder(Worker):
    def __init__(self, base):
        super().__init__()
        self.base = base

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def add(self, x):
        return self.rank, self.world_size, self.base + x

    @register(dispatch_mode=Dispatch.ALL_TO_ALL)
    def each(self, x):
        return x * 10 + self.rank


pool = RayResourcePool([3], use_gpu=False, max_colocate_count=1)
group = RayWorkerGroup(resource_pool=pool, ray_cls_with_init=RayClassWithInitArgs(cls=Adder, base=100), bin_pack=False, device_name="cpu")
assert group.add(5) == [(rank, 3, 105) for rank in range(3)]
assert group.each([1, 2, 3]) == [10, 21, 32]
assert group.execute_all_sync("add", 1) == [(rank, 3, 101) for rank in range(3)]
print("OK")
