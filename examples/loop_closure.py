"""Has the camera been here before? ``python loop_closure.py FRAMES``: a folder of frames."""

import sys
from pathlib import Path

import netvlad

files = sorted(Path(sys.argv[1]).iterdir())
# What was seen in the last half minute looks alike because it was just now.
closer = netvlad.LoopCloser(netvlad.load_model("efficientnet-lite0-avg"), exclude_last_s=30)
for second, file in enumerate(files):
    closure = closer.see(file, time=second)
    if closure is not None:
        print(f"{file.name} is where {files[closure.frame].name} was, score {closure.score:.2f}")
print(f"{len(closer)} frames")
