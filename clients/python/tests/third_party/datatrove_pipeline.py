"""DataTrove: a pipeline over text files by its RayPipelineExecutor."""
# requires: datatrove orjson regex

import json
import os
import tempfile

import ray
from datatrove.executor import RayPipelineExecutor
from datatrove.pipeline.filters import LambdaFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

ray.init(num_cpus=4)
folder = tempfile.mkdtemp()
os.mkdir(f"{folder}/in")
for i in range(4):
    with open(f"{folder}/in/{i}.jsonl", "w") as file:
        for j in range(10):
            file.write(json.dumps({"text": f"doc {10 * i + j}", "id": str(10 * i + j)}) + "\n")
steps = [
    JsonlReader(f"{folder}/in"),
    LambdaFilter(lambda document: int(document.text.split()[-1]) % 2 == 0),
    JsonlWriter(f"{folder}/out", compression=None),
]
RayPipelineExecutor(steps, tasks=4, workers=2, mem_per_cpu_gb=0.1, logging_dir=f"{folder}/log").run()
written = []
for name in os.listdir(f"{folder}/out"):
    with open(f"{folder}/out/{name}") as file:
        written += [int(json.loads(line)["text"].split()[-1]) for line in file]
assert sorted(written) == list(range(0, 40, 2))
print("OK")
