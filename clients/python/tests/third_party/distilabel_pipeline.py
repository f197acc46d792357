"""distilabel: a pipeline whose steps are actors with queues between them."""
# requires: distilabel

from distilabel.pipeline import Pipeline
from distilabel.steps import KeepColumns, LoadDataFromDicts

with Pipeline("numbers").ray(ray_init_kwargs={"num_cpus": 6}) as pipeline:
    load = LoadDataFromDicts(data=[{"x": i, "dropped": 1} for i in range(20)], batch_size=5)
    load >> KeepColumns(columns=["x"], input_batch_size=5)

if __name__ == "__main__":
    made = pipeline.run(use_cache=False)
    assert sorted(made["default"]["train"]["x"]) == list(range(20))
    print("OK")
